"""Carries each Python step out in a process of its own, which outlives this one if it must.

A forkserver with the step runtime loaded makes the processes; a step that cannot be imported there (of a script, a
notebook, another function) travels as a payload, so nothing of the user's is run twice. What a task left on disk
(`task_folder`) is enough for another process to take it up.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tiphys._util import tracing
from tiphys.engine.events import TaskFinished
from tiphys.errors import NotFoundError
from tiphys.integrations.local.messages import EchoReader, Unpacker, pack
from tiphys.integrations.local.payloads import Payloads
from tiphys.integrations.local.task_folder import TaskFolder, tasks_folder
from tiphys.ports.runner import Report, Runner, Task
from tiphys.sdk.logs.files import append_lines, last_lines, path_of
from tiphys.sdk.logs.streams import escaped
from tiphys.sdk.runtime import report_lost
from tiphys.sdk.wire import finished_from_text, task_to_json

#: Seconds between two looks at tasks that are not the forkserver's children.
POLL = 0.1
#: How many such looks a process that is gone has to leave word of its end.
PATIENCE = 5
#: Seconds that running steps have to end by themselves when the runner is closed.
CLOSING_GRACE = 3.0
#: Folders of tasks that nobody asked for are removed after so many seconds.
KEPT = 7 * 24 * 3600.0
#: Lines of a crashed step's log that its message shows.
SHOWN = 5


class _Job:
    """A task that was launched or taken up."""

    __slots__ = ("cancelled", "folder", "kill_at", "missed", "report", "sent", "task", "watched")

    def __init__(self, task: Task, report: Report, folder: TaskFolder) -> None:
        self.task = task
        self.report = report
        self.folder = folder
        self.cancelled = False
        #: Whether a forkserver was asked for it.
        self.sent = False
        #: How often nothing was seen of a watched process: what it left may become visible a moment later.
        self.missed = 0
        #: Whether its process is another forkserver's child, so that nobody tells of its end.
        self.watched = False
        #: When a watched process is to be killed; monotonic seconds.
        self.kill_at: float | None = None


class ProcessRunner(Runner):
    """Steps run in processes of their own.

    Args:
        home: Folder below which tasks and logs are kept.
    """

    name = "process"

    def __init__(self, home: Path) -> None:
        self._home = Path(home).absolute()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, _Job] = {}
        self._reported: list[TaskFolder] = []
        self._outbox: queue.SimpleQueue[_Job | bytes | None] = queue.SimpleQueue()
        self._payloads = Payloads()
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._closed = False

    def launch(self, task: Task, report: Report) -> None:
        """Have a process made for the task, unless it has one or had one that ended."""
        with self._lock:
            if self._closed or task.id in self._jobs:
                return
            job = self._jobs[task.id] = _Job(task, report, TaskFolder(self._home, task.id))
            self._start_threads()
        if self._take_up(job):
            return
        self._outbox.put(job)

    def cancel(self, task_id: str, grace: float) -> None:
        """SIGTERM to the task's processes, which its step sees as `StepCancelledError`, and SIGKILL after `grace`."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is None or job.cancelled:
                return
            job.cancelled = True
            if job.watched:
                self._terminate_watched(job, grace)
        self._outbox.put(pack({"op": "cancel", "id": task_id, "grace": grace}))
        self._wake()

    def let_go(self, task_id: str, grace: float) -> None:  # the port's; nothing is ended
        """Hear no more of the task's process; one that was not made yet is not made any more."""
        with self._lock:
            job = self._jobs.pop(task_id, None)
            if job is not None:
                job.cancelled = not job.sent
            folder = TaskFolder(self._home, task_id)
            self._reported = [each for each in self._reported if each.path != folder.path]
            self._changed.notify_all()

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Take up tasks whose processes run, or ended and left word of it."""
        found = set()
        for task in tasks:
            with self._lock:
                job = self._jobs.get(task.id)
                if job is not None:
                    job.report = report
                    found.add(task.id)
                    continue
                job = self._jobs[task.id] = _Job(task, report, TaskFolder(self._home, task.id))
                self._start_threads()
            if self._take_up(job):
                found.add(task.id)
            else:
                with self._lock:
                    del self._jobs[task.id]
        return found

    def close(self) -> None:
        """End what runs: no process is left."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            running = list(self._jobs)
        for task_id in running:
            self.cancel(task_id, CLOSING_GRACE)
        with self._lock:
            self._changed.wait_for(lambda: not self._jobs, CLOSING_GRACE + 5)
        self._outbox.put(None)
        for thread in self._threads:
            thread.join(5)
        self._wake_in.close()
        self._wake_out.close()
        for folder in self._reported:
            folder.remove()

    def _start_threads(self) -> None:
        """The lock is held."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._send, name="tiphys-process-launcher", daemon=True),
                threading.Thread(target=self._listen, name="tiphys-process-listener", daemon=True),
            ]
            for thread in self._threads:
                thread.start()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"x")

    def _take_up(self, job: _Job) -> bool:
        """Whether the task was carried out or is, by a process of an earlier runner; then its end will be reported."""
        folder = job.folder
        claim = folder.claimed_by()
        if claim is None:
            return False
        # The order matters: a process that is gone has left its word already.
        if not claim.is_alive() and folder.result() is None and folder.exit_status() is None:
            return False
        with self._lock:
            job.watched = True
        self._wake()
        return True

    # The launching thread

    def _send(self) -> None:
        """Carry out what is in the outbox, in its order."""
        self._sweep()
        while True:
            item = self._outbox.get()
            if item is None:
                with self._lock:
                    server = self._server
                if server is not None:
                    server.disconnect()
                self._wake()
                return
            if isinstance(item, _Job):
                self._send_launch(item)
            else:
                with self._lock:
                    server = self._server
                if server is not None:
                    server.send(item)

    def _send_launch(self, job: _Job) -> None:
        if job.cancelled:
            self._finish(job, None)
            return
        job.folder.remove()  # of a process that died with its forkserver
        try:
            payloads, payload = self._payloads.of(job.task)
            message = {"op": "launch", "task": task_to_json(job.task), "payloads": payloads, "home": str(self._home)}
            message["traceparent"] = tracing.parent_of(job.task.workflow_uid, job.task.node_id)
            packed = pack(message, payload)
            server = self._connected_server()
        except Exception as error:  # noqa: BLE001  # reported: any object of the user's may refuse to be pickled
            problem = _cannot_travel(job.task, error)
            self._finish(job, report_lost(job.task, problem, started_at=time.time(), retryable=False))
            return
        job.sent = True
        server.send(server.setup() + packed)

    def _connected_server(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _Server(self._home)
                self._wake()
            return self._server

    def _sweep(self) -> None:
        """Remove what tasks of long ago left."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(tasks_folder(self._home)):
                if entry.is_dir() and entry.stat().st_mtime < time.time() - KEPT:
                    shutil.rmtree(entry.path, ignore_errors=True)

    # The listening thread

    def _listen(self) -> None:
        """Hear of ended processes, look after those that nobody tells of, and show what they print."""
        selector = selectors.DefaultSelector()
        selector.register(self._wake_in, selectors.EVENT_READ)
        heard: _Server | None = None
        while True:
            with self._lock:
                server = self._server
                watched = [job for job in self._jobs.values() if job.watched]
                over = self._closed and server is None and not self._jobs
            if over:
                return
            if server is not heard:
                if server is not None:
                    server.register(selector)
                heard = server
            lost = False
            for key, _ in selector.select(POLL if watched else None):
                if key.fileobj is self._wake_in:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_in.recv(4096)
                elif server is not None and not server.receive(key.fileobj):
                    lost = True
            if server is not None:
                for task_id, taken in server.ended():
                    self._end(task_id, taken=taken)
                if lost:
                    server.unregister(selector)
                    self._lose_server(server)
            for job in watched:
                self._look_at(job)

    def _lose_server(self, server: _Server) -> None:
        """The forkserver is gone (killed, or told to end): its children are looked after from here."""
        server.wait()
        with self._lock:
            self._server = None
            for job in self._jobs.values():
                job.watched = job.watched or job.sent

    def _end(self, task_id: str, *, taken: bool) -> None:
        with self._lock:
            job = self._jobs.get(task_id)
            if job is None:
                return
            if taken:
                job.watched = True
                return
        self._finish(job, self._report_of(job))

    def _look_at(self, job: _Job) -> None:
        """See whether a watched process has ended."""
        claim = job.folder.claimed_by()
        alive = claim is not None and claim.is_alive()
        if claim is not None and alive:
            with self._lock:
                due = job.kill_at is not None and job.kill_at <= time.monotonic()
                if due:
                    job.kill_at = None
            if due:
                _signal_group(claim.pid, signal.SIGKILL)
            return
        if job.folder.result() is None and job.folder.exit_status() is None and job.missed < PATIENCE:
            job.missed += 1
            return
        if claim is not None and job.cancelled:
            _signal_group(claim.pid, signal.SIGKILL)
        self._finish(job, self._report_of(job))

    def _terminate_watched(self, job: _Job, grace: float) -> None:
        claim = job.folder.claimed_by()
        if claim is not None and claim.is_alive():
            job.kill_at = time.monotonic() + grace
            _signal_group(claim.pid, signal.SIGTERM)

    def _finish(self, job: _Job, finished: TaskFinished | None) -> None:
        with self._lock:
            if self._jobs.pop(job.task.id, None) is None:
                return
            self._reported.append(job.folder)
            wanted = not job.cancelled and not self._closed
            self._changed.notify_all()
        if wanted and finished is not None:
            job.report(finished)

    def _report_of(self, job: _Job) -> TaskFinished | None:
        """The report that the process left, or one about how it ended without."""
        result = job.folder.result()
        if result is not None:
            return finished_from_text(result)
        log = path_of(job.task.context, job.task.attempt)
        if log is not None:
            with contextlib.suppress(OSError):  # there is no room for its last lines
                for stream, text in job.folder.unread().items():
                    append_lines(log, stream, text)
        return None if job.cancelled else self._report_crash(job)

    def _report_crash(self, job: _Job) -> TaskFinished:
        task, claim = job.task, job.folder.claimed_by()
        if claim is None:
            place = _log_of_server(self._home)
            message = f"No process could be made for the step '{task.step_name}'; {place} tells more."
            return report_lost(task, message, started_at=time.time())
        message = f"The process of the step '{task.step_name}' {_how_it_ended(job.folder.exit_status())}"
        log = path_of(task.context, task.attempt)
        last = [] if log is None else last_lines(log, SHOWN)
        if last:
            message += " The end of its log:\n" + "\n".join(f"  {line.text}" for line in last)
        return report_lost(task, message, started_at=claim.at)


