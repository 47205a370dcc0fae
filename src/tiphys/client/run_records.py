"""Runs, read."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from tiphys.client.connection import API, Connection
from tiphys.ports.backend import Runs
from tiphys.records.runs import Run

_RUN = TypeAdapter(Run)


class RunReader(Runs):
    def __init__(self, connection: Connection, *, workspace: str) -> None:
        self._connection = connection
        self._path = f"{API}/workspaces/{workspace}/runs"

    def _run(self, data: Any) -> Run:
        return _RUN.validate_python(data)
