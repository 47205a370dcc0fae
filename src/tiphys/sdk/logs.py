"""What a step prints and logs: shown as before, and kept line by line with its time and its source.

The standard streams are replaced once by routers that look at a context variable; a log record is taken where loggers
hand records to their handlers, so neither levels nor handlers nor `logging.basicConfig` behave differently, and what a
console handler shows is not kept a second time. Threads that a step starts inherit its context.

A stored log is one text file, a line for each line of output: `2026-01-31T12:00:00.123456Z stdout the text`, where the
second word is `stdout`, `stderr` or the level of a log record. Lines that a carriage return overwrote are left out.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import logging
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, TextIO

from tiphys.ports.artifact_store import ArtifactStore
from tiphys.sdk import lanes
from tiphys.sdk.lanes import Lane

#: Name of the file in the artifact store.
FILE = "log.txt"
#: A log that is smaller is stored without a staging folder; bytes.
SMALL = 64 * 1024
#: Where somebody stores logs in parts (`services.log_keeping`): their size, and what is longer is left to them; bytes.
PART = 4 * 1024 * 1024
#: A step that is older, or has this much to write, gets a live file; seconds and bytes.
LIVE_AFTER, LIVE_SIZE = 0.5, 8 * 1024
#: Pieces that wait for the writing thread's next look.
MANY = 512
#: Lines of one source have the same time if they come so shortly after one another; seconds.
GRAIN = 0.001
#: Pieces of one source within `GRAIN` after which a thread writes through a lane.
BURST = 16
#: Seconds between two writes of a process that may be killed, if it prints without pause.
EAGER = 0.01
#: Text without an end of line is shown at most so often; seconds.
REFRESH = 0.05
#: Seconds between two looks of the writing thread, and after which it ends if there is nothing to do.
TICK, IDLE = 0.25, 5.0
#: A line without an end is cut here; characters.
LONGEST = 16 * 1024

_END = "\n"


class LogLine(NamedTuple):
    """One line of a stored or live log."""

    time: datetime
    #: `stdout`, `stderr`, or the level of a log record.
    source: str
    text: str


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
        self.take = self._pieces.append
        self.source, self.until = "", 0.0
        #: Time and source of the last mark that was dealt with.
        self._last = (0.0, "stdout")
        self._partial = {"stdout": "", "stderr": ""}
        #: Lines that are not in the live file.
        self._rendered: list[bytes] = []
        self._file: BinaryIO | None = None
        self._began = time.monotonic()
        self._last_write = 0.0
        self._token: contextvars.Token[Capture | _ShownOnly | None] | None = None
        self._finished = False
        self.shown_only = None if show is None else _ShownOnly(self)
        #: Lanes that are open, and all.
        self.lanes: set[Lane] = set()
        self.all_lanes: list[Lane] = []

    def __enter__(self) -> Self:
        _install()
        outer = _current.get()
        if outer is not None:
            outer.close_lanes()
        _active.add(self)
        if _writer is None:
            _start_writer()
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
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
            first, began, before = self._marks[-1] if self._marks else (0, 0.0, "")
            is_fast = before is source and len(self._pieces) - first > BURST and now - began < 2 * GRAIN
            self._marks.append((len(self._pieces), now, source))
            self._pieces.append(text)
            ends = _END in text
            self.source, self.until = source, now + GRAIN if ends else 0.0
        if self._eager:
            if ends:
                self.write_soon(EAGER)
        elif len(self._pieces) > MANY:
            _wake.set()
        return is_fast

    def close_lanes(self) -> None:
        """Keep what this thread's lanes hold, before something that came later."""
        owner = threading.get_ident()
        for lane in [lane for lane in self.lanes if lane.owner == owner]:
            lane.close_lane()
            if not lane.is_open:
                self.lanes.discard(lane)

    def empty_lanes(self) -> None:
        """Keep what is in all lanes, so that it does not wait for more."""
        for lane in list(self.all_lanes):
            lane.empty()
            if not lane.is_open:
                self.lanes.discard(lane)

    def add_record(self, record: logging.LogRecord) -> None:
        """Take a log record."""
        if self.lanes:
            self.close_lanes()
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = str(record.msg)
        if record.name != "root":
            text = f"{record.name}: {text}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        source = record.levelname
        if self.source == source and record.created <= self.until:
            self.take(f"{text}\n")
        else:
            self.add(source.replace(" ", "_") or "NOTSET", f"{text}\n", record.created)

    def add_shown(self, source: str, text: str) -> None:
        """Take what is shown and not kept."""
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
        _active.discard(self)
        self.lanes.clear()
        for lane in self.all_lanes:
            lane.close_lane()
        if self._poll is not None:
            self._poll(self)
        with self._writing:
            self._render()
            self._finished = True
            self.source = ""
            now = time.time()
            rest = [_lines(now, source, _visible(text)) for source, text in self._partial.items() if text]
            self._rendered += [line.encode("utf-8", "backslashreplace") for line in rest]

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
                parts.append(_lines(at, source, whole))
            if rest:
                if "\r" in rest:  # what follows a carriage return takes the line's place
                    rest = rest[max(0, rest.rstrip("\r").rfind("\r")) :]
                if len(rest) > LONGEST:
                    parts.append(_lines(at, source, rest))
                    rest = ""
            if source in self._partial:
                self._partial[source] = rest
        if parts:
            self._rendered.append("".join(parts).encode("utf-8", "backslashreplace"))

    def _close(self) -> None:
        with self._writing:
            if self._file is not None:
                self._file.close()

    def forget(self) -> None:
        """In a forked child: the lines are the parent's, and nobody holds the locks here."""
        self._lock, self._writing = threading.RLock(), threading.RLock()
        for lane in self.all_lanes:
            lane.forget()
        self.lanes.clear()
        self._path, self._file, self._eager, self._poll, self.show = None, None, False, None, None
        self._pieces, self._marks, self._shown, self._rendered = [], [], [], []
        self.take = self._pieces.append


