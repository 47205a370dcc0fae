"""Whose turn it is: which workflows of a queue may begin, and what the others wait for.

Larger priorities go first; among equals the workspace of which the fewest run, and of one workspace the oldest. One
that has to wait for a limit does not keep others from going before it that need not.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tiphys.records.queue import about, limit_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A workflow that waits for its turn, or that has it."""

    uid: str
    workspace: str
    pipeline: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    #: The larger goes first.
    priority: int = 0
    created_at: datetime


def next_turns(
    waiting: Iterable[Turn], running: Iterable[Turn], limits: Mapping[str, int]
) -> tuple[list[str], dict[str, str]]:
    """The uids of those whose turn it is, in order; and of the others what they wait for, in words.

    Args:
        waiting: Those that wait, in any order.
        running: Those that count against the limits.
        limits: How many may run at once, by `records.queue.limit_key`.
    """
    counts: Counter[str] = Counter()
    by_workspace: Counter[str] = Counter()
    for turn in running:
        counts.update(_keys(turn, limits))
        by_workspace[turn.workspace] += 1
    chosen: list[str] = []
    reasons: dict[str, str] = {}
    for lines in _lines(waiting):
        heap = [(by_workspace[name], line[0].created_at, line[0].uid, name) for name, line in lines.items()]
        heapq.heapify(heap)
        while heap:
            line = lines[heapq.heappop(heap)[-1]]
            turn = line.popleft()
            keys = _keys(turn, limits)
            full = next((key for key in keys if counts[key] >= limits[key]), None)
            if full is None:
                chosen.append(turn.uid)
                counts.update(keys)
                by_workspace[turn.workspace] += 1
            else:
                reasons[turn.uid] = _reason(full, limits[full])
            if line:
                heapq.heappush(heap, (by_workspace[turn.workspace], line[0].created_at, line[0].uid, turn.workspace))
    return chosen, reasons


def _lines(waiting: Iterable[Turn]) -> Iterable[dict[str, deque[Turn]]]:
    """For each priority, the largest first: the line of each workspace."""
    found: dict[int, dict[str, deque[Turn]]] = {}
    for turn in sorted(waiting, key=lambda turn: (turn.created_at, turn.uid)):
        found.setdefault(turn.priority, {}).setdefault(turn.workspace, deque()).append(turn)
    return [found[priority] for priority in sorted(found, reverse=True)]


def _keys(turn: Turn, limits: Mapping[str, int]) -> Sequence[str]:
    """The limits that concern a workflow."""
    keys = [limit_key(), limit_key(workspace=turn.workspace)]
    if turn.pipeline:
        keys.append(limit_key(workspace=turn.workspace, pipeline=turn.pipeline))
    keys += [limit_key(label=f"{name}={value}") for name, value in turn.labels.items()]
    return [key for key in keys if key in limits]


def _reason(key: str, limit: int) -> str:
    return f"Waiting in the queue: at most {limit} workflows {about(key)} run at once."
