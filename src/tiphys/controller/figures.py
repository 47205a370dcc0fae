"""What a controller counts of its work, for those who watch over it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tiphys.ports.engine_host import COMMIT_BOUNDS, HostFigures


class Figures:
    """Counts; only the thread that works on events changes them."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._commits = [0] * (len(COMMIT_BOUNDS) + 1)
        self._seconds = 0.0
        self._ended: Counter[tuple[str, str]] = Counter()
        self._errors: Counter[str] = Counter()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """While a batch is carried through."""
        self._began = began = time.monotonic()
        try:
            yield
        finally:
            self._began = None
            took = time.monotonic() - began
            self._commits[bisect_left(COMMIT_BOUNDS, took)] += 1
            self._seconds += took

    def ended(self, phase: str, namespace: str) -> None:
        """Count a workflow that has ended."""
        self._ended[phase, namespace] += 1

    def failed(self, cause: str) -> None:
        """Count an error."""
        self._errors[cause] += 1

    def read(self, *, queue: int, workflows: int, tasks: int) -> HostFigures:
        """All of them; from any thread."""
        began = self._began
        return HostFigures(
            queue=queue,
            workflows=workflows,
            tasks=tasks,
            busy=0.0 if began is None else time.monotonic() - began,
            commits=tuple(self._commits),
            commit_seconds=self._seconds,
            ended=self._ended.copy(),
            errors=self._errors.copy(),
        )
