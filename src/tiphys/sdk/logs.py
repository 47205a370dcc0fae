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
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, TextIO

from tiphys.ports.artifact_store import ArtifactStore

#: Name of the file in the artifact store.
FILE = "log.txt"
#: A log that is smaller is stored without a staging folder; bytes.
SMALL = 64 * 1024
#: A step that is older, or has this much to write, gets a live file; seconds and characters.
LIVE_AFTER, LIVE_SIZE = 0.5, 8 * 1024
#: Seconds between two looks of the writing thread, and after which it ends if there is nothing to do.
TICK, IDLE = 0.25, 5.0
#: A line without an end is cut here; characters.
LONGEST = 16 * 1024

Line = tuple[float, str, str]


class LogLine(NamedTuple):
    """One line of a stored or live log."""

    time: datetime
    #: `stdout`, `stderr`, or the level of a log record.
    source: str
    text: str


class Capture:
    """Keeps what is written in its context; made by `capture`.

    Args:
        path: Where the live file goes if there is to be one.
        eager: Whether lines are written to the live file at once, for processes that may be killed.
        poll: Called before lines are written out, to add what was written past the streams.
    """

    def __init__(self, path: str | None, *, eager: bool = False, poll: Callable[[Capture], None] | None = None) -> None:
        self._path = path
        self._eager = eager
        self._poll = poll
        # Reentrant, because a signal handler or a finalizer may print while a line is being added.
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._lines: list[Line] = []
        self._waiting = 0
        self._partial = {"stdout": "", "stderr": ""}
        self._file: BinaryIO | None = None
        self._began = time.monotonic()
        self._last_write = 0.0
        self._token: contextvars.Token[Capture | None] | None = None
        self._finished = False

    def __enter__(self) -> Self:
        _install()
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
            self._end_live_writing()
            self._write_out()
            self._close()

    def add(self, source: str, text: str) -> None:
        """Take what was written to a stream. Threads that the step left behind are not heard any more."""
        if self._finished:
            return
        with self._lock:
            before = self._partial[source]
            if "\n" not in text:
                # What follows a carriage return takes the line's place.
                text = text if before.endswith("\r") and text.strip("\r") else before + text
                if len(text) <= LONGEST:
                    self._partial[source] = text
                    return
                text += "\n"
            else:
                text = before + text
            *complete, self._partial[source] = text.split("\n")
            now = time.time()
            self._lines += [(now, source, _visible(line) if "\r" in line else line) for line in complete]
            self._waiting += len(text)
        if self._eager:
            self._write_eagerly()
        elif self._waiting > LIVE_SIZE:
            _wake.set()

    def replace(self, source: str, text: str) -> None:
        """Take what was written over an incomplete line, as progress bars do: the quick way, for they do it often."""
        if len(text) == 1:
            self.add(source, text)
        else:
            self._partial[source] = text

    def add_record(self, record: logging.LogRecord) -> None:
        """Take a log record."""
        if self._finished:
            return
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = str(record.msg)
        if record.name != "root":
            text = f"{record.name}: {text}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        source = record.levelname.replace(" ", "_") or "NOTSET"
        lines = [(record.created, source, _visible(line)) for line in text.split("\n")]
        with self._lock:
            self._lines += lines
            self._waiting += len(text)
        if self._eager:
            self._write_eagerly()

    def finish(self, store: ArtifactStore) -> str | None:
        """Store the log; returns its digest, or None if nothing was written. The live file is removed then."""
        self._complete()
        self._end_live_writing()
        if self._path is None or self._file is None:
            return store.commit_bytes(FILE, _render(self._lines)).digest if self._lines else None
        self._write_out()
        self._close()
        path = Path(self._path)
        digest = store_file(path, store)
        path.unlink(missing_ok=True)
        return digest

    def _complete(self) -> None:
        """No more is expected: incomplete lines are taken as they are."""
        _active.discard(self)
        if self._poll is not None:
            self._poll(self)
        with self._lock:
            now = time.time()
            for source, text in self._partial.items():
                if text:
                    self._lines.append((now, source, _visible(text)))
                    self._partial[source] = ""

    def _is_due(self) -> bool:
        return (
            self._path is not None
            and bool(self._lines)
            and (self._file is not None or self._waiting > LIVE_SIZE or time.monotonic() - self._began > LIVE_AFTER)
        )

    def _tick(self) -> None:
        """What the writing thread does now and then."""
        if self._poll is not None:
            self._poll(self)
        if self._is_due():
            self._write_out(live=True)

    def _write_eagerly(self) -> None:
        now = time.monotonic()
        if now - self._last_write > 0.002:
            self._last_write = now
            with contextlib.suppress(OSError):  # a step does not fail for what it prints: it is tried again
                self._write_out(live=True)

    def _end_live_writing(self) -> None:
        """Wait for another thread that is just writing lines out; from now on they are left to this one."""
        with self._writing:
            self._finished = True

    def _write_out(self, *, live: bool = False) -> None:
        """Append what waits to the live file, and make that first if need be.

        Args:
            live: Only if the step goes on; at its end somebody else takes what waits.
        """
        if self._path is None:
            return
        with self._writing:
            if live and self._finished:
                return
            with self._lock:
                lines, self._lines, self._waiting = self._lines, [], 0
            if not lines:
                return
            try:
                if self._file is None:
                    path = Path(self._path)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = path.open("wb", buffering=0)
                self._file.write(_render(lines))
            except OSError:
                with self._lock:
                    self._lines[:0] = lines
                raise

    def _close(self) -> None:
        with self._writing:
            if self._file is not None:
                self._file.close()

    def _forget(self) -> None:
        """In a forked child: the lines are the parent's, and nobody holds the locks here."""
        self._lock, self._writing = threading.RLock(), threading.Lock()
        self._path, self._file, self._eager, self._poll = None, None, False, None
        self._lines = []