class _ShownOnly:
    """Stands for a capture where handlers show records that it keeps already."""

    source = ""
    until = 0.0
    lanes: frozenset[Lane] = frozenset()

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.close_lanes = capture.close_lanes
        self.show = capture.show
        self.take = capture.take
        self.write_soon = capture.write_soon

    def add(self, source: str, text: str) -> bool:
        """Take what is to be shown."""
        self._capture.add_shown(source, text)
        return False


class _Router(threading.local):
    """Stands for a standard stream: shows what is written there, and keeps it if a step wrote it.

    Its attributes are each thread's own, so that a thread may have a lane in the place of `write`.
    """

    def __init__(self, stream: TextIO, source: str) -> None:
        self._stream = stream
        self._source = source
        self._write = stream.write
        self._flush = stream.flush
        # What is not the interpreter's own kind of stream may end in another router (a live view wraps one), which must
        # not keep the text a second time.
        self._is_last = type(stream) is io.TextIOWrapper
        self._is_buffered = self._is_last and not (stream.line_buffering or getattr(stream, "write_through", False))
        self._lane: tuple[Capture, Lane] | None = None

    def write(self, text: str) -> int:
        """Write to the stream below and to the present capture."""
        kept_by = _current.get()
        if kept_by is None:
            return self._write(text)
        if kept_by.lanes:
            kept_by.close_lanes()
        if self._put(kept_by, text) and isinstance(kept_by, Capture) and (self._is_buffered or kept_by.show):
            self._open_lane(kept_by)
        return len(text)

    def _write_slowly(self, text: str) -> int:
        return _Router.write(self, text)

    def _put(self, kept_by: Capture | _ShownOnly, text: str) -> bool:
        """Returns whether text comes without pause."""
        self._show(kept_by, text)
        if kept_by.source is self._source and ("\n" not in text or _now() <= kept_by.until):
            kept_by.take(text)
            return False
        return kept_by.add(self._source, text)

    def _put_chunk(self, kept_by: Capture, text: str) -> None:
        kept_by.add(self._source, text)
        kept_by.write_soon(0.0)
        try:
            self._show(kept_by, text)
        except UnicodeEncodeError:  # a single print would have failed; whose it was is not known any more
            self._show(kept_by, text.encode(self._stream.encoding, "backslashreplace").decode(self._stream.encoding))

    def _show(self, kept_by: Capture | _ShownOnly, text: str) -> None:
        if kept_by.show is None:
            if self._is_last:
                self._write(text)
            else:
                token = _current.set(None)
                try:
                    self._write(text)
                finally:
                    _current.reset(token)

    def _open_lane(self, kept_by: Capture) -> None:
        if self._lane is None or self._lane[0] is not kept_by:
            self._lane = (kept_by, Lane(self.__dict__, lambda text: self._put_chunk(kept_by, text), self._write_slowly))
            kept_by.all_lanes.append(self._lane[1])
        lane = self._lane[1]
        lane.open()
        kept_by.lanes.add(lane)
        _wake.set()

    def flush(self) -> None:
        """Show what was written."""
        kept_by = _current.get()
        if kept_by is None:
            self._flush()
            return
        if kept_by.lanes:
            kept_by.close_lanes()
        if kept_by.show is None:
            self._flush()
        else:
            kept_by.write_soon(REFRESH)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_current: contextvars.ContextVar[Capture | _ShownOnly | None] = contextvars.ContextVar("tiphys_log", default=None)
