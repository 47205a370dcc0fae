"""The view of a run on a terminal: a few lines that move below what the steps print.

Steps' prints must pass through the log capture in the printing thread, so rich's way of redirecting the streams (into
a console of its own) would lose them. Here the streams are only wrapped: what is written goes where it went, and the
moving lines step aside for it.
"""
# ruff: noqa: ARG002 -- observers are given more than every view needs

from __future__ import annotations

import builtins
import contextvars
import io
import os
import re
import sys
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Self, TextIO

from tiphys._util.human import duration
from tiphys.engine.model import Node
from tiphys.records.runs import Run
from tiphys.sdk.progress import MANY, Board, Writer, counts, headline, is_failure, last_line, state_of, step_line, took

#: A run that is over sooner than this is only reported; seconds.
PATIENCE = 0.25
#: Seconds between two frames of the drawing thread, and between two that follow prints.
FRAME, QUICK = 1 / 8, 1 / 30
#: An unfinished line is shown when it is longer.
LONGEST = 4096
#: Above so many steps, finished ones are folded into a count.
FOLD = 30

_COLOURS = {"✓": "32", "✗": "31", "●": "36", "○": "2", "■": "33", "↻": "33"}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
#: Escapes that move the cursor or erase: whoever writes them owns the screen.
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfsu]")

_drawing = threading.Lock()


class TerminalView:
    """Shows a run on a terminal and leaves a plain report of it behind. Observing only queues the nodes."""

    def __init__(self, board: Board, stream: TextIO) -> None:
        self._board = board
        self._writer = Writer(stream)
        self._queue: deque[Node] = deque()
        self._news: list[Node] = []
        self._over = threading.Event()
        self._writer.write([f"\x1b[1m{headline(board.run)}\x1b[0m"])
        # Another run of this process may be shown already; this one is reported at its end.
        self._screen = Screen() if _drawing.acquire(blocking=False) else None
        self._thread = threading.Thread(target=self._draw, name="tiphys-progress", daemon=True)
        self._thread.start()

    def observe(self, run: Run, nodes: Sequence[Node]) -> None:
        """Take note of changed nodes."""
        self._queue.extend(nodes)

    def close(self, run: Run) -> None:
        """Take the moving lines away, list what happened, and say how it ended."""
        self._over.set()
        self._thread.join()
        if self._screen is not None:
            self._screen.close()
            self._screen = None
            _drawing.release()
        self._absorb()
        board = self._board
        news = [node for node in self._news if is_failure(node)] if board.total > MANY else self._news
        pad = max((len(board.label(node)) for node in news), default=0)
        lines = [step_line(board, node, pad=pad) for node in news]
        self._writer.write([coloured(line) for line in [*lines, last_line(board, run)]])

    def _absorb(self) -> None:
        queue = self._queue
        self._news += self._board.absorb([queue.popleft() for _ in range(len(queue))])

    def _draw(self) -> None:
        screen = self._screen
        if screen is None or self._over.wait(PATIENCE):
            return
        while not self._over.wait(FRAME):
            self._absorb()
            width, height = screen.size()
            screen.show(frame(self._board, now=time.time(), width=width, height=height))


def coloured(line: str) -> str:
    """A line in the colour of its icon."""
    colour = _COLOURS.get(line.lstrip()[:1])
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


def frame(board: Board, *, now: float, width: int, height: int) -> list[str]:
    """The moving lines: a row for each step, and a count.

    Args:
        board: Where the run stands.
        now: Epoch seconds.
        width: Columns of the terminal.
        height: Rows of the terminal.
    """
    running = board.running
    room = max(1, min(FOLD, height - 3))
    shown = list(board.units.values()) if len(board.units) <= room else running[:room]
    pad = max((len(board.label(node)) for node in shown), default=0)
    spinner = _SPINNER[int(now * 8) % len(_SPINNER)]
    lines = []
    for node in shown:
        icon, word = state_of(board, node)
        if icon == "·":
            seconds = now - node.started_at if node.started_at else 0.0
            tries = board.failed_attempts.get(node.id, 0)
            again = f"  attempt {tries + 1}" if tries else ""
            lines.append(cut(f"  {spinner} {board.label(node):{pad}}  {duration(max(seconds, 0.0))}{again}", width))
        else:
            lines.append(coloured(cut(f"  {icon} {board.label(node):{pad}}  {word or took(node)}", width)))
    hidden = len(running) - room if shown == running[:room] else 0
    more = f", {hidden} more running" if hidden > 0 else ""
    lines.append(cut(f"  {counts(board)}{more}  {duration(board.elapsed(now))}", width))
    return lines


def cut(text: str, width: int) -> str:
    """`text` shortened to less than `width` columns, so that it never wraps."""
    columns = 0
    for index, character in enumerate(text):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns >= width:
            return text[:index]
    return text


