"""Keeps what is written in a context, many lines at a time: a step that prints much is not to be slowed by it."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Self

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk.logs import writer
from tiphys.sdk.logs.files import FILE, log_lines, name_of, store_log, visible_part
from tiphys.sdk.logs.lanes import Lane
from tiphys.sdk.logs.streams import Keeper, current, route

#: A step that is older, or has this much to write, gets a live file; seconds and bytes.
LIVE_AFTER, LIVE_SIZE = 0.5, 8 * 1024
#: Pieces that wait for the writing thread's next look.
MANY = 2048
#: Lines of one source have the same time if they come so shortly after one another; seconds.
GRAIN = 0.001
#: Pieces of one source since the last mark but one after which a thread writes through a lane: 4,000 lines a second.
BURST = 16
#: Seconds between two writes of a process that may be killed, if it prints without pause.
EAGER = 0.01
#: A line without an end is cut here; characters.
LONGEST = 16 * 1024

_END = "\n"
_eager = False
_poll: Callable[[Capture], None] | None = None
_show: Callable[[str, str], None] | None = None
_hooked = False
_call_handlers = logging.Logger.callHandlers
_start_thread = threading.Thread.start


class Capture:
    """Keeps what is written in its context; made by `capture`.

    A step that prints much is not to be slowed by it: pieces of text are put into a list as they come, and made lines
    many at a time. Marks say where in the list another source begins, or another moment.

    Args:
        path: Where the live file goes if there is to be one.
        eager: Whether lines are written to the live file at once, for processes that may be killed.
        poll: Called before lines are written out, to add what was written past the streams.
        show: Shows text of a stream, where the streams below do not.
        in_parts: Whether somebody stores the live file in parts if it is long.
    """

    def __init__(
        self,
        path: str | None,
        *,
        eager: bool = False,
        poll: Callable[[Capture], None] | None = None,
        show: Callable[[str, str], None] | None = None,
        in_parts: bool = False,
    ) -> None:
        self._path = path
        self._in_parts = in_parts
        self._eager = eager
        self._poll = poll
        self.show = show
        # Reentrant, because a signal handler or a finalizer may print while a line is being added.
        self._lock = threading.RLock()
        self._writing = threading.RLock()
        self._pieces: list[str] = []
        #: (index of the first piece, epoch seconds, source)
        self._marks: list[tuple[int, float, str]] = []
        #: (index of the next piece, stream, text) of what is shown only.
        self._shown: list[tuple[int, str, str]] = []
        #: Takes a piece from whom `source` says, without a mark. A line that ends after `until` needs one.
        self.take: Callable[[str], object] = self._pieces.append
        self.source, self.until = "", 0.0
        #: Time and source of the last mark that was dealt with.
        self._last = (0.0, "stdout")
        self._partial = {"stdout": "", "stderr": ""}
        #: Lines that are not in the live file.
        self._rendered: list[bytes] = []
        self._file: BinaryIO | None = None
        self._began = time.monotonic()
        self._last_write = 0.0
        self._token: contextvars.Token[Keeper | None] | None = None
        self._finished = False
        #: Of all threads that ever needed one and still run: a closed one may yet hold a text.
        self.lanes: list[Lane] = []
        self.showing: set[int] = set()

    def __enter__(self) -> Self:
        _hook()
        outer = current.get()
        if outer is not None:
            outer.close_lanes()
        writer.follow(self)
        self._token = current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            current.reset(self._token)
        if not self._finished:
            self._complete()
            self._write_out()
            self._close()

    def add(self, source: str, text: str, at: float | None = None) -> bool:
        """Take what was written to a stream, with a mark; returns whether that source writes without pause.

        Threads that the step left behind are not heard any more.
        """
        if self._finished:
            return False
        with self._lock:
            now = time.time() if at is None else at
            recent = self._marks[-2:] or [(0, 0.0, "")]
            first, began, _ = recent[0]
            is_fast = (
                len(self._pieces) - first > BURST
                and now - began < 3 * GRAIN
                and all(before is source for _, _, before in recent)
            )
            self._marks.append((len(self._pieces), now, source))
            self._pieces.append(text)
            ends = _END in text
            self.source, self.until = source, now + GRAIN if ends else 0.0
        if self._eager:
            if ends:
                self.write_soon(EAGER)
        elif len(self._pieces) > MANY:
            writer.wake()
        return is_fast

    def close_lanes(self) -> None:
        """Keep what this thread's lanes hold, before something that came later."""
        owner = threading.get_ident()
        for lane in tuple(self.lanes):  # the writing thread removes some meanwhile
            if lane.is_open and lane.owner == owner:
                lane.close_lane()

    def empty_lanes(self) -> None:
        """Keep what is in all lanes, so that it does not wait for more."""
        for lane in list(self.lanes):
            lane.empty()
            if lane.is_over:
                self.lanes.remove(lane)

    def add_record(self, record: logging.LogRecord) -> None:
        """Take a log record."""
        if self.lanes:
            self.close_lanes()
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = str(record.msg)
        text = f"{text}\n" if record.name == "root" else f"{record.name}: {text}\n"
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}{''.join(traceback.format_exception(*record.exc_info)).rstrip(_END)}\n"
        source = record.levelname
        if self.source == source and record.created <= self.until:
            self.take(text)
        else:
            self.add(source.replace(" ", "_") or "NOTSET", text, record.created)

    def add_shown(self, source: str, text: str) -> None:
        """Take what is to be shown and not kept."""
        if not self._finished:
            self._shown.append((len(self._pieces), source, text))

    def write_soon(self, pause: float) -> None:
        """Write and show what waits, unless that was done less than `pause` seconds ago."""
        now = time.monotonic()
        if now - self._last_write > pause:
            self._last_write = now
            with contextlib.suppress(OSError):  # a step does not fail for what it prints: it is tried again
                self._write_out(live=True)

    def finish(self, store: ArtifactStore) -> str | None:
        """Store the log, and remove the live file; returns its digest.

        None if nothing was written, or if it is long and somebody stores it in parts.
        """
        self._complete()
        if self._path is None or self._file is None:
            return store.commit_bytes(FILE, b"".join(self._rendered)).digest if self._rendered else None
        self._write_out()
        self._close()
        return store_log(Path(self._path), store, in_parts=self._in_parts)

    def _complete(self) -> None:
        """No more is expected: incomplete lines are taken as they are, and nobody else writes them."""
        writer.leave(self)
        for lane in list(self.lanes):
            with contextlib.suppress(OSError, ValueError):  # it is in the log, and cannot be shown
                lane.close_lane()
        if self._poll is not None:
            self._poll(self)
        with self._writing:
            self._render()
            self._finished = True
            self.source = ""
            now = time.time()
            rest = self._partial.items()
            self._rendered += [log_lines(now, source, visible_part(text)) for source, text in rest if text]

    def tick(self) -> None:
        """What the writing thread does now and then."""
        if self._poll is not None:
            self._poll(self)
        if self._eager or self._file is not None or time.monotonic() - self._began > LIVE_AFTER:
            self._write_out(live=True)
        elif len(self._pieces) > MANY:
            with self._writing:
                self._render()
            if sum(map(len, self._rendered)) > LIVE_SIZE:
                self._write_out(live=True)

    def _write_out(self, *, live: bool = False) -> None:
        """Append what waits to the live file, and make that first if need be.

        Args:
            live: Only if the step goes on; at its end somebody else takes what waits.
        """
        with self._writing:
            if live and self._finished:
                return
            self._render()
            if self._path is None or not self._rendered:
                return
            if self._file is None:
                path = Path(self._path)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("wb", buffering=0)
            waiting = b"".join(self._rendered)
            self._rendered = [waiting]
            while waiting:
                waiting = waiting[self._file.write(waiting) :]
                self._rendered = [waiting]
            self._rendered = []

    def _render(self) -> None:
        """Make lines of the pieces, and show them."""
        with self._lock:
            self.source = ""
            count = len(self._pieces)
            pieces = self._pieces[:count]
            del self._pieces[:count]
            marks, self._marks = self._marks, []
            shown, self._shown = self._shown, []
        if pieces:
            shown += self._make_lines(pieces, marks)
        if self.show is not None:
            for stream, group in groupby(sorted(shown, key=itemgetter(0)), itemgetter(1)):
                self.show(stream, "".join([text for _, _, text in group]))

    def _make_lines(self, pieces: list[str], marks: list[tuple[int, float, str]]) -> Iterator[tuple[int, str, str]]:
        """Make lines of pieces; gives what is of a stream, with the indices of its first pieces."""
        if not marks or marks[0][0] > 0:  # a thread was between its look at `source` and its piece
            marks.insert(0, (0, *self._last))
        self._last = marks[-1][1:]
        ends = [start for start, _, _ in marks[1:]]
        parts = []
        for (start, at, source), end in zip(marks, [*ends, len(pieces)], strict=True):
            text = "".join(pieces[start:end])
            if source in self._partial:
                yield start, source, text
                text = self._partial[source] + text
            whole, newline, rest = text.rpartition("\n")
            if newline:
                parts.append(log_lines(at, source, whole))
            if rest:
                if "\r" in rest:  # what follows a carriage return takes the line's place
                    rest = rest[max(0, rest.rstrip("\r").rfind("\r")) :]
                if len(rest) > LONGEST:
                    parts.append(log_lines(at, source, rest))
                    rest = ""
            if source in self._partial:
                self._partial[source] = rest
        if parts:
            self._rendered.append(b"".join(parts))

    def _close(self) -> None:
        with self._writing:
            if self._file is not None:
                self._file.close()

    def forget(self) -> None:
        """In a forked child: the lines are the parent's, and nobody holds the locks here."""
        self._lock, self._writing = threading.RLock(), threading.RLock()
        for lane in self.lanes:
            lane.forget()
        self.lanes, self.showing = [], set()
        self._path, self._file, self._eager, self._poll, self.show = None, None, False, None, None
        self._pieces, self._marks, self._shown, self._rendered = [], [], [], []
        self.take = self._pieces.append


