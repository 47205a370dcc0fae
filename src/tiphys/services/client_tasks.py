"""Runner whose tasks are carried out by the client that submitted their run: it fetches them and reports their ends.

Nothing here need survive a restart. A client says with each request what it carries out; it is offered what it lacks,
and told to end what is not wanted any more. It keeps its reports until the run ends, so one that was lost with the
server is sent again when its task is offered again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Node, WorkflowState
from tiphys.errors import ConflictError
from tiphys.ports.runner import Report, Runner, Task

#: Seconds without a word after which a client is taken to be gone. It asks at least every `LONGEST_WAIT` seconds.
SILENCE = 15.0
LONGEST_WAIT = 5.0
#: Seconds without a word after which nothing is kept for a client.
FORGOTTEN = 3600.0


@dataclass(slots=True)
class Offer:
    """What a client is told."""

    #: To be started.
    tasks: list[Task] = field(default_factory=list)
    #: Ids of those to be ended.
    cancel: list[str] = field(default_factory=list)
    #: Nodes that changed since it was told last.
    nodes: list[Node] = field(default_factory=list)
    #: The workflow's state, if that changed.
    state: WorkflowState | None = None
    #: Whether another request of the same client waits in this one's place.
    superseded: bool = False


@dataclass(slots=True)
class _Seat:
    """Who carries out the tasks of one workflow."""

    #: Empty while a client is only expected.
    session: str
    #: When it was heard of last; monotonic seconds.
    heard: float
    #: Whether it wants to be told of changed nodes.
    observes: bool
    #: Ends the wait of its pending request; None while there is none.
    wake: Callable[[], None] | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    state: WorkflowState | None = None


#: Begins the names of runners that are clients.
_PREFIX = "client-"


class ClientTasks(Runner):
    """Tasks wait here for clients."""

    name = "client"

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: Workflow → the tasks that it waits for, by id. Workflows that were not heard of yet are not in it.
        self._open: dict[str, dict[str, tuple[Task, Report]]] = {}
        self._seats: dict[str, _Seat] = {}

    # For the controller ----------------------------------------------------------------------------------------------

    def launch(self, task: Task, report: Report) -> None:
        """Offer the task."""
        with self._lock:
            self._open.setdefault(task.workflow_uid, {}).setdefault(task.id, (task, report))
            self._wake(task.workflow_uid)

    def cancel(self, task_id: str, grace: float) -> None:  # noqa: ARG002  # the client's own is the same
        """Take the task back; a client that carries it out is told so."""
        uid = task_id.partition("/")[0]
        with self._lock:
            self._open.get(uid, {}).pop(task_id, None)
            self._wake(uid)

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Wait for all of them: the client carries them out, or is offered them again."""
        found = set()
        with self._lock:
            for task in tasks:
                self._open.setdefault(task.workflow_uid, {})[task.id] = task, report
                found.add(task.id)
                self._wake(task.workflow_uid)
        return found

    def close(self) -> None:
        """Let go of the clients: they ask the next server."""
        with self._lock:
            for uid in self._seats:
                self._wake(uid)

    # For those who wait for a run ------------------------------------------------------------------------------------

    def watch(self, uid: str, state: WorkflowState | None, nodes: Sequence[Node]) -> None:
        """Keep what changed in a workflow for its client (an engine host's `Watcher`)."""
        with self._lock:
            seat = self._seats.get(uid)
            if seat is None:
                return
            if seat.observes:
                seat.nodes.update((node.id, node) for node in nodes)
            if state is not None:
                seat.state = state
                if state.phase.fulfilled:
                    self._open.pop(uid, None)
            self._wake(uid)

    # For clients -----------------------------------------------------------------------------------------------------

    def is_attended(self, uid: str) -> bool:
        """Whether a client carries out the tasks of a workflow."""
        with self._lock:
            seat = self._seats.get(uid)
            return seat is not None and self._is_present(seat)

    def reserve(self, uid: str) -> bool:
        """Expect a client to carry out the tasks of a workflow, soon; False if one does or is expected already."""
        with self._lock:
            seat = self._seats.get(uid)
            if seat is not None and self._is_present(seat):
                return False
            self._seats[uid] = _Seat("", self._now(), observes=False)
            return True

    def sit_down(self, uid: str, session: str, *, observes: bool) -> bool:
        """Carry out the tasks of a workflow from now on. True if that is new.

        Args:
            uid: The workflow.
            session: Names the client's process.
            observes: Whether it wants to be told of changed nodes.

        Raises:
            ConflictError: somebody else does.
        """
        with self._lock:
            seat = self._seats.get(uid)
            if seat is not None and seat.session == session:
                seat.heard = self._now()
                return False
            if seat is not None and seat.session and self._is_present(seat):
                raise ConflictError("Another process carries out the steps of this run.")
            self._forget_the_silent()
            self._seats[uid] = _Seat(session, self._now(), observes)
            return True

    def find(self, uid: str, task_id: str) -> Task | None:
        """A task of a workflow that its client is to carry out, or does."""
        with self._lock:
            return self._open.get(uid, {}).get(task_id, (None, None))[0]

    def report(self, uid: str, finished: Iterable[TaskFinished]) -> None:
        """Hand on the ends of tasks; what nobody waits for any more is ignored."""
        for event in finished:
            with self._lock:
                _, report = self._open.get(uid, {}).pop(event.task_id, (None, None))
            if report is not None:
                report(event)

    @contextmanager
    def waiting(self, uid: str, wake: Callable[[], None]) -> Iterator[Callable[[], bool]]:
        """While a request of the client waits: `wake` is called when there may be something to tell.

        Yields whether a later request took its place.
        """
        with self._lock:
            seat = self._seats.get(uid) or _Seat("", self._now(), observes=False, wake=_nothing)
            earlier = seat.wake
            if uid in self._seats:  # else it has ended, or its client is gone: nothing is waited for
                seat.wake = wake
        if earlier is not None:
            earlier()
        try:
            yield lambda: seat.wake is not wake
        finally:
            with self._lock:
                seat.heard = self._now()
                if seat.wake is wake:
                    seat.wake = None

    def offer(self, uid: str, running: Collection[str]) -> Offer:
        """What is to be told to a client that carries out `running`; what changed is told once."""
        with self._lock:
            seat, known = self._seats.get(uid), self._open.get(uid)
            if seat is None:
                return Offer(superseded=True)
            nodes, seat.nodes = list(seat.nodes.values()), {}
            state = seat.state
            fulfilled = state is not None and state.phase.fulfilled
            if not fulfilled:  # an end is told until it is heard
                seat.state = None
            tasks = [] if known is None else [task for task_id, (task, _) in known.items() if task_id not in running]
            if known is None:
                # Of a workflow that the controller has yet to take up nothing is known, so nothing is taken back.
                cancel = list(running) if fulfilled else []
            else:
                cancel = [task_id for task_id in running if task_id not in known]
            return Offer(tasks, cancel, nodes, state)

    def has_offer(self, uid: str, running: Collection[str]) -> bool:
        """Whether there is something that a client should be told at once: more than changed nodes."""
        with self._lock:
            seat, known = self._seats.get(uid), self._open.get(uid)
            if seat is None or seat.state is not None:
                return True
            return known is not None and known.keys() != set(running)

    def has_nodes(self, uid: str) -> bool:
        """Whether nodes changed."""
        with self._lock:
            seat = self._seats.get(uid)
            return seat is not None and bool(seat.nodes)

    def bury(self, sessions: Collection[str]) -> None:
        """Expect nothing more from clients whose processes died."""
        with self._lock:
            for uid in [uid for uid, seat in self._seats.items() if seat.session in sessions]:
                self._leave(uid)

    def leave(self, uid: str) -> None:
        """Forget the client of a workflow that has ended, or that it gave up."""
        with self._lock:
            self._leave(uid)

    def _leave(self, uid: str) -> None:
        """The lock is held. A request that waits is told that it need not."""
        self._wake(uid)
        seat = self._seats.pop(uid, None)
        if seat is not None:
            seat.wake = None

    def _forget_the_silent(self) -> None:
        """Of workflows that ended while nobody carried them out something is left; the lock is held."""
        silent = [uid for uid, seat in self._seats.items() if self._now() - seat.heard > FORGOTTEN and not seat.wake]
        for uid in silent:
            del self._seats[uid]
            if not self._open.get(uid):
                self._open.pop(uid, None)

    def _is_present(self, seat: _Seat) -> bool:
        return seat.wake is not None or self._now() - seat.heard < SILENCE

    def _wake(self, uid: str) -> None:
        """The lock is held; `wake` returns at once."""
        seat = self._seats.get(uid)
        if seat is not None and seat.wake is not None:
            seat.wake()


def is_by_client(runner: str) -> bool:
    """Whether a workflow's runner is a client that submitted it, in whatever way that carries steps out."""
    return runner.startswith(_PREFIX)


def runner_of_client(how: str) -> str:
    """The runner's name of a workflow whose client carries its steps out; `how` is the client's own runner."""
    return _PREFIX + how


def how_of(runner: str) -> str:
    """The client's own runner in the name that `runner_of_client` made."""
    return runner.removeprefix(_PREFIX)


def _nothing() -> None:
    """Nobody waits."""
