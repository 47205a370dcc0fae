"""One pod: which of its containers is started when, and when it is over.

It goes by what containers there are, so it can be taken up at any point by another process.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiphys.engine.events import TaskProgressed, TaskReady
from tiphys.errors import ServiceError, TiphysError
from tiphys.integrations.docker.engine import (
    CONTAINER,
    HOME,
    TASK,
    ContainerEngine,
    Creation,
    EngineSettings,
    Found,
    NoSuchContainerError,
)
from tiphys.integrations.docker.folder import TaskFolder
from tiphys.integrations.docker.following import Follower
from tiphys.integrations.docker.plan import ContainerPlan, Plan
from tiphys.integrations.docker.probes import await_ready
from tiphys.ports.runner import Report
from tiphys.sdk.pods.containers import CANNOT_START, LONGEST_RESULT, ContainerEnd
from tiphys.sdk.pods.files import name_of
from tiphys.sdk.pods.progress import read_progress

#: Name of the container that holds the network; no container of a template can be called that.
NETWORK = "POD"
#: Seconds between two looks at the file of progress.
_PROGRESS_POLL = 1.0
#: How often, a second apart, an engine is asked again that does not answer.
_PATIENCE = 60
#: What Podman's and Docker's first process of a container says when it cannot start the program.
_NOT_STARTED = re.compile(rb"(?:ERROR \(catatonit:\d+\): |\[FATAL tini \(\d+\)\] )(.*)").match
_CODES_NOT_STARTED = (1, 126, 127)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodResult:
    """How a pod ended."""

    #: Epoch seconds.
    started: float
    finished: float
    ends: tuple[ContainerEnd, ...]
    #: Container → its id, of those that were made.
    ids: Mapping[str, str]
    #: Standard output of the container that gives the result.
    output: str | None
    cancelled: bool


@dataclass(frozen=True, slots=True)
class _Ended:
    name: str
    code: int


@dataclass(frozen=True, slots=True)
class _Lost:
    name: str
    error: TiphysError


@dataclass(frozen=True, slots=True)
class _Ready:
    name: str


@dataclass(frozen=True, slots=True)
class _Cancelled:
    grace: float


class _Container:
    """A container and what is known of it."""

    __slots__ = ("asked", "code", "due", "error", "id", "plan", "ready", "runs", "tries")

    def __init__(self, plan: ContainerPlan) -> None:
        self.plan = plan
        self.id: str | None = None
        self.runs = False
        #: Exit code, once it has ended for good.
        self.code: int | None = None
        self.error: str | None = None
        self.tries = 0
        #: When its last start was asked for; epoch seconds. What it prints is never older, as its own start may be.
        self.asked: float | None = None
        #: When it is to be tried again, as `time.monotonic` has it.
        self.due: float | None = None
        self.ready = False

    @property
    def is_fresh(self) -> bool:
        """Whether it has not been started."""
        return self.tries == 0 and self.code is None

    def end(self) -> ContainerEnd:
        """How it ended."""
        return {"name": self.plan.name, "role": self.plan.role, "code": self.code, "error": self.error}


class Pod:
    """A pod that is being carried out.

    Args:
        plan: What it consists of.
        engine: Where it runs.
        settings: Of the engine.
        folder: The task's.
        home: What marks all containers of this home.
        report: Told when a daemon is ready, and of progress.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        engine: ContainerEngine,
        settings: EngineSettings,
        folder: TaskFolder,
        home: str,
        report: Report,
    ) -> None:
        self._plan, self._engine, self._settings, self._folder = plan, engine, settings, folder
        self._home, self._report = home, report
        self._all = [_Container(each) for each in plan.containers]
        self._by_name = {each.plan.name: each for each in self._all}
        self._inits = [each for each in self._all if each.plan.role == "init"]
        self._mains = [each for each in self._all if each.plan.role == "main"]
        self._sidecars = [each for each in self._all if each.plan.role == "sidecar"]
        self._events: queue.SimpleQueue[_Ended | _Lost | _Ready | _Cancelled] = queue.SimpleQueue()
        self._over = threading.Event()
        self._network: str | None = None
        self._started = time.time()
        self._stopping = self._cancelled = self._told_ready = False
        self._kill_at: float | None = None
        self._progress = ""

    def cancel(self, grace: float) -> None:
        """Ask all that runs to end, and kill it after `grace` seconds; may be called from any thread."""
        self._events.put(_Cancelled(grace))

    def run(self, found: list[Found]) -> PodResult:
        """Carry it out; returns when nothing of it runs any more.

        Args:
            found: The containers that it has already.

        Raises:
            ImageMissingError: an image is not there; nothing was started.
            ServiceError: the engine does not answer any more, or a container was removed by somebody.
        """
        try:
            if not found:
                for image, pull in sorted({(each.plan.image, each.plan.pull) for each in self._all}):
                    self._engine.need_image(image, pull)
            self._take_up(found)
            if not self._events.empty():  # it may have been cancelled while images were pulled
                self._handle_next()
            self._advance()
            while not self._stopping or any(each.runs for each in self._all):
                self._handle_next()
                self._advance()
        finally:
            self._over.set()
        return self._result()

    def _take_up(self, found: list[Found]) -> None:
        tries = self._folder.tries() if found else {}
        for each in found:
            state = self._engine.state(each.id)
            if state.status == "created":  # whoever made it did not come to start it
                self._engine.remove([each.id])
            elif each.container == NETWORK:
                self._network = each.id
            elif each.container in self._by_name:
                container = self._by_name[each.container]
                container.id, container.tries = each.id, tries.get(each.container, 1)
                self._started = min(self._started, state.started)
                container.runs = True
                # Of one that has ended, too, the log is completed and the exit code taken.
                self._attend(container)

    def _handle_next(self) -> None:
        waits = [_PROGRESS_POLL]
        now = time.monotonic()
        waits += [due - now for due in (self._kill_at, *(each.due for each in self._all)) if due is not None]
        try:
            event = self._events.get(timeout=max(0.0, min(waits)))
        except queue.Empty:
            self._look_at_clock()
            return
        if isinstance(event, _Cancelled):
            if not self._cancelled:
                self._cancelled = self._stopping = True
                for container in self._all:
                    container.due = None
                self._stop(self._all, event.grace)
        elif isinstance(event, _Ready):
            self._found_ready(self._by_name[event.name])
        elif isinstance(event, _Lost):
            self._by_name[event.name].runs = False
            if not self._cancelled:
                raise event.error
        else:
            self._ended(self._by_name[event.name], event.code)

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            for container in self._all:
                if container.runs and container.id is not None:
                    self._engine.signal(container.id, "SIGKILL")
        progress = read_progress(self._plan.progress_file)
        if progress is not None and progress != self._progress:
            self._progress = progress
            self._report(TaskProgressed(self._plan.task.id, progress))

    # What is started when

    def _advance(self) -> None:
        """Start what can be started now."""
        if self._stopping or not self._inits_have_ended():
            return
        for container in self._sidecars:
            if container.is_fresh:
                self._start(container)
        while any(self._advance_main(container) for container in self._mains):
            pass  # one that ended at once may decide on others
        if all(each.code is not None for each in self._mains):
            self._stopping = True
            self._stop(self._sidecars, self._plan.context.grace)

    def _inits_have_ended(self) -> bool:
        """Start the next init container; returns whether all have ended well."""
        for container in self._inits:
            if container.is_fresh:
                self._start(container)
            if container.code is None:
                return False
            if container.code != 0:
                self._stopping = True
                return False
        return True

    def _advance_main(self, container: _Container) -> bool:
        """Start a main whose time has come; returns whether it has ended by that."""
        if container.due is not None and container.due <= time.monotonic():
            container.due = None
            self._start(container)
            return container.code is not None
        if not container.is_fresh:
            return False
        for name in container.plan.after:
            code = self._by_name[name].code
            if code is None:
                return False
            if code != 0:
                container.code = code
                container.error = f"it depends on '{name}', which ended with exit code {code}"
                return True
        self._start(container)
        return container.code is not None

    def _start(self, container: _Container) -> None:
        """Start a container, again in its old place if it has been started before."""
        container.tries += 1
        if container.plan.tries > 1:
            self._folder.note_tries({each.plan.name: each.tries for each in self._mains})
        try:
            if container.id is None:
                container.id = self._engine.create(self._creation(container.plan))
            container.asked = time.time()
            self._engine.start(container.id)
        except ServiceError as error:
            container.code, container.error = CANNOT_START, error.message
            return
        container.runs = True
        self._attend(container)

    def _creation(self, plan: ContainerPlan) -> Creation:
        return Creation(
            image=plan.image,
            labels=self._labels(plan.name),
            name=f"tiphys-{name_of(self._plan.task.id)}-{plan.name}",
            network=self._network_of_pod(),
            entrypoint=plan.entrypoint,
            arguments=plan.arguments,
            env=plan.env,
            folder=plan.folder,
            user=plan.user,
            # An optional input may not be there.
            binds=tuple(each for each in plan.binds if Path(each.source).exists()),
            host=plan.host,
        )

    def _labels(self, container: str) -> dict[str, str]:
        return {HOME: self._home, TASK: self._plan.task.id, CONTAINER: container}

    def _network_of_pod(self) -> str:
        """Containers that run beside one another share a network, which a container of its own holds.

        If one of them held it, it would be gone for the others when that one ends.
        """
        if self._settings.network == "host" or len(self._mains) + len(self._sidecars) == 1:
            return self._settings.network
        if self._network is None:
            own = self._settings.pause_image
            first = self._mains[0].plan
            if own:
                self._engine.need_image(own, "IfNotPresent")
            self._network = self._engine.create(
                Creation(
                    image=own or first.image,
                    labels=self._labels(NETWORK),
                    name=f"tiphys-{name_of(self._plan.task.id)}-{NETWORK}",
                    network=self._settings.network,
                    entrypoint=None if own else ("sleep", "2147483647"),
                )
            )
            self._engine.start(self._network)
        return f"container:{self._network}"

    # What happens to them

    def _attend(self, container: _Container) -> None:
        """Have its end reported, and of a daemon that it is ready."""

        def watch(name: str, id_: str, log: str) -> None:
            try:
                self._events.put(_Ended(name, self._await_end(id_, log)))
            except TiphysError as error:
                self._events.put(_Lost(name, error))
            except OSError as error:
                self._events.put(_Lost(name, ServiceError(f"The log '{log}' cannot be written: {error}")))

        arguments = (container.plan.name, container.id, container.plan.log)
        threading.Thread(target=watch, args=arguments, name=f"tiphys-{container.plan.name}", daemon=True).start()
        if self._plan.task.body.get("daemon") and container.plan.role == "main":
            self._await_ready(container)

    def _await_end(self, container: str, log: str) -> int:
        """Wait for the end, with the log to be looked at meanwhile and complete then; returns the exit code."""
        failures = 0
        while True:
            following = Follower(self._engine, container, log)
            try:
                code = self._engine.wait(container)
                following.close()
                self._engine.copy_log(container, log)
            except NoSuchContainerError:
                raise
            except ServiceError:
                failures += 1
                if failures > _PATIENCE or self._over.wait(1.0):
                    raise
            else:
                return code
            finally:
                following.close()

    def _await_ready(self, container: _Container) -> None:
        probe, name, id_ = container.plan.probe, container.plan.name, container.id
        if probe is None or id_ is None:
            self._events.put(_Ready(name))
            return

        def probing() -> None:
            if await_ready(probe, id_, self._address(), self._engine, self._over):
                self._events.put(_Ready(name))

        threading.Thread(target=probing, name=f"tiphys-probe-{name}", daemon=True).start()

    def _address(self) -> str:
        found = self._network or self._mains[0].id
        return self._engine.address(found) if found else ""

    def _found_ready(self, container: _Container) -> None:
        container.ready = True
        if container.runs and not self._stopping and not self._told_ready and all(each.ready for each in self._mains):
            self._told_ready = True
            self._report(TaskReady(self._plan.task.id, self._address()))

    def _ended(self, container: _Container, code: int) -> None:
        container.runs = False
        if code != 0 and container.tries < container.plan.tries and not self._stopping:
            container.due = time.monotonic() + container.plan.pause
            return
        container.code = code
        if code in _CODES_NOT_STARTED:
            said = _NOT_STARTED(_first_line(container.plan.log))
            if said is not None:
                container.code, container.error = CANNOT_START, said.group(1).decode("utf-8", "replace")

    def _stop(self, containers: list[_Container], grace: float) -> None:
        running = [each.id for each in containers if each.runs and each.id is not None]
        for each in running:
            self._engine.signal(each, "SIGTERM")
        if running:
            self._kill_at = time.monotonic() + grace

    def _result(self) -> PodResult:
        return PodResult(
            started=self._started,
            finished=time.time(),
            ends=tuple(each.end() for each in self._all),
            ids={each.plan.name: each.id for each in self._all if each.id is not None},
            output=None if self._cancelled else self._output(),
            cancelled=self._cancelled,
        )

    def _output(self) -> str | None:
        """The result: one newline at the end is trimmed."""
        for container in self._mains:
            if container.plan.result and container.id is not None and container.code != CANNOT_START:
                since = container.asked or self._engine.state(container.id).started if container.tries > 1 else 0.0
                kept = self._engine.output(container.id, since=since).removesuffix(b"\n")
                return kept[-LONGEST_RESULT:].decode("utf-8", "replace")
        return None


def _first_line(log: str) -> bytes:
    try:
        with Path(log).open("rb") as file:
            return file.readline(4096)
    except OSError:
        return b""
