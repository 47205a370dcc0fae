"""Runs of a server: all but carrying them out."""

from __future__ import annotations

import json
import logging
import time
from abc import ABC
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2

from tiphys.client.connection import error_in, error_of
from tiphys.client.place import Place, segment
from tiphys.engine.model import Node
from tiphys.ports.backend import Runs
from tiphys.ports.wire import API
from tiphys.records.runs import Run, StepRun

_log = logging.getLogger(__name__)
#: Seconds before a log that broke off is asked for again.
_PAUSE = 0.2


class RunReader(Runs, ABC):
    """Reads, stops and deletes runs.

    Args:
        place: The workspace.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def get(self, name_or_id: str) -> Run:
        """A run by name, id, or beginning of an id."""
        return self._place.get(Run, "/runs/lookup", name=name_or_id)

    def steps(self, run_id: str) -> list[StepRun]:
        """All step runs, attempts included, in the order they were started."""
        return self._place.get(list[StepRun], f"/runs/{segment(run_id)}/steps")

    def nodes(self, run_id: str) -> list[Node]:
        """The engine's nodes of a run."""
        return self._place.get(list[Node], f"/runs/{segment(run_id)}/nodes")

    def stop(self, name_or_id: str, *, graceful: bool = False) -> Run:
        """End a run."""
        return self._place.post(Run, f"/runs/{segment(name_or_id)}/stop", {"graceful": graceful})

    def is_interrupted(self, run: Run) -> bool:
        """Whether an unfinished run has nobody who works on it."""
        if run.status.is_finished:
            return False
        return self._place.get(dict[str, bool], f"/runs/{segment(run.id)}/interruption")["interrupted"]

    def logs(self, name_or_id: str, *, step: str | None = None, follow: bool = False) -> Iterator[tuple[str, str]]:
        """(step name, line) of what the steps wrote, while they run or afterwards.

        While it follows, a server that goes away is waited for, and asked for what comes after the lines that it gave.
        """
        path = f"/runs/{segment(self.get(name_or_id).id)}/logs"
        return self._lines(path, {"step": step, "follow": "true" if follow else None})

    def delete(self, name_or_id: str) -> None:
        """Remove a finished run and its step runs; artifact versions stay."""
        self._place.delete(f"/runs/{segment(name_or_id)}")

    def _lines(self, path: str, query: dict[str, str | None]) -> Iterator[tuple[str, str]]:
        given: Counter[str] = Counter()
        while True:
            again: Counter[str] = Counter()
            try:
                for found in self._frames(path, query):
                    if found.get("end"):
                        return
                    again[found["step"]] += 1
                    if again[found["step"]] > given[found["step"]]:
                        given[found["step"]] += 1
                        yield found["step"], found["line"]
            except httpx2.TransportError as error:
                _log.debug("the lines of a log broke off: %s", error)
            time.sleep(_PAUSE)
            # Returns when the server is there again, or raises when the patience is at its end.
            self._place.connection.send("GET", f"{API}/info")

    def _frames(self, path: str, query: dict[str, str | None]) -> Iterator[Any]:
        parameters = {key: value for key, value in query.items() if value is not None}
        headers = {"Accept": "text/event-stream"}
        stream = self._place.connection.stream("GET", self._place.inside + path, params=parameters, headers=headers)
        with stream as response:
            if not response.is_success:
                response.read()
                raise error_in(response)
            for text in response.iter_lines():
                if text.startswith("data:"):
                    frame = json.loads(text.removeprefix("data:"))
                    if "error" in frame:
                        raise error_of(frame["error"])
                    yield frame["result"]
