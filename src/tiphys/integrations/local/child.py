"""A step's process: what is done between the fork and the end."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import faulthandler
import io
import linecache
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tiphys._util.disks import is_full
from tiphys._util.tracing import PARENT_VARIABLE
from tiphys.errors import StepCancelledError
from tiphys.integrations.local.messages import write_echo
from tiphys.integrations.local.task_folder import STREAMS, TaskFolder
from tiphys.ports.materializer import BaseMaterializer, registered
from tiphys.sdk.logs.capture import Capture, expect_crashes
from tiphys.sdk.logs.streams import REFRESH
from tiphys.sdk.registry import accept
from tiphys.sdk.runtime import run_task
from tiphys.sdk.wire import finished_to_text, task_from_json

#: Exit status of a process that found its task taken by another.
TAKEN = 75  # EX_TEMPFAIL
#: Seconds between tries to write what there was no room for.
_ROOM_LOOK = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a step's process has in common with the process that asked for it."""

    environment: Mapping[str, str]
    #: `sys.path`
    path: Sequence[str]
    #: Working directory.
    folder: str


def carry_out(
    message: Mapping[str, Any], payload: bytes, folder: TaskFolder, surroundings: Surroundings, echo: int
) -> int:
    """Carry out the task of a launch message in this fresh process; returns its exit status."""
    os.setsid()
    signal.signal(signal.SIGTERM, _on_terminate)
    _when_there_is_room(lambda: _redirect(folder))
    if not _when_there_is_room(folder.claim):
        return TAKEN
    task = task_from_json(message["task"])
    _enter(surroundings, task.context)
    if message["traceparent"]:
        os.environ[PARENT_VARIABLE] = message["traceparent"]
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    if "code" in task.context:  # sent by a client: what it prints is for its log, not for this machine's terminal
        echo = os.open(os.devnull, os.O_WRONLY)
    _Streams(folder, echo).install()
    try:
        _unpack(message["payloads"], payload, main)
        text = finished_to_text(run_task(task))
    except StepCancelledError:
        return 128 + signal.SIGTERM
    # Nobody would know of what may have taken hours.
    _when_there_is_room(lambda: folder.write_result(text))
    _end()
    return 0


def _when_there_is_room(write: Callable[[], T]) -> T:
    """What `write` gives, as soon as the disk is not full."""
    while True:
        try:
            return write()
        except OSError as error:
            if not is_full(error):
                raise
        time.sleep(_ROOM_LOOK)


def _on_terminate(_number: int, _frame: object) -> None:
    """SIGTERM ends the step as an exception, so that it can clean up; a second one ends the process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise StepCancelledError("The step was cancelled.")


def _redirect(folder: TaskFolder) -> None:
    """Let the standard descriptors lead to files: nobody's death can then block or break a write."""
    folder.path.mkdir(parents=True, exist_ok=True)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    for name, number in STREAMS.items():
        file = os.open(folder.path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    faulthandler.enable()


def _enter(surroundings: Surroundings, context: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(surroundings.environment)
    # A step that asks for records finds those of the run it belongs to, whatever the settings are here.
    for name, key in (("TIPHYS_HOME", "home"), ("TIPHYS_DB_URL", "db_url")):
        if context.get(key):
            os.environ[name] = str(context[key])
    time.tzset()
    sys.path[:] = surroundings.path
    os.chdir(surroundings.folder)


def _unpack(payloads: Sequence[Mapping[str, Any]], payload: bytes, main: types.ModuleType) -> None:
    """Make the functions and classes that cannot be imported here."""
    done = 0
    for each in payloads:
        part = payload[done : done + each["size"]]
        done += each["size"]
        if each["kind"] == "class":
            # Part of the launch message, as the step's function is: this process trusts its parent.
            found = pickle.loads(part)  # noqa: S301
            setattr(main, found.__name__, found)
            if issubclass(found, BaseMaterializer):
                # While it was unpacked it had no attributes yet, and so was not registered for any type.
                registered.update(dict.fromkeys(found.ASSOCIATED_TYPES, found))
                BaseMaterializer.generation += 1
        elif each["kind"] == "text":
            text = part.decode()
            linecache.cache[each["filename"]] = (len(text), None, text.splitlines(keepends=True), each["filename"])
        else:
            accept(each["source"], each["digest"], part)


def _end() -> None:
    """What the interpreter does at its end, without the time that it takes to destroy all objects."""
    # There is no public way to these two but the whole end; multiprocessing goes the same.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()


class _Streams:
    """The standard streams of a step's process.

    Python's are shown and kept at once; what was written past them (by libraries in C, by programs that the step
    starts) is found in the files that the descriptors lead to.
    """

    def __init__(self, folder: TaskFolder, echo: int) -> None:
        self._folder = folder
        self._echo = echo
        self._lock = threading.Lock()
        self._sizes = dict.fromkeys(STREAMS, 0)
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in STREAMS}

    def install(self) -> None:
        """Put them in place."""
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        for below in (sys.__stdout__, sys.__stderr__):
            if isinstance(below, io.TextIOWrapper):
                below.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        sys.stdout = _EchoStream("stdout", self._echo, sys.__stdout__)
        sys.stderr = _EchoStream("stderr", self._echo, sys.__stderr__)
        # What processes that the step forks print is not in this process's capture, so it takes the way of programs.
        os.register_at_fork(after_in_child=_print_to_descriptors)
        expect_crashes(self.poll, lambda name, text: _show(self._echo, name, text))

    def poll(self, capture: Capture) -> None:
        """Keep what came past Python's streams since the last time; it is shown, too."""
        with self._lock:
            found = False
            for name, number in STREAMS.items():
                size = os.fstat(number).st_size
                if size <= self._sizes[name]:
                    continue
                with (self._folder.path / name).open("rb") as file:
                    file.seek(self._sizes[name])
                    data = file.read()
                self._sizes[name] += len(data)
                text = self._decoders[name].decode(data)
                capture.add(name, text)
                found = True
            if found:
                with contextlib.suppress(OSError):  # its end is kept twice then, if the process crashes
                    self._folder.note_read(self._sizes)


class _EchoStream(io.TextIOBase):
    """Sends text to the runner's terminal, a line at a time. Bytes and descriptors are the file's below."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, echo: int, below: Any) -> None:
        self._name = name
        self._echo = echo
        self._below = below
        self._text: list[str] = []
        self._size = 0
        self._shown = 0.0

    @property
    def name(self) -> str:
        """As interpreters call it."""
        return f"<{self._name}>"

    @property
    def buffer(self) -> Any:
        """Takes bytes."""
        return self._below.buffer

    def fileno(self) -> int:
        """The descriptor that programs may write to."""
        return int(self._below.fileno())

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Take text; complete lines are shown."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._text.append(text)
        self._size += len(text)
        if "\n" in text or self._size > 4096:
            self._send()
        return len(text)

    def flush(self) -> None:
        """Show what is there, but progress bars not more often than one can see."""
        if self._text and time.monotonic() - self._shown > REFRESH:
            self._send()

    def _send(self) -> None:
        texts, self._text, self._size = self._text, [], 0
        self._shown = time.monotonic()
        _show(self._echo, self._name, "".join(texts))


def _show(echo: int, stream: str, text: str) -> None:
    try:
        write_echo(echo, stream, text)
    except OSError:  # nobody listens any more; the step goes on
        return


def _print_to_descriptors() -> None:
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
