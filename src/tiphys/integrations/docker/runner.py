"""Carries Argo's containers out as OCI containers, through the API that Docker and Podman speak.

The engine keeps the containers whatever becomes of this process: labels say whose they are, so another process can
take them up. A task's report is kept in its folder before its containers are removed.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tiphys._util.disks import is_full
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase
from tiphys.errors import TiphysError
from tiphys.integrations.docker.collecting import report_of
from tiphys.integrations.docker.engine import ContainerEngine, EngineSettings, Found
from tiphys.integrations.docker.folder import TaskFolder, sweep
from tiphys.integrations.docker.placing import prepare
from tiphys.integrations.docker.plan import make_plan
from tiphys.integrations.docker.pod import NETWORK, Pod
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Report, Runner, Task
from tiphys.sdk.pods.ends import report_from_text, report_problem, report_to_text
from tiphys.sdk.pods.objects import ArtifactDrivers, Objects

#: Seconds that running pods have to end by themselves when the runner is closed.
CLOSING_GRACE = 3.0
#: Seconds after which containers whose process is gone count as orphans: nobody took them up.
ORPHANED = 60.0
#: Seconds between tries to store what a pod left on a full disk.
_ROOM_LOOK = 1.0


class _Job:
    """A task that was launched or taken up."""

    __slots__ = ("cancelled", "grace", "left", "pod", "report", "task")

    def __init__(self, task: Task, report: Report) -> None:
        self.task = task
        self.report = report
        self.pod: Pod | None = None
        self.cancelled = False
        self.grace = 0.0
        #: Whether another process has taken the task up.
        self.left = False


class ContainerRunner(Runner):
    """Containers by Docker or Podman.

    Args:
        home: Folder below which tasks and logs are kept; containers see parts of it.
        store: Where output artifacts go that name no other place.
        objects: Where ConfigMaps, Secrets and claims are.
        drivers: For artifacts in other places.
        settings: Which engine, and how containers are made.

    Raises:
        StackError: no engine answers.
    """

    name = "container"

    def __init__(
        self,
        home: Path,
        *,
        store: ArtifactStore,
        objects: Objects,
        drivers: ArtifactDrivers,
        settings: EngineSettings | None = None,
    ) -> None:
        self._home = str(Path(home).absolute())
        self._mark = hashlib.sha256(self._home.encode()).hexdigest()[:32]
        self._store, self._objects, self._drivers = store, objects, drivers
        self._settings = settings or EngineSettings()
        self._engine = ContainerEngine(self._settings)
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._threads: set[threading.Thread] = set()
        self._reported: list[TaskFolder] = []
        self._sweeping = False
        self._closed = threading.Event()

    def launch(self, task: Task, report: Report) -> None:
        """Have the task's pod started, unless it has one or had one that ended."""
        with self._lock:
            if not self._closed.is_set() and task.id not in self._jobs:
                self._begin(_Job(task, report))

    def cancel(self, task_id: str, grace: float) -> None:
        """SIGTERM to the pod's containers, and SIGKILL after `grace` seconds; it is not reported."""
        with self._lock:
            job = self._jobs.get(task_id)
            if job is None or job.cancelled:
                return
            job.cancelled, job.grace = True, grace
            pod = job.pod
        if pod is not None:
            pod.cancel(grace)

    def let_go(self, task_id: str, grace: float) -> None:  # the port's; nothing is ended
        """Hear no more of the pod: the engine tells the other process of it."""
        with self._lock:
            job = self._jobs.pop(task_id, None)
            if job is not None:
                job.left = True

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Take up tasks that have containers, or ended and left word of it.

        Raises:
            ServiceError: the engine does not answer.
        """
        with_containers = {each.task for each in self._engine.find(home=self._mark)}
        found = set()
        with self._lock:
            for task in tasks:
                job = self._jobs.get(task.id)
                if job is not None:
                    job.report = report
                elif task.id in with_containers or TaskFolder(self._home, task.id).report() is not None:
                    self._begin(_Job(task, report))
                else:
                    continue
                found.add(task.id)
        return found

    def close(self) -> None:
        """End what runs: no container is left."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            running = list(self._jobs)
        for task_id in running:
            self.cancel(task_id, CLOSING_GRACE)
        for thread in list(self._threads):
            thread.join(CLOSING_GRACE + 10)
        for folder in self._reported:
            folder.remove()
        self._engine.close()

    def _begin(self, job: _Job) -> None:
        """Start a job's thread; the lock is held."""
        self._jobs[job.task.id] = job
        self._start(lambda: self._carry_out(job), f"tiphys-{job.task.name}")
        if not self._sweeping:
            self._sweeping = True
            self._start(self._sweep, "tiphys-sweeping")

    def _start(self, work: Callable[[], None], name: str) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    # A job's thread

    def _carry_out(self, job: _Job) -> None:
        """From the task to its report."""
        folder = TaskFolder(self._home, job.task.id)
        try:
            told = folder.report()
            finished = self._run(job, folder) if told is None else report_from_text(told)
        except TiphysError as error:
            finished = _problem(job, str(error))
        except OSError as error:
            finished = _problem(job, f"The pod of '{job.task.name}' could not be prepared: {error}")
        except Exception as error:  # noqa: BLE001  # reported: a template may be malformed in any way
            finished = _problem(job, f"The pod of '{job.task.name}' is impossible: {error!r}")
        with self._lock:
            if job.left:
                return
            del self._jobs[job.task.id]
            self._reported.append(folder)
            wanted = finished is not None and not job.cancelled
        if wanted and finished is not None:
            job.report(finished)
        self._clean(job.task.id, folder, keep_report=wanted)

    def _run(self, job: _Job, folder: TaskFolder) -> TaskFinished | None:
        """Carry the pod out; None if it was cancelled."""
        found = self._engine.find(home=self._mark, task=job.task.id)
        folder.claim()
        plan = make_plan(job.task, str(folder.path), self._objects, started=bool(found))
        if not found:
            folder.clear()
            for container in plan.containers:
                Path(container.log).unlink(missing_ok=True)
            prepare(plan, self._store, self._drivers)
        pod = Pod(
            plan,
            engine=self._engine,
            settings=self._settings,
            folder=folder,
            home=self._mark,
            report=lambda event: job.report(event),
        )
        with self._lock:
            if job.cancelled and not found:
                return None
            job.pod = pod
            if job.cancelled:
                pod.cancel(job.grace)
        result = pod.run(_network_first(found))
        if result.cancelled:
            return None
        while True:
            try:
                finished = report_of(plan, result, self._engine, self._store, self._drivers)
                folder.write_report(report_to_text(finished))
            except (OSError, TiphysError) as error:
                # A full disk gets room again, and its containers need not be carried out once more for it.
                if not is_full(error):
                    raise
                if self._closed.wait(_ROOM_LOOK) or job.cancelled:
                    return None
            else:
                return finished

    def _clean(self, task_id: str, folder: TaskFolder, *, keep_report: bool) -> None:
        """Remove what is not needed any more; what cannot be removed now is an orphan later."""
        try:
            found = self._engine.find(home=self._mark, task=task_id)
            self._engine.remove([each.id for each in _network_first(found)])
        except TiphysError:
            return
        folder.clear()
        if not keep_report:
            folder.remove()

    # Remains of others

    def _sweep(self) -> None:
        """Remove what tasks of long ago left, and containers of dead processes that nobody has taken up."""
        sweep(self._home)
        if self._closed.wait(ORPHANED):
            return
        try:
            found = {each.task for each in self._engine.find(home=self._mark)}
        except TiphysError:  # another time, then
            return
        for task_id in found:
            folder = TaskFolder(self._home, task_id)
            with self._lock:
                ours = task_id in self._jobs
            if not ours and not folder.is_owned():
                self._clean(task_id, folder, keep_report=True)


def _problem(job: _Job, message: str) -> TaskFinished:
    return report_problem(job.task, Phase.ERROR, message, at=time.time())


def _network_first(found: list[Found]) -> list[Found]:
    """The container that holds the network was the first, though the engine's clock may not tell it."""
    return sorted(found, key=lambda each: each.container != NETWORK)
