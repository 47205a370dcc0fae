"""A workspace on a server: what all services of a client ask through."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import quote

from tiphys.client.connection import Connection
from tiphys.errors import UsageError
from tiphys.ports.wire import API, OF_WORKSPACE, SHARED, read
from tiphys.records.base import Record

T = TypeVar("T")

_PATHS: dict[type[Record], str] = {kind: f"/{name}" for name, kind in SHARED.items()}
_INSIDE: dict[type[Record], str] = {kind: f"/{name}" for name, kind in OF_WORKSPACE.items()}


def segment(text: str) -> str:
    """A name as part of a path."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


class Place:
    """A workspace on a server.

    Args:
        connection: The server.
        workspace: The workspace.
    """

    def __init__(self, connection: Connection, workspace: str) -> None:
        self.connection = connection
        self.workspace = workspace
        self.inside = f"{API}/workspaces/{segment(workspace)}"

    def path_of(self, kind: type[Record]) -> str:
        """Where records of a kind are.

        Raises:
            UsageError: the server does not give them out.
        """
        if kind in _INSIDE:
            return self.inside + _INSIDE[kind]
        if kind in _PATHS:
            return API + _PATHS[kind]
        raise UsageError(
            f"A server does not give out its records of the kind {kind.__name__}.",
            hint="This works on a database: on the server's machine, or after `tiphys logout`.",
        )

    def get(self, kind: type[T], path: str, **query: Any) -> T:
        """What a path of the workspace answers."""
        return read(kind, self.connection.ask("GET", self.inside + path, query=query))

    def ask(self, kind: type[T], path: str, body: Any) -> T:
        """What a path of the workspace answers to a POST that changes nothing."""
        return read(kind, self.connection.ask("POST", self.inside + path, body=body, reads=True))

    def post(self, kind: type[T], path: str, body: Any, *, verb: str = "POST") -> T:
        """What a path of the workspace answers to a write."""
        return read(kind, self.connection.ask(verb, self.inside + path, body=body))

    def write(self, path: str, body: Any) -> None:
        """A write that answers nothing."""
        self.connection.ask("POST", self.inside + path, body=body)

    def delete(self, path: str) -> None:
        """Remove what a path of the workspace names."""
        self.connection.ask("DELETE", self.inside + path)