class _Router:
    """Stands for a standard stream: shows what is written there, and keeps it if a step wrote it."""

    def __init__(self, stream: TextIO, source: str) -> None:
        self._stream = stream
        self._source = source
        self._write = stream.write
        self.flush = stream.flush
        # What is not the interpreter's own kind of stream may end in another router (a live view wraps one), which must
        # not keep the text a second time.
        self._is_last = type(stream) is io.TextIOWrapper

    def write(self, text: str) -> int:
        """Write to the stream below and to the present capture."""
        kept_by = _current.get()
        if kept_by is None:
            return self._write(text)
        if self._is_last:
            written = self._write(text)
        else:
            token = _current.set(None)
            try:
                written = self._write(text)
            finally:
                _current.reset(token)
        if text[:1] == "\r" and "\n" not in text:
            kept_by.replace(self._source, text)
        else:
            kept_by.add(self._source, text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_current: contextvars.ContextVar[Capture | None] = contextvars.ContextVar("tiphys_log", default=None)
_active: set[Capture] = set()
_writer: threading.Thread | None = None
_writer_lock = threading.Lock()
_wake = threading.Event()
_hooked = False
_eager = False
_poll: Callable[[Capture], None] | None = None
_call_handlers = logging.Logger.callHandlers
_start_thread = threading.Thread.start


def live_path(home: str | Path, run_id: str, step: str, attempt: int) -> Path:
    """Where the log of a running step is, once it ran for a moment or wrote much. `attempt` is zero-based."""
    return Path(_live_name(home, run_id, step, attempt))


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
    return Capture(_name_of(context, attempt), eager=_eager, poll=_poll)


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


def expect_crashes(poll: Callable[[Capture], None]) -> None:
    """From now on write lines at once and ask `poll` for what was written past the streams.

    For a process that carries out one step and may be killed.
    """
    global _eager, _poll
    _eager, _poll = True, poll


def store_file(path: Path, store: ArtifactStore) -> str:
    """Store a live log as a step's log; returns its digest."""
    if path.stat().st_size < SMALL:
        return store.commit_bytes(FILE, path.read_bytes()).digest
    with store.staging() as folder:
        shutil.copyfile(path, folder / FILE)
        return store.commit(folder).digest


def append_lines(path: Path, source: str, text: str) -> None:
    """Add lines to the live log of a step that can no longer do so itself."""
    lines = [(time.time(), source, _visible(line)) for line in text.splitlines()]
    if lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(_render(lines))


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


def _render(lines: Iterable[Line]) -> bytes:
    parts = []
    second, stamp = -1, ""
    for moment, source, text in lines:
        whole = int(moment)
        if whole != second:
            second = whole
            stamp = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        parts.append(f"{stamp}.{int((moment - whole) * 1_000_000):06d}Z {source} {text}\n")
    return "".join(parts).encode("utf-8", "backslashreplace")


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
    if kept_by is None:
        _call_handlers(self, record)
        return
    kept_by.add_record(record)
    token = _current.set(None)
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
    idle_since = time.monotonic()
    broken: set[Capture] = set()
    while True:
        _wake.wait(TICK)
        _wake.clear()
        for each in list(_active):
            idle_since = time.monotonic()
            if each in broken:
                continue
            try:
                each._tick()  # noqa: SLF001  # the thread is a part of the class
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
        each._forget()  # noqa: SLF001  # the function is a part of the class
    _active.clear()