_active: set[Capture] = set()
_writer: threading.Thread | None = None
_writer_lock = threading.Lock()
_wake = threading.Event()
_hooked = False
_eager = False
_poll: Callable[[Capture], None] | None = None
_show: Callable[[str, str], None] | None = None
_now = time.time
_call_handlers = logging.Logger.callHandlers
_start_thread = threading.Thread.start


def live_path(home: str | Path, run_id: str, step: str, attempt: int) -> Path:
    """Where the log of a running step is, once it ran for a moment or wrote much. `attempt` is zero-based."""
    return Path(_live_name(home, run_id, step, attempt))


def logs_of_run(home: str | Path, run_id: str) -> Path:
    """Folder of a run's live logs."""
    return Path(f"{home}/logs/{run_id}")


def _live_name(home: str | Path, run_id: str, step: str, attempt: int) -> str:
    return f"{home}/logs/{run_id}/{step}.{attempt}.log"


def capture(context: Mapping[str, Any], *, attempt: int | None = None) -> Capture:
    """A context manager that keeps what is printed and logged in it.

    Without `finish` the log stays where it is live, and is made there if need be: a step that was stopped has nobody
    who would take note of a stored one.

    Args:
        context: The task's context; `home`, `run_id` and `step_name` say where the live file goes.
        attempt: Zero-based attempt; by default that of the context.
    """
    in_parts = bool(context.get("logs_in_parts"))
    return Capture(_name_of(context, attempt), eager=_eager, poll=_poll, show=_show, in_parts=in_parts)


def path_of(context: Mapping[str, Any], attempt: int | None = None) -> Path | None:
    """Where the live log of a task with this context is; None if it says no home."""
    name = _name_of(context, attempt)
    return None if name is None else Path(name)


def _name_of(context: Mapping[str, Any], attempt: int | None) -> str | None:
    home = context.get("home")
    if not home:
        return None
    number = context.get("attempt", 0) if attempt is None else attempt
    return _live_name(home, context.get("run_id", "-"), context.get("step_name", "step"), number)


def expect_crashes(poll: Callable[[Capture], None], show: Callable[[str, str], None]) -> None:
    """From now on write lines at once and ask `poll` for what was written past the streams, which show nothing.

    For a process that carries out one step and may be killed.
    """
    global _eager, _poll, _show
    _eager, _poll, _show = True, poll, show


def store_file(path: Path, store: ArtifactStore) -> str:
    """Store a live log as a step's log; returns its digest."""
    if path.stat().st_size < SMALL:
        return store.commit_bytes(FILE, path.read_bytes()).digest
    with store.staging() as folder:
        shutil.copyfile(path, folder / FILE)
        return store.commit(folder).digest


