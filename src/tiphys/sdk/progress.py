"""What people see of a run while it runs: a live view on a terminal, plain lines elsewhere.

The controller calls the observer in its own thread after each commit, so observing is bookkeeping and, for the plain
view, at most one write. `TIPHYS_PROGRESS` chooses: `off`, `plain`, or (the default) what suits the stream.
"""
# ruff: noqa: ARG002 -- observers are given more than every view needs

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TextIO

from tiphys._util.human import duration
from tiphys.engine.model import Node, NodeType, Phase, Reason
from tiphys.plugins.loading import load
from tiphys.ports.backend import Observer
from tiphys.records.runs import ExecutionStatus, Run

#: Above so many steps, finished ones are counted, not listed (the plain view, and the last word of every view).
MANY = 50
#: Seconds between two counts of the plain view.
COUNT_EVERY = 2.0
#: Characters of a step's name and of an error's first line.
NAME_WIDTH, MESSAGE_WIDTH = 48, 240

#: Nodes that hold others: no work of their own.
_STRUCTURE = frozenset({NodeType.DAG, NodeType.STEPS, NodeType.STEP_GROUP, NodeType.TASK_GROUP, NodeType.CONTAINER})

# Bound once: looking a member up in its enumeration costs more than all else that is done for a node.
_PLUGIN, _RETRY = NodeType.PLUGIN, NodeType.RETRY
_PENDING, _RUNNING, _SUCCEEDED = Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED
_CACHED, _STOPPED, _TIMED_OUT = Reason.CACHED, Reason.STOPPED, Reason.TIMED_OUT

_ASCII = str.maketrans({"✓": "+", "✗": "x", "●": "=", "○": "-", "■": "#", "↻": "~", "·": ".", "…": "~"})


class View(Protocol):
    """Shows one run."""

    def observe(self, run: Run, nodes: Sequence[Node]) -> None:
        """Take note of changed nodes."""

    def close(self, run: Run) -> None:
        """Say how it ended."""


def observer_for(run: Run, total_steps: int) -> tuple[Observer | None, Callable[[Run], None]]:
    """Show `run` from now on: what to call with changed nodes, if anything, and with the run when it ended.

    Args:
        run: The run that was submitted.
        total_steps: How many steps it has as compiled; loops may add to it.
    """
    mode = os.environ.get("TIPHYS_PROGRESS", "").strip().lower()
    stream = sys.stderr
    if mode in ("off", "0", "none") or stream is None:
        return None, _say_nothing
    board = Board(run, total_steps)
    if mode != "plain" and is_terminal(stream):
        make: Callable[[Board, TextIO], View] = load("tiphys.sdk.progress_live:TerminalView")
        view = make(board, stream)
    else:
        view = PlainView(board, stream)
    return view.observe, view.close


def is_terminal(stream: TextIO) -> bool:
    """Whether `stream` shows moving text and can write its icons."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and _knows_icons(stream)


def _knows_icons(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "ascii").lower().startswith("utf")


def _say_nothing(run: Run) -> None:
    """Say nothing at the end."""


class Board:
    """Where a run stands: its steps' nodes, and how many of them ended in which way.

    A step with retries is one unit (its Retry node); its attempts are told apart by `is_attempt`.
    """

    def __init__(self, run: Run, total: int) -> None:
        self.run = run
        self._total = total
        self._python = run.pipeline_name is not None
        self._began = time.time()
        #: Started units by node id, in the order they were started.
        self.units: dict[str, Node] = {}
        #: Of steps with retries, by the id of their Retry node: attempts that failed so far.
        self.failed_attempts: dict[str, int] = {}
        self._cached: set[str] = set()
        self._done: set[str] = set()
        self.finished = self.cached = self.failed = self.stopped = self.skipped = 0

    @property
    def total(self) -> int:
        """Steps that are known of."""
        return max(self._total, len(self.units))

    @property
    def running(self) -> list[Node]:
        """Units that are at work."""
        return [node for node in self.units.values() if node.id not in self._done]

    def absorb(self, nodes: Iterable[Node]) -> list[Node]:
        """Take note of changed nodes; returns the units that ended and the attempts that failed, each once."""
        news: list[Node] = []
        units, done = self.units, self._done
        for node in nodes:
            key = node.id
            if node.type is not _PLUGIN and node.type in _STRUCTURE:
                continue
            if node.hooked:
                continue
            if node.parent_id is not None and node.parent_id in self.failed_attempts:
                self._absorb_attempt(node, news)
                continue
            if key not in units:
                units[key] = node
                if node.type is _RETRY:
                    self.failed_attempts[key] = 0
            phase = node.phase
            if phase is _RUNNING or phase is _PENDING or key in done:
                continue
            done.add(key)
            self._count(node)
            news.append(node)
        return news

    def _absorb_attempt(self, node: Node, news: list[Node]) -> None:
        parent = node.parent_id or ""
        if node.reason is _CACHED:
            self._cached.add(parent)
        if node.phase.failed and node.id not in self._done:
            self._done.add(node.id)
            self.failed_attempts[parent] += 1
            if not self.units[parent].phase.fulfilled:
                news.append(node)

    def _count(self, node: Node) -> None:
        self.finished += 1
        if node.phase is _SUCCEEDED:
            if node.reason is _CACHED or node.id in self._cached:
                self.cached += 1
        elif node.reason is _STOPPED:
            self.stopped += 1
        elif node.phase.failed:
            self.failed += 1
        else:
            self.skipped += 1

    def is_cached(self, node: Node) -> bool:
        """Whether an earlier result was used."""
        return node.reason is _CACHED or node.id in self._cached

    def is_attempt(self, node: Node) -> bool:
        """Whether it is one of several tries of a unit."""
        return node.parent_id is not None and node.parent_id in self.failed_attempts

    def label(self, node: Node) -> str:
        """The step's name for people: the invocation id, with the index of a loop's child."""
        source = self.units[node.parent_id or ""] if self.is_attempt(node) else node
        name, bracket, item = source.display_name.partition("(")
        if self._python:
            name = name.replace("-", "_")
        text = name + bracket + item
        return text if len(text) <= NAME_WIDTH else text[: NAME_WIDTH - 1] + "…"

    def elapsed(self, now: float) -> float:
        """Seconds since the run started."""
        return now - (self.run.started_at.timestamp() if self.run.started_at else self._began)


def is_failure(node: Node) -> bool:
    """Whether a unit failed by itself."""
    return node.phase is not _SUCCEEDED and node.phase.failed and node.reason is not _STOPPED


def state_of(board: Board, node: Node) -> tuple[str, str]:
    """A unit's state as (icon, word); the word is "" where the icon says all."""
    phase = node.phase
    if phase is _SUCCEEDED:
        return ("●", "cached") if board.is_cached(node) else ("✓", "")
    if phase.failed:
        if node.reason is _STOPPED:
            return "■", "stopped"
        return ("✗", "timed out") if node.reason is _TIMED_OUT else ("✗", "")
    if phase.fulfilled:
        return "○", "skipped"
    return "·", "running"