def capture(context: Mapping[str, Any], *, attempt: int | None = None) -> Capture:
    """A context manager that keeps what is printed and logged in it.

    Without `finish` the log stays where it is live, and is made there if need be: a step that was stopped has nobody
    who would take note of a stored one.

    Args:
        context: The task's context; `home`, `run_id` and `step_name` say where the live file goes.
        attempt: Zero-based attempt; by default that of the context.
    """
    in_parts = bool(context.get("logs_in_parts"))
    return Capture(name_of(context, attempt), eager=_eager, poll=_poll, show=_show, in_parts=in_parts)


def expect_crashes(poll: Callable[[Capture], None], show: Callable[[str, str], None]) -> None:
    """From now on write lines at once and ask `poll` for what was written past the streams, which show nothing.

    For a process that carries out one step and may be killed.
    """
    global _eager, _poll, _show
    _eager, _poll, _show = True, poll, show


def _hook() -> None:
    """Have streams, loggers and threads know of captures."""
    route()
    global _hooked
    if not _hooked:
        _hooked = True
        # A handler on the root logger would silence `basicConfig` and the last-resort handler, and miss loggers that
        # do not propagate; this sees every record that a logger lets through and changes nothing.
        logging.Logger.callHandlers = _keep_record  # type: ignore[method-assign]
        threading.Thread.start = _start_in_context  # type: ignore[method-assign]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)


def _keep_record(self: logging.Logger, record: logging.LogRecord) -> None:
    kept_by, thread = current.get(), threading.get_ident()
    if not isinstance(kept_by, Capture) or thread in kept_by.showing:
        _call_handlers(self, record)
        return
    kept_by.add_record(record)
    try:
        kept_by.showing.add(thread)
        _call_handlers(self, record)
    finally:
        kept_by.showing.discard(thread)


def _start_in_context(self: threading.Thread) -> None:
    """`Thread.start` that hands the step's context on, as Python 3.14 can do by itself."""
    kept_by = current.get()
    if kept_by is not None and threading.get_ident() not in kept_by.showing:  # not to threads of handlers
        run, context = self.run, contextvars.copy_context()

        def run_in_context() -> None:
            del self.run
            context.run(run)

        self.run = run_in_context  # type: ignore[method-assign]
    _start_thread(self)


def _after_fork() -> None:
    current.set(None)
    writer.after_fork()