class Screen:
    """The lines below everything else on the terminal, and the standard streams above them. Thread-safe.

    The streams are wrapped from the first moment on, so that a log capture that comes later stands above the wrappers.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lines: list[str] = []
        #: Rows that stand on the terminal now, and when they were drawn.
        self._drawn = 0
        self._drawn_at = 0.0
        #: What was written since the last end of a line.
        self._partial = ""
        #: Someone else moves the cursor: nothing more is drawn.
        self._yielded = False
        #: Threads that wait for a line from the keyboard.
        self._asking = 0
        self._streams: list[Lifted] = []
        self._below: TextIO = sys.stderr
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or not stream.isatty():
                continue
            # A capture that came later stands above the wrapper of an earlier run, and passes the question on.
            lifted = getattr(stream, "tiphys_lifted", None)
            if lifted is None:
                lifted = Lifted(stream)
                setattr(sys, name, lifted)
            lifted.screen = self
            self._streams.append(lifted)
            if name == "stderr":
                self._below = lifted.below
        # On a terminal input() lets readline write the prompt, past all Python streams. The debugger calls it too.
        self._input = builtins.input
        builtins.input = self._ask

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the lines away and give the streams back."""
        with self._lock:
            self._erase()
            self._lines = []
        if builtins.input == self._ask:
            builtins.input = self._input
        for lifted in self._streams:
            lifted.release()
            lifted.screen = None
            for name in ("stdout", "stderr"):
                if getattr(sys, name) is lifted:
                    setattr(sys, name, lifted.below)

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal."""
        try:
            found = os.get_terminal_size(self._below.fileno())
        except (OSError, ValueError):
            return 80, 24
        return found.columns or 80, found.lines or 24

    def show(self, lines: Iterable[str]) -> None:
        """Draw these lines from now on."""
        with self._lock:
            self._lines = list(lines)
            self._erase(replace=True)
            self._draw()

    def write(self, stream: TextIO, text: str) -> int:
        """Write what a step printed above the lines."""
        with self._lock:
            self._erase()
            written = stream.write(text)
            if _MOVES.search(text):
                self._yielded = True
            self._partial = (self._partial + text).rpartition("\n")[2][-4096:]
            if time.monotonic() - self._drawn_at > QUICK:
                if stream is not self._below:
                    stream.flush()
                self._draw()
            return written

    def _ask(self, prompt: object = "", /) -> str:
        """`input()` with the lines out of its way."""
        with self._lock:
            self._asking += 1
            self._erase()
        try:
            return self._input(prompt)
        finally:
            with self._lock:
                self._asking -= 1
                self._partial = ""

    def _erase(self, *, replace: bool = False) -> None:
        """Take the drawn lines away and put the cursor back where the writer left it."""
        if not self._drawn:
            return
        back = f"\x1b[{self._drawn}A\r\x1b[J"
        if self._partial:
            width, _ = self.size()
            back += f"\x1b[A\x1b[{min(self._column(), width - 1)}C" if self._column() else "\x1b[A"
        self._drawn = 0
        self._put(back, flush=not replace)

    def _column(self) -> int:
        return len(_ESCAPE.sub("", self._partial.rstrip("\r").rpartition("\r")[2]))

    def _draw(self) -> None:
        # Whatever waits in an unfinished line (a prompt, a debugger) keeps the cursor; a bar that redraws itself from
        # the beginning of its line does not need it.
        if self._yielded or self._asking or not self._lines or (self._partial and not self._is_bar()):
            return
        lead = "\n" if self._partial else ""
        self._put(lead + "".join(f"{line}\n" for line in self._lines), flush=True)
        self._drawn = len(self._lines)
        self._drawn_at = time.monotonic()

    def _is_bar(self) -> bool:
        return "\r" in self._partial and self._column() < self.size()[0]

    def _put(self, text: str, *, flush: bool) -> None:
        try:
            # In a context without a step: a log capture below must not take the lines for what the step printed.
            contextvars.Context().run(self._below.write, text)
            if flush:
                self._below.flush()
        except (OSError, ValueError):
            self._yielded = True


class Lifted:
    """Stands for a standard stream on a terminal: what is written passes through, above the moving lines.

    As a terminal's stream does, it keeps an unfinished line until it is finished or flushed; but it does so for each
    thread, so that lines of steps that run at the same time stay whole.
    """

    def __init__(self, below: TextIO) -> None:
        self.below = below
        self.screen: Screen | None = None
        #: Unfinished lines by thread. A log capture below needs every text at once, in the context it was written in.
        self._held: dict[int, str] = {}
        self._holds = isinstance(below, io.TextIOBase)

    @property
    def tiphys_lifted(self) -> Lifted:
        """This wrapper, found through whatever stands above it and passes attributes on."""
        return self

    def write(self, text: str) -> int:
        """Write to the stream below."""
        screen = self.screen
        if screen is None:
            return self.below.write(text)
        thread = threading.get_ident()
        held = self._held.pop(thread, "") + text
        if self._holds and "\n" not in text and len(held) < LONGEST:
            self._held[thread] = held
        else:
            screen.write(self.below, held)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Show this thread's unfinished line."""
        held = self._held.pop(threading.get_ident(), "")
        if held:
            self._show(held)
        self.below.flush()

    def release(self) -> None:
        """Show all unfinished lines."""
        while self._held:
            self._show(self._held.popitem()[1])

    def _show(self, text: str) -> None:
        screen = self.screen
        if screen is None:
            self.below.write(text)
        else:
            screen.write(self.below, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)