def took(node: Node) -> str:
    """How long a node worked, for people."""
    if node.started_at is None or node.finished_at is None:
        return ""
    return duration(node.finished_at - node.started_at)


def first_line(text: str) -> str:
    """The beginning of a message: one line, not too long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MESSAGE_WIDTH else line[: MESSAGE_WIDTH - 1] + "…"


def step_line(board: Board, node: Node, *, pad: int = 0) -> str:
    """One line on a unit that ended or an attempt that failed; names are padded to `pad` characters."""
    if board.is_attempt(node):
        count = board.failed_attempts[node.parent_id or ""]
        return f"↻ {board.label(node)}  attempt {count} failed after {took(node)}: {first_line(node.message)}"
    icon, word = state_of(board, node)
    parts = [f"{icon} {board.label(node):{pad}}"]
    if word:
        parts.append(word)
    if icon in "✓✗■" and (time_text := took(node)):
        parts.append(time_text)
    if icon == "✗" and node.message:
        parts.append(first_line(node.message))
    return "  ".join(parts)


def counts(board: Board) -> str:
    """How many of how many steps ended, and in which ways."""
    parts = [f"{board.finished} of {board.total} steps"]
    endings = (
        (board.cached, "cached"),
        (board.failed, "failed"),
        (board.stopped, "stopped"),
        (board.skipped, "skipped"),
    )
    return ", ".join(parts + [f"{number} {word}" for number, word in endings if number])


def last_line(board: Board, run: Run) -> str:
    """One line on how the run ended."""
    icon = {
        ExecutionStatus.COMPLETED: "✓",
        ExecutionStatus.CACHED: "✓",
        ExecutionStatus.FAILED: "✗",
    }.get(run.status, "■")
    if run.started_at and run.finished_at:
        seconds = (run.finished_at - run.started_at).total_seconds()
    else:
        seconds = board.elapsed(time.time())
    return f"{icon} Run {run.name} {run.status.value} in {duration(seconds)} ({counts(board)})"


def headline(run: Run) -> str:
    """What is about to happen, in one line."""
    return f"Run {run.name} of pipeline {run.pipeline_name}" if run.pipeline_name else f"Run {run.name}"


class Writer:
    """Writes whole lines to a stream that may not know the icons, or may be gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False
        self._ascii = not _knows_icons(stream)

    def write(self, lines: Iterable[str]) -> None:
        """Write lines; a stream that is closed or whose reader has left is no reason for a run to fail."""
        text = "".join([f"{line}\n" for line in lines])
        if self._gone or not text:
            return
        try:
            self._stream.write(text.translate(_ASCII) if self._ascii else text)
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True


class PlainView:
    """Lines as steps end; of a run of many steps only failures and a count every two seconds."""

    def __init__(self, board: Board, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._writer = Writer(stream)
        self._counted_at = clock()
        self._writer.write([headline(board.run)])

    def observe(self, run: Run, nodes: Sequence[Node]) -> None:
        """Take note of changed nodes."""
        board = self._board
        news = board.absorb(nodes)
        if not news:
            return
        if board.total <= MANY:
            self._writer.write([step_line(board, node) for node in news])
            return
        lines = [step_line(board, node) for node in news if is_failure(node)]
        now = self._clock()
        if now - self._counted_at >= COUNT_EVERY:
            self._counted_at = now
            lines.append(counts(board))
        if lines:
            self._writer.write(lines)

    def close(self, run: Run) -> None:
        """Say how it ended."""
        self._writer.write([last_line(self._board, run)])
