"""Timers of all workflows: a heap of due times."""

from __future__ import annotations

import heapq


class Timers:
    """What is to fire when. A timer cannot be taken back: the engine ignores the ones that no longer matter."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str, str]] = []

    def set(self, due: float, uid: str, key: str) -> None:
        """Fire `key` for workflow `uid` at `due` (epoch seconds)."""
        heapq.heappush(self._heap, (due, uid, key))

    def bring_forward(self, seconds: float) -> None:
        """Let all of them fire so much earlier: the clock was put back, and nothing is to wait longer for that."""
        self._heap = [(due - seconds, uid, key) for due, uid, key in self._heap]

    def next_due(self) -> float | None:
        """When the next one fires."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[tuple[str, str]]:
        """Remove and return (uid, key) of all that are due."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, uid, key = heapq.heappop(self._heap)
            due.append((uid, key))
        return due
