"""Carries Argo's containers out on this machine: as host processes, or each container with its own file view.

A pod server starts and awaits them (`server`); it outlives this process if it must. What a pod left on disk (`folder`)
is enough for another process to take it up: its outputs are collected here, and can be collected again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tiphys._util.disks import is_full
from tiphys._util.ids import new_id
from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.engine.model import Phase
from tiphys.errors import StackError, TiphysError
from tiphys.integrations.local.pods.connection import Connection, log_of_server
from tiphys.integrations.local.pods.folder import PodFolder, in_use, pods_folder
from tiphys.integrations.local.pods.images import Image, make_shims
from tiphys.integrations.local.pods.job import Job
from tiphys.integrations.local.pods.orders import PodResult
from tiphys.integrations.local.pods.placing import prepare
from tiphys.integrations.local.pods.plan import (
    Flavour,
    Machine,
    Plan,
    ProgramMissingError,
    make_plan,
    needs_staging,
)
from tiphys.integrations.local.pods.processes import kill_marked
from tiphys.integrations.local.pods.removing import Remover
from tiphys.integrations.local.pods.reports import report_of
from tiphys.integrations.local.pods.sandbox import sandboxing
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Report, Runner, Task
from tiphys.sdk.pods.containers import CANNOT_START
from tiphys.sdk.pods.ends import report_from_text, report_problem, report_to_text
from tiphys.sdk.pods.objects import ArtifactDrivers, Objects
from tiphys.sdk.pods.progress import read_progress

_log = logging.getLogger(__name__)

#: Seconds between two looks at pods of other pod servers, and at files of progress.
POLL, PROGRESS_POLL = 0.1, 1.0
#: A pod is asked for its progress when it is so old; seconds.
PROGRESS_AFTER = 1.0
#: Seconds that running pods have to end by themselves when the runner is closed.
CLOSING_GRACE = 3.0
#: Folders of pods that nobody asked for are removed after so many seconds.
KEPT = 7 * 24 * 3600.0
#: So many pods that have ended are kept before the oldest is removed: what was reported so long ago is written down.
MOST_REPORTED = 2_000
#: Where daemons can be reached: all pods share the network of this machine.
ADDRESS = "127.0.0.1"
#: Threads that place and collect files.
THREADS = 4


class PodRunner(Runner):
    """Containers as processes of this machine.

    Args:
        home: Folder below which tasks and logs are kept.
        flavour: "process": with this machine's own files; "sandbox": each container with its own.
        store: Where output artifacts go that name no other place.
        objects: Where ConfigMaps, Secrets and claims are.
        drivers: For artifacts in other places, by the namespace whose Secrets open them.
        images: How images run here, beside those that are known; see `images.find_image`.

    Raises:
        StackError: the flavour cannot be had on this machine.
    """

    def __init__(
        self,
        home: Path,
        *,
        flavour: Flavour,
        store: ArtifactStore,
        objects: Objects,
        drivers: Callable[[str], ArtifactDrivers],
        images: Mapping[str, Image] | None = None,
    ) -> None:
        problem = usable(flavour)
        if problem is not None:
            raise StackError(f"The runner '{flavour}' cannot be used for containers here. {problem}")
        self.name = flavour
        self._home = str(Path(home).resolve())
        self._flavour: Flavour = flavour
        self._store, self._drivers, self._objects = store, drivers, objects
        self._images = images or {}
        self._machine: Machine | None = None
        self._making_machine = threading.Lock()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._jobs: dict[str, Job] = {}
        #: Pods that have ended, the latest last: they are told of again if they are launched again.
        self._reported: deque[PodFolder] = deque()
        self._connection: Connection | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._remover: Remover | None = None
        self._listener: threading.Thread | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._closed = False
        #: Whether other processes follow pods of our pod server.
        self._left = False
        #: Whether it was told that the disk is full.
        self._is_full = False

    def launch(self, task: Task, report: Report) -> None:
        """Have the task's pod started, unless it has one or had one that ended."""
        with self._lock:
            if self._closed or task.id in self._jobs:
                return
            job = self._jobs[task.id] = Job(task, report, PodFolder(self._home, task.id))
            pool = self._started()
        pool.submit(self._begin, job)

    def cancel(self, task_id: str, grace: float) -> None:
        """SIGTERM to the pod's containers, and SIGKILL after `grace` seconds; it is not reported."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is None or job.cancelled:
                return
            job.cancelled, job.grace = True, grace
            connection, sent, watched = self._connection, job.sent, job.watched
        if watched:
            job.ask_to_cancel()
        elif sent and connection is not None:
            connection.send({"op": "cancel", "id": task_id, "grace": grace})

    def let_go(self, task_id: str, grace: float) -> None:  # the port's; nothing is ended
        """Hear no more of the pod: its files are all that the other process needs to follow it."""
        with self._lock:
            job = self._jobs.pop(task_id, None)
            path = PodFolder(self._home, task_id).path
            self._reported = deque(folder for folder in self._reported if folder.path != path)
            self._left = self._left or job is not None
            self._changed.notify_all()

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Take up tasks whose pods run, or ended and left word of it."""
        found = set()
        lost = []
        for task in tasks:
            with self._lock:
                job = self._jobs.get(task.id)
                if job is not None:
                    job.report = report
                    found.add(task.id)
                    continue
            folder = PodFolder(self._home, task.id)
            if not _is_alive_or_ended(folder):
                if folder.exists():
                    lost.append(folder)
                continue
            with self._lock:
                job = self._jobs[task.id] = Job(task, report, folder)
                job.watched = True
                self._started()
            found.add(task.id)
        _clear(lost)
        self._wake()
        return found

    def close(self) -> None:
        """End what runs: no process is left, but for pods whose leash somebody holds: they are theirs from now on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            left = {task_id for task_id, job in self._jobs.items() if job.is_needed()}
            running = [task_id for task_id in self._jobs if task_id not in left]
        for task_id in running:
            self.cancel(task_id, CLOSING_GRACE)
        with self._lock:
            ended = self._changed.wait_for(lambda: self._jobs.keys() <= left, CLOSING_GRACE + 10)
            for task_id in left:
                self._jobs.pop(task_id, None)
            connection, self._connection = self._connection, None
        if self._pool is not None:
            self._pool.shutdown()
        self._wake()
        if self._listener is not None:
            self._listener.join(5)
        if connection is not None:
            connection.disconnect()
            if left or self._left or not ended:
                threading.Thread(target=connection.wait, name="tiphys-pods-reaper", daemon=True).start()
            else:
                connection.wait()
        self._wake_in.close()
        self._wake_out.close()
        for folder in self._reported:
            self._discard(folder)
        if self._remover is not None:
            self._remover.close()

    def _started(self) -> ThreadPoolExecutor:
        """The threads; the lock is held."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tiphys-pods")
            self._remover = Remover()
            self._pool.submit(self._sweep, self._remover)
            self._listener = threading.Thread(target=self._listen, name="tiphys-pods-listener", daemon=True)
            self._listener.start()
        return self._pool

    def _sweep(self, remover: Remover) -> None:
        """Remove what tasks of long ago left."""
        pods = pods_folder(self._home)
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(pods):
                if entry.name in ("bin", "server.log") or entry.stat().st_mtime > time.time() - KEPT:
                    continue
                if not in_use(entry.path):
                    remover.remove(entry.path)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"x")

    # The threads that place and collect files

    def _begin(self, job: Job) -> None:
        """Plan, prepare and order a pod, or find that there is one already."""
        try:
            self._order(job)
        except ProgramMissingError as error:
            self._fail(job, Phase.FAILED, str(error), code=CANNOT_START)
        except TiphysError as error:
            self._report_unprepared(job, error, str(error))
        except OSError as error:
            self._report_unprepared(job, error, _unprepared(job, error))
        except Exception as error:  # noqa: BLE001  # reported: a template may be malformed in any way
            problem = f"The pod of '{job.task.name}' cannot be made: {error!r}"
            self._fail(job, Phase.ERROR, problem)

    def _report_unprepared(self, job: Job, error: Exception, message: str) -> None:
        if is_full(error):
            self._wait_for_room(job, lambda: self._begin(job))
        else:
            self._fail(job, Phase.ERROR, message)

    def _wait_for_room(self, job: Job, again: Callable[[], None]) -> None:
        """Go on with a pod later: nothing is wrong with it, and a full disk gets room again."""
        with self._lock:
            told, self._is_full = self._is_full, True
            job.sent, job.waiting = False, again
        if not told:
            _log.warning("The disk of %s is full: pods wait until there is room.", self._home)
        self._wake()

    def _look_for_room(self) -> None:
        """Try again what waits for room."""
        with self._lock:
            jobs = [(job, job.waiting) for job in self._jobs.values() if job.waiting is not None]
            pool = self._pool
            if not jobs or pool is None:
                self._is_full = False
                return
            for job, _ in jobs:
                job.waiting = None
        for _, again in jobs:
            if again is not None:
                pool.submit(again)

    def _order(self, job: Job) -> None:
        if job.folder.exists():
            if _is_alive_or_ended(job.folder):
                self._watch(job)
                return
            _clear([job.folder])
        plan = job.plan = make_plan(job.task, self._machine_now())
        if needs_staging(plan):
            staged = plan.order["staged"] = f"{pods_folder(self._home)}/.{job.folder.name}-{new_id()}"
            try:
                prepare(plan, staged, self._store, self._drivers(plan.context.namespace))
            except BaseException:
                job.remove_staged()
                raise
        if plan.context.log is not None:
            Path(plan.context.log).parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if not job.cancelled:
                connection = self._connected()
                job.sent = True
        if not job.sent:
            job.remove_staged()
            self._finish(job, None)
            return
        connection.send({"op": "launch", "pod": plan.order})
        if job.cancelled:
            connection.send({"op": "cancel", "id": job.task.id, "grace": job.grace})

    def _machine_now(self) -> Machine:
        """What all pods share: found out when the first is made."""
        with self._making_machine:
            if self._machine is None:
                found = sandboxing() if self._flavour == "sandbox" else None
                self._machine = Machine(
                    home=self._home,
                    flavour=self._flavour,
                    shims=str(make_shims(Path(pods_folder(self._home), "bin"))),
                    objects=self._objects,
                    images=self._images,
                    bwrap=found.bwrap if found else "",
                    as_root=found.as_root if found else False,
                )
            return self._machine

    def _connected(self) -> Connection:
        """The lock is held."""
        if self._connection is None:
            self._connection = Connection(self._home)
            self._wake()
        return self._connection

    def _fail(self, job: Job, phase: Phase, message: str, *, code: int | None = None) -> None:
        finished = report_problem(job.task, phase, message, at=time.time())
        if finished.outputs is not None:
            finished.outputs.exit_code = code
        self._finish(job, finished)

    def _collect(self, job: Job, result: PodResult) -> None:
        """Report a pod that has ended, once its outputs are stored."""
        if job.cancelled or result["cancelled"]:
            self._finish(job, None)
            return
        try:
            told = job.folder.report()
            if told is not None:
                finished = report_from_text(told)
            else:
                plan = job.plan or make_plan(job.task, self._machine_now(), started=True)
                finished = report_of(plan, result, self._store, self._drivers(plan.context.namespace))
                if plan.task.body.get("outputs"):
                    job.folder.write_report(report_to_text(finished))
        except Exception as error:  # noqa: BLE001  # reported: its containers have ended, but nobody would know
            if is_full(error):
                self._wait_for_room(job, lambda: self._collect(job, result))
                return
            self._fail(job, Phase.ERROR, f"The outputs of '{job.task.name}' could not be collected: {error}")
            return
        self._finish(job, finished)
        if self._remover is not None and (job.plan is None or needs_staging(job.plan)):
            self._remover.remove(job.folder.path)

    def _finish(self, job: Job, finished: TaskFinished | None) -> None:
        if finished is None:
            self._discard(job.folder)
        with self._lock:
            if self._jobs.pop(job.task.id, None) is None:
                return
            old = self._reported.popleft() if len(self._reported) >= MOST_REPORTED else None
            if finished is not None:
                self._reported.append(job.folder)
            wanted = not job.cancelled and not self._closed
            self._changed.notify_all()
        if old is not None:
            self._discard(old)
        if wanted and finished is not None:
            job.report(finished)

    def _discard(self, folder: PodFolder) -> None:
        if self._remover is not None:
            self._remover.remove(folder.discard())

    def _watch(self, job: Job) -> None:
        """Another pod server has the task, or had it."""
        with self._lock:
            job.watched = True
        if job.cancelled:
            job.ask_to_cancel()
        self._wake()

    # The listening thread

    def _listen(self) -> None:
        """Hear of ended pods, and look after those that nobody tells of."""
        selector = selectors.DefaultSelector()
        selector.register(self._wake_in, selectors.EVENT_READ)
        heard: Connection | None = None
        next_look = time.monotonic() + PROGRESS_POLL
        while True:
            with self._lock:
                connection = self._connection
                watched = [job for job in self._jobs.values() if job.watched]
                running = bool(self._jobs)
                over = self._closed and not self._jobs and connection is None
            if over:
                selector.close()
                return
            if connection is not heard:
                if connection is not None:
                    selector.register(connection.socket, selectors.EVENT_READ)
                heard = connection
            wait = POLL if watched else PROGRESS_POLL if running else None
            for key, _ in selector.select(wait):
                if key.fileobj is self._wake_in:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_in.recv(4096)
                elif connection is not None and not self._hear(connection):
                    selector.unregister(connection.socket)
                    heard = None
                    self._lose(connection)
            for job in watched:
                self._look_at(job)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + PROGRESS_POLL
                self._look_at_progress()
                self._look_for_room()

    def _hear(self, connection: Connection) -> bool:
        messages = connection.receive()
        if messages is None:
            return False
        for message in messages:
            with self._lock:
                job = self._jobs.get(message["id"])
                pool = self._pool
            if job is None or pool is None:
                continue
            if message["op"] == "ended":
                self._submit(pool, job, message["result"])
            elif message["op"] == "refused":
                job.remove_staged()
                error = OSError(message["errno"], message["problem"])
                self._report_unprepared(job, error, _unprepared(job, error))
            elif message["op"] == "taken":
                job.remove_staged()
                self._watch(job)
            elif not job.cancelled:
                job.notified = True
                job.report(TaskReady(job.task.id, ADDRESS))
        return True

    def _submit(self, pool: ThreadPoolExecutor, job: Job, result: PodResult) -> None:
        if job.plan is not None and job.plan.flavour == "process" and not job.task.body.get("outputs"):
            self._collect(job, result)  # there is nothing to wait for
        else:
            pool.submit(self._collect, job, result)

    def _lose(self, connection: Connection) -> None:
        """The pod server is gone: what it had and did not finish is lost."""
        connection.wait()
        with self._lock:
            if self._connection is connection:
                self._connection = None
            pool = self._pool
            lost = [job for job in self._jobs.values() if job.sent and not job.watched]
        if lost:
            kill_marked([job.folder.mark for job in lost])
        for job in lost:
            job.remove_staged()
            result = job.folder.result()
            if result is not None:
                self._collect(job, result)
            elif job.cancelled:
                self._finish(job, None)
            elif not (job.folder.exists() or job.notified or job.again) and pool is not None:
                job.again, job.sent = True, False
                pool.submit(self._begin, job)
            else:
                self._fail(
                    job,
                    Phase.ERROR,
                    f"The pod of '{job.task.name}' was lost: the process that ran it ended; "
                    f"{log_of_server(self._home)} may tell why.",
                )

    def _look_at(self, job: Job) -> None:
        """See whether a pod of another pod server has ended or become ready."""
        result = job.folder.result()
        server = job.folder.server()
        alive = server is not None and server.is_alive()
        if result is None and not alive:
            result = job.folder.result()  # it may have come before its server ended
        if not job.notified and alive and job.folder.is_ready():
            job.notified = True
            job.report(TaskReady(job.task.id, ADDRESS))
        if result is not None:
            with self._lock:
                pool = self._pool
                job.watched = False
            if pool is not None:
                pool.submit(self._collect, job, result)
        elif not alive:
            kill_marked([job.folder.mark])
            message = f"The pod of '{job.task.name}' was lost: the process that ran it ended."
            self._fail(job, Phase.ERROR, message)

    def _look_at_progress(self) -> None:
        old = time.monotonic() - PROGRESS_AFTER
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.began < old and not job.cancelled]
        for job in jobs:
            if job.plan is None:
                with contextlib.suppress(Exception):
                    job.plan = make_plan(job.task, self._machine_now(), started=True)
            progress = None if job.plan is None else progress_of(job.plan)
            if progress is not None and progress != job.progress:
                job.progress = progress
                job.report(TaskProgressed(job.task.id, progress))


def usable(flavour: Flavour) -> str | None:
    """Why a flavour cannot be had on this machine, or None."""
    if flavour == "process":
        return None if Path("/proc/self").is_dir() else "Containers as host processes need Linux's /proc."
    return sandboxing().problem


def progress_of(plan: Plan) -> str | None:
    """How far a pod is, if it says it."""
    try:
        return read_progress(plan.progress_file)
    except TiphysError:
        return None


def _is_alive_or_ended(folder: PodFolder) -> bool:
    """Whether a pod server works on the task, or has left word of its end."""
    server = folder.server()
    # The order matters: a server that is gone has left its word already.
    return (server is not None and server.is_alive()) or folder.result() is not None


def _clear(folders: list[PodFolder]) -> None:
    """Do away with what a pod server left that died."""
    if folders:
        kill_marked([folder.mark for folder in folders])
        for folder in folders:
            folder.remove()


def _unprepared(job: Job, error: OSError) -> str:
    return f"The pod of '{job.task.name}' could not be prepared: {error}"