class _Server:
    """A forkserver and the connection to it.

    Args:
        home: Where it writes what goes wrong.
    """

    def __init__(self, home: Path) -> None:
        self._socket, theirs = socket.socketpair()
        self._echo, echo_in = os.pipe()
        os.set_blocking(self._echo, False)
        tasks_folder(home).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with _log_of_server(home).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter and our own module
                [
                    sys.executable,
                    "-P",  # the working directory is no place to import from
                    "-m",
                    "tiphys.integrations.local.forkserver",
                    str(theirs.fileno()),
                    str(echo_in),
                ],
                pass_fds=[theirs.fileno(), echo_in],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        theirs.close()
        os.close(echo_in)
        self._known_setup: tuple[Any, ...] | None = None
        self._unpacker = Unpacker()
        self._echo_reader = EchoReader()
        self._ended: list[tuple[str, bool]] = []
        self._sending = threading.Lock()

    def setup(self) -> bytes:
        """A message about this process's surroundings, if they changed since the last one."""
        folder = str(Path.cwd())
        environment, path = dict(os.environ), [each or folder for each in sys.path]
        if self._known_setup == (environment, path, folder):
            return b""
        self._known_setup = environment, path, folder
        return pack({"op": "setup", "environment": environment, "path": path, "folder": folder})

    def send(self, data: bytes) -> None:
        """Send messages; if the server died, its end is noticed by who listens."""
        with contextlib.suppress(OSError), self._sending:
            self._socket.sendall(data)

    def disconnect(self) -> None:
        """Have the server end once its children have."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def register(self, selector: selectors.BaseSelector) -> None:
        """Listen."""
        selector.register(self._socket, selectors.EVENT_READ)
        selector.register(self._echo, selectors.EVENT_READ)

    def unregister(self, selector: selectors.BaseSelector) -> None:
        """Listen no more."""
        selector.unregister(self._socket)
        with contextlib.suppress(KeyError):
            selector.unregister(self._echo)
        os.close(self._echo)
        self._socket.close()

    def receive(self, source: Any) -> bool:
        """Read what has come; False if the server is gone."""
        if source == self._echo:
            self._drain()
            return True
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        self._ended += [
            (message["id"], message["taken"]) for message, _ in self._unpacker.feed(data) if message["op"] == "ended"
        ]
        return bool(data)

    def ended(self) -> list[tuple[str, bool]]:
        """Tasks whose processes ended, each with whether another process has the task."""
        ended, self._ended = self._ended, []
        if ended:
            self._drain()
        return ended

    def wait(self) -> None:
        """Reap it."""
        self._process.wait()

    def _drain(self) -> None:
        """Show what processes wrote; before the news of its end, all that a process wrote."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._echo, 1 << 16):
                self._show(data)

    def _show(self, data: bytes) -> None:
        streams = {"stdout": sys.stdout, "stderr": sys.stderr}
        for name, text in self._echo_reader.feed(data):
            stream = streams[name]
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):  # closed by its owner
                    try:
                        stream.write(text)
                    except UnicodeEncodeError:
                        stream.write(escaped(text, stream))
        for stream in streams.values():
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()


def _log_of_server(home: Path) -> Path:
    return tasks_folder(home) / "forkserver.log"


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "ended without a report."
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit status {code} before the step was done."
    name = signal.Signals(-code).name
    told = signal.strsignal(-code)
    hint = " (perhaps the machine had no memory left)" if name == "SIGKILL" else ""
    return f"was ended by {name}, {told}{hint}."


def _cannot_travel(task: Task, error: Exception) -> str:
    reason = error.message if isinstance(error, NotFoundError) else f"{type(error).__qualname__}: {error}"
    return f"The step '{task.step_name}' cannot be handed to a process of its own: {reason}"