def store_log(path: Path, store: ArtifactStore, *, in_parts: bool) -> str | None:
    """Store a live log and remove it, unless it is long and stored in parts; returns its digest."""
    if in_parts and path.stat().st_size >= PART:
        return None
    digest = store_file(path, store)
    path.unlink(missing_ok=True)
    return digest


def append_lines(path: Path, source: str, text: str) -> None:
    """Add lines to the live log of a step that can no longer do so itself."""
    lines = _END.join(text.splitlines())
    if text:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(_lines(time.time(), source, lines).encode("utf-8", "backslashreplace"))


def last_lines(path: Path, count: int) -> list[LogLine]:
    """The last lines of a live log; none if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - SMALL))
            lines = file.read().decode("utf-8", "replace").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [parse_line(line) for line in lines[-count:]]


def parse_line(line: str) -> LogLine:
    """Read one line of a stored or live log."""
    moment, _, rest = line.removesuffix("\n").partition(" ")
    source, _, text = rest.partition(" ")
    return LogLine(datetime.fromisoformat(moment), source, text)


def _visible(text: str) -> str:
    """What is left of a line after its carriage returns."""
    line = text.rstrip("\r")
    return line[line.rfind("\r") + 1 :]


def _lines(at: float, source: str, text: str) -> str:
    """Lines of a log, all of one moment and one source."""
    if "\r" in text:
        text = "\n".join(map(_visible, text.split("\n")))
    whole = int(at)
    stamp = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    prefix = f"{stamp}.{int((at - whole) * 1_000_000):06d}Z {source} "
    return f"{prefix}{text.replace(_END, _END + prefix)}{_END}"


def _install() -> None:
    """Put the routers in place; again if something else took the streams over since (a test's capture, a notebook)."""
    if not isinstance(sys.stdout, _Router) and sys.stdout is not None:
        sys.stdout = _Router(sys.stdout, "stdout")
    if not isinstance(sys.stderr, _Router) and sys.stderr is not None:
        sys.stderr = _Router(sys.stderr, "stderr")
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
    kept_by = _current.get()
    if not isinstance(kept_by, Capture):
        _call_handlers(self, record)
        return
    kept_by.add_record(record)
    token = _current.set(kept_by.shown_only)
    try:
        _call_handlers(self, record)
    finally:
        _current.reset(token)


def _start_in_context(self: threading.Thread) -> None:
    """`Thread.start` that hands the step's context on, as Python 3.14 can do by itself."""
    if _current.get() is not None:
        run, context = self.run, contextvars.copy_context()

        def run_in_context() -> None:
            del self.run
            context.run(run)

        self.run = run_in_context  # type: ignore[method-assign]
    _start_thread(self)


def _start_writer() -> None:
    global _writer
    with _writer_lock:
        if _writer is None:
            _writer = threading.Thread(target=_write, name="tiphys-logs", daemon=True)
            _start_thread(_writer)


def _write() -> None:
    """Write due lines to live files until there was nothing to do for a while."""
    global _writer
    idle_since = ticked = time.monotonic()
    broken: set[Capture] = set()
    while True:
        is_woken = _wake.wait(lanes.PAUSE if any(each.lanes for each in list(_active)) else TICK)
        _wake.clear()
        now = time.monotonic()
        for each in list(_active):
            each.empty_lanes()
        if not is_woken and now - ticked < TICK:
            continue
        ticked = now
        for each in list(_active):
            idle_since = now
            if each in broken:
                continue
            try:
                each.tick()
            except OSError as error:
                broken.add(each)
                logging.getLogger(__name__).warning("A step's live log cannot be written: %s", error)
        broken &= _active
        if time.monotonic() - idle_since > IDLE:
            with _writer_lock:
                _writer = None
                if not _active:
                    return
                _writer = threading.current_thread()


def _after_fork() -> None:
    global _writer, _writer_lock
    _writer, _writer_lock = None, threading.Lock()
    _current.set(None)
    for each in _active:
        each.forget()
    _active.clear()
