"""Counts of what services and those who look after them do, for `/metrics`: of this process, since it began."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counted:
    """Something that is counted."""

    name: str
    #: Names and values of labels.
    labels: tuple[tuple[str, str], ...] = field(default=())


class Counts:
    """Numbers by name and labels. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[Counted] = Counter()

    def add(self, what: str, /, **labels: str) -> None:
        """Count one more."""
        with self._lock:
            self._numbers[Counted(what, tuple(sorted(labels.items())))] += 1

    def read(self) -> dict[Counted, int]:
        """All of them."""
        with self._lock:
            return dict(self._numbers)
