"""The standard streams' stand-ins: they show what is written as before, and hand it to whoever keeps it.

They are put in place once and look at a context variable, so that threads and coroutines write each to its own log.
"""

from __future__ import annotations

import contextvars
import io
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TextIO

from tiphys.sdk.logs.lanes import Lane

#: Text without an end of line is shown at most so often; seconds.
REFRESH = 0.05


class Keeper(Protocol):
    """Who keeps what is written in a context."""

    #: Takes a piece from whom `source` says, without a mark. A line that ends after `until` (epoch seconds) needs one.
    take: Callable[[str], object]
    source: str
    until: float
    #: Ways past `write`, of all threads.
    lanes: list[Lane]
    #: Shows text of a stream; None if the stream below is to show it.
    show: Callable[[str, str], None] | None
    #: Threads that show what is kept already: a log record, by its handlers.
    showing: set[int]

    def add(self, source: str, text: str) -> bool:
        """Take what was written to a stream, with a mark; returns whether that source writes without pause."""

    def add_shown(self, source: str, text: str) -> None:
        """Take what is to be shown and not kept."""

    def close_lanes(self) -> None:
        """Keep what this thread's lanes hold, before something that came later."""

    def write_soon(self, pause: float) -> None:
        """Write and show what waits, unless that was done less than `pause` seconds ago."""


#: Who keeps what is written here.
current: contextvars.ContextVar[Keeper | None] = contextvars.ContextVar("tiphys_log", default=None)
_now = time.time
_this_thread = threading.get_ident


class Router(threading.local):
    """Stands for a standard stream: shows what is written there, and keeps it if a step wrote it.

    Its attributes are each thread's own, so that a thread may have a lane in the place of `write`.
    """

    def __init__(self, stream: TextIO, source: str) -> None:
        self._stream = stream
        self._source = source
        self._write = stream.write
        # What is not the interpreter's own kind of stream may end in another router (a live view wraps one), which must
        # not keep the text a second time.
        self._is_last = type(stream) is io.TextIOWrapper
        self._lane: tuple[Keeper, Lane] | None = None
        self.write = self._writer()
        self.flush = self._flusher()

    # These two make functions: to look up a thread's attributes takes longer than all that is done with them.

    def _writer(self) -> Callable[[str], int]:
        """Make what writes to the stream below and to the present capture."""
        stream, write_below, source, is_last = self._stream, self._write, self._source, self._is_last
        is_buffered = is_last and not (stream.line_buffering or getattr(stream, "write_through", False))

        def write(text: str) -> int:
            kept_by = current.get()
            if kept_by is None:
                return write_below(text)
            if kept_by.lanes:
                kept_by.close_lanes()
            if kept_by.show is None:
                try:
                    if is_last:
                        write_below(text)
                    else:
                        self._show(text)
                except UnicodeEncodeError:
                    self._show_escaped(text)
            if kept_by.showing and _this_thread() in kept_by.showing:
                if kept_by.show is not None:
                    kept_by.add_shown(source, text)
            elif kept_by.source is source and ("\n" not in text or _now() <= kept_by.until):
                kept_by.take(text)
            elif kept_by.add(source, text) and (is_buffered or kept_by.show):
                self._open_lane(kept_by)
            return len(text)

        return write

    def _flusher(self) -> Callable[[], None]:
        """Make what shows what was written."""
        flush_below = self._stream.flush

        def flush() -> None:
            kept_by = current.get()
            if kept_by is None:
                flush_below()
                return
            if kept_by.lanes:
                kept_by.close_lanes()
            if kept_by.show is None:
                flush_below()
            else:
                kept_by.write_soon(REFRESH)

        return flush

    def _put_chunk(self, kept_by: Keeper, text: str) -> None:
        """Keep first, then show: if that fails, many lines would be lost and not one."""
        kept_by.add(self._source, text)
        kept_by.write_soon(0.0)
        if kept_by.show is None:
            try:
                self._show(text)
            except UnicodeEncodeError:
                self._show_escaped(text)

    def _show(self, text: str) -> None:
        if self._is_last:
            self._write(text)
        else:
            token = current.set(None)
            try:
                self._write(text)
            finally:
                current.reset(token)

    def _show_escaped(self, text: str) -> None:
        """Show what the stream has no letters for: a step does not fail for that, whichever way it writes."""
        self._show(escaped(text, self._stream))

    def _open_lane(self, kept_by: Keeper) -> None:
        if self._lane is None or self._lane[0] is not kept_by:
            self._lane = (kept_by, Lane(self.__dict__, lambda text: self._put_chunk(kept_by, text), self._writer()))
        lane = self._lane[1]
        lane.open()
        if lane not in kept_by.lanes:
            kept_by.lanes.append(lane)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def escaped(text: str, stream: TextIO) -> str:
    """A text with escapes for what a stream has no letters for."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def route() -> None:
    """Put the routers in place; again if something else took the streams over since (a test's capture, a notebook)."""
    if not isinstance(sys.stdout, Router) and sys.stdout is not None:
        sys.stdout = Router(sys.stdout, "stdout")
    if not isinstance(sys.stderr, Router) and sys.stderr is not None:
        sys.stderr = Router(sys.stderr, "stderr")
