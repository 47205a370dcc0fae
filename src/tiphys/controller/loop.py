"""The controller: a queue, and one thread at a time that works on it.

It takes what is in the queue, tells the machines, writes what changed and what is to be done in one transaction (group
commit), and only then has it done. A process that dies at any instant loses nothing: the next owner reads the workflow
from the store, asks the runners which tasks still run, and launches the others again under their old ids.

The thread is the controller's own, or one that waits for a workflow and carries out its steps: that one takes the end
of a step through itself and goes on with the next. Two threads that wake each other cost more than all the rest.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tiphys._util.outages import Outage
from tiphys.controller import queue as queue_of_workflows
from tiphys.controller.fencing import new_places
from tiphys.controller.figures import Figures
from tiphys.controller.keeper import Keeper
from tiphys.controller.leases import Leases
from tiphys.controller.locks import Grant, granted, release
from tiphys.controller.own_time import ClockWatch
from tiphys.controller.signals import deferred_signals
from tiphys.controller.story import tell_of_end
from tiphys.controller.timers import Timers
from tiphys.controller.waiting import Completion, Watch, wait_for_other
from tiphys.controller.wishes import event_of
from tiphys.controller.work import Orders, Work
from tiphys.engine.commands import Cancel
from tiphys.engine.events import (
    Event,
    ShutdownRequested,
    TaskFinished,
    TaskProgressed,
    TaskReady,
    TimerFired,
    WorkflowStarted,
)
from tiphys.engine.model import Phase, WorkflowState
from tiphys.errors import ConflictError, NotFoundError, StoreError, TiphysError
from tiphys.ports.clock import Clock
from tiphys.ports.engine_host import EngineHost, HostFigures, Watcher
from tiphys.ports.lender import Lender
from tiphys.ports.recorder import Change, Recorder
from tiphys.ports.runner import Runner
from tiphys.ports.store import Store, StoredWorkflow, Transaction, WorkflowBatch
from tiphys.records.base import Query, Where
from tiphys.records.workflows import WorkflowRequest, WorkflowRow

_log = logging.getLogger(__name__)

#: Seconds between looks for requests that other processes left in the store.
POLL = 0.5
#: Events of one transaction at most.
BATCH = 500
#: Seconds that a cancelled task has to end by itself.
GRACE = 5.0
#: Seconds that the store may fail before those who wait for a workflow are told to go; the loop tries on.
PATIENCE = 600.0


#: A workflow's uid, and what it is told; None has the controller's thread look at its timers.
_Item = tuple[str, Event | Watch | None]


class Controller(EngineHost):
    """Carries workflows out.

    Args:
        store: Where workflows and records stand.
        recorder: Writes down what stands beside the nodes.
        runners: Gives the runner of a name; asked once for each.
        lender: The runner that uses waiting threads.
        clock: Time.
        owner: This process (`controller.owner.this_process`).
        place: Machine and home: who has the same can take up the processes that this one started.
    """

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        *,
        runners: Callable[[str], Runner],
        lender: Lender,
        clock: Clock,
        owner: str,
        place: str = "",
    ) -> None:
        self.owner = owner
        self._place = place
        self._store = store
        self._recorder = recorder
        self._find_runner = runners
        self._lender = lender
        self._clock = clock
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        #: Held by the thread that works on events; all that follows up to `_wishes` is touched by that one alone.
        self._helm = threading.Lock()
        self._timers = Timers()
        self._watch = ClockWatch(clock)
        self._figures = Figures()
        self._works: dict[str, Work] = {}
        self._runners: dict[str, Runner] = {}
        self._watchers: dict[str, list[Watcher]] = {}
        #: Commits, and of each workflow the number of its last; copied by other threads.
        self._commits = 0
        self._revisions: dict[str, int] = {}
        self._next_poll = 0.0
        self._outage = Outage(_log, "looking for requests")
        #: When the controller's own thread looks up at the latest.
        self._wakes_at: float | None = None
        #: Requests that were read and are being granted: id → workflow.
        self._wishes: dict[str, str] = {}
        #: Since when the store fails, as `Clock.elapsed`, and how; None if it does not.
        self._failing: tuple[float, StoreError] | None = None
        #: Waiting thread → the reports of the tasks that it carried out itself.
        self._lent: dict[int, deque[_Item]] = {}
        self._completions: dict[str, Completion] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._leases = Leases(store, owner=owner, place=place, clock=clock)
        self._keeper = Keeper(
            store, self._leases, owner=owner, clock=clock, start=self.start, carried=self._completions.copy
        )

    # What others ask for -----------------------------------------------------------------------------------------

    def start(self, uid: str) -> None:
        """Carry out a stored workflow; returns at once."""
        self._expect(uid)
        self._queue.put((uid, WorkflowStarted()))

    def serve(self) -> None:
        """Look for workflows that nobody carries out, and carry them out, until `close`."""
        self._keeper.serve()

    def admit(self, transaction: Transaction, row: WorkflowRow, pipeline: str | None, *, detached: bool) -> WorkflowRow:
        """A workflow as it is to be stored."""
        return queue_of_workflows.admit(transaction, row, pipeline, owner="" if detached else self.owner)

    def await_turn(self, uid: str) -> None:
        """Carry out a workflow of the queue as soon as its turn comes."""
        self._keeper.expect(uid)

    def resume(self, uid: str) -> bool:
        """Take over an unfinished workflow whose owner is dead."""
        self._join()
        with self._store.transaction() as transaction:
            row = transaction.get(WorkflowRow, uid)
            if row is None:
                raise NotFoundError(f"There is no workflow with the uid {uid}.")
            if row.finished_at is not None or self.is_alive(row.owner):
                return False
            waits = queue_of_workflows.is_waiting(transaction, uid)
            if not waits and not queue_of_workflows.take(transaction, uid, self.owner, expected=row.owner):
                return False
        if waits:
            self.await_turn(uid)
        else:
            self.start(uid)
        return True

    def is_alive(self, owner: str) -> bool:
        """Whether the process that `owner` names still runs."""
        return self._leases.is_alive(owner)

    def shut_down(self, uid: str, strategy: str) -> None:
        """End a workflow, whoever works on it."""
        with self._store.transaction() as transaction:
            row = transaction.get(WorkflowRow, uid)
            if row is None:
                raise NotFoundError(f"There is no workflow with the uid {uid}.")
            if row.finished_at is not None:
                raise ConflictError(f"The workflow {row.name} has ended already ({row.phase}).")
            mine = row.owner == self.owner or (
                not self.is_alive(row.owner)
                and queue_of_workflows.take(transaction, uid, self.owner, expected=row.owner)
            )
            if not mine:
                transaction.update(WorkflowRow, uid, request=strategy)
        if mine:
            self._expect(uid)
            self._queue.put((uid, ShutdownRequested(strategy)))

    def wait(self, uid: str, watcher: Watcher | None = None) -> None:
        """Wait until a workflow is fulfilled; Ctrl-C terminates it."""
        with self._lock:
            completion = self._completions.get(uid)
        if completion is None:
            wait_for_other(self._store, uid, watcher, self.is_alive)
            return
        watch = Watch(watcher) if watcher is not None else None
        if watch is not None:
            self._queue.put((uid, watch))
        try:
            with self._lending() as own:
                self._lender.work(partial(self._is_over, completion, own))
        except KeyboardInterrupt:
            self._queue.put((uid, ShutdownRequested("Terminate", "interrupted by the user")))
            if self._failing is None:
                completion.event.wait(GRACE)
            raise
        if watch is not None and not watch.attached and not completion.moved:
            with self._store.reader() as reader:
                watch.watcher(uid, None, reader.load_nodes(uid))
        if completion.moved:
            wait_for_other(self._store, uid, watcher, self.is_alive)
        elif completion.error is not None:
            raise TiphysError(
                f"The workflow {uid} could not be carried on: {completion.error}",
                hint="Its state up to here is stored.",
            ) from completion.error

    def watch(self, uid: str, watcher: Watcher) -> None:
        """Show someone the nodes that there are, and those of each commit."""
        self._queue.put((uid, Watch(watcher)))

    def figures(self) -> HostFigures:
        """What it does and did."""
        return self._figures.read(list(self._works.values()), queue=self._queue.qsize())

    def revisions(self) -> dict[str, int]:
        """The number of each workflow's last commit."""
        return self._revisions.copy()

    def close(self) -> None:
        """End the thread and the runners. Workflows that are not finished can be resumed by another process."""
        self._keeper.retire()
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._queue.put(None)
            thread.join(GRACE)
        for runner in self._runners.values():
            runner.close()
        self._keeper.close()

    # The loop ----------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        """Tell others that this process lives, where they cannot see it."""
        if self._store.shared:
            self._keeper.begin()

    def _expect(self, uid: str) -> None:
        self._join()
        with self._lock:
            self._completions.setdefault(uid, Completion())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tiphys-controller", daemon=True)
                self._thread.start()

    def _report(self, event: TaskFinished | TaskReady | TaskProgressed) -> None:
        item = event.task_id.partition("/")[0], event
        own = self._lent.get(threading.get_ident())
        if own is not None:
            own.append(item)
        else:
            self._queue.put(item)

    def _run(self) -> None:
        go_on = True
        while go_on:
            items, go_on = self._take()
            with self._helm:
                batch = self._due(items)
                if batch:
                    self._process(batch)

    def _take(self) -> tuple[list[_Item], bool]:
        """What is there, waiting for something, a timer, or the next poll; whether to go on after that."""
        with self._helm:
            due, now, timeout = self._timers.next_due(), self._clock.now(), None
            if self._works:
                # No jump of the clock keeps it from the next poll.
                timeout = max(0.0, self._next_poll - self._clock.elapsed())
                timeout = timeout if due is None else min(timeout, max(0.0, due - now))
            self._wakes_at = None if timeout is None else now + timeout
        items: list[_Item] = []
        try:
            item = self._queue.get(timeout=timeout)
            while item is not None:
                items.append(item)
                if len(items) >= BATCH:
                    return items, True
                item = self._queue.get_nowait()
        except queue.Empty:
            return items, True
        return items, False

    def _due(self, items: Iterable[_Item]) -> list[tuple[str, Event]]:
        """The events among what was taken, and those that are due."""
        batch: list[tuple[str, Event]] = []
        for uid, what in items:
            if isinstance(what, Watch):
                self._attach(uid, what)
            elif what is not None:
                batch.append((uid, what))
        back = self._watch.put_back()
        if back:
            self._timers.bring_forward(back)
        now = self._clock.now()
        batch += [(uid, TimerFired(key)) for uid, key in self._timers.take_due(now)]
        elapsed = self._clock.elapsed()
        if elapsed >= self._next_poll:
            batch += self._poll()
            self._next_poll = elapsed + POLL
        return batch

    @contextmanager
    def _lending(self) -> Iterator[deque[_Item]]:
        """While the calling thread waits for a workflow: what it reports itself is for `_is_over`."""
        thread = threading.get_ident()
        outer = self._lent.pop(thread, None)
        own: deque[_Item] = deque()
        if self._lender.is_free():
            self._lent[thread] = own
        try:
            yield own
        finally:
            self._lent.pop(thread, None)
            if outer is not None:
                self._lent[thread] = outer
            self._pass_on(own)

    def _is_over(self, completion: Completion, own: deque[_Item]) -> bool:
        """Whether a workflow has ended, once what the waiting thread has to report is worked on."""
        if own:
            self._steer(own)
        failing = self._failing
        if failing is not None and self._clock.elapsed() - failing[0] > PATIENCE:
            raise failing[1].__class__(
                f"The run is not waited for any longer, as its state cannot be stored: {failing[1].message}",
                hint="What was stored before is kept: when the cause is removed, tiphys runs resume RUN.",
            ) from failing[1]
        return completion.event.is_set()

    def _steer(self, own: deque[_Item]) -> None:
        """Work on what the calling thread has to report, unless another thread is at it."""
        if not self._queue.empty():  # then the controller's thread is about to, and takes all at once
            self._pass_on(own)
            return
        with deferred_signals():
            if self._helm.acquire(blocking=False):
                try:
                    while own:
                        self._try(self._due(own.popleft() for _ in range(len(own))))
                    due = self._timers.next_due()
                    if due is not None and (self._wakes_at is None or due < self._wakes_at):
                        self._queue.put(("", None))
                finally:
                    self._helm.release()
            else:
                self._pass_on(own)

    def _pass_on(self, own: deque[_Item]) -> None:
        while own:
            self._queue.put(own.popleft())

    def _try(self, batch: Sequence[tuple[str, Event]]) -> None:
        """Carry a batch through, or leave it to the controller's own thread, which can wait."""
        try:
            self._commit(batch)
        except Exception:  # noqa: BLE001  it comes up again there, and is told of
            for item in self._drop(batch):
                self._queue.put(item)

    def _attach(self, uid: str, watch: Watch) -> None:
        if uid not in self._completions:
            return
        watch.attached = True
        self._watchers.setdefault(uid, []).append(watch.watcher)
        work = self._works.get(uid)
        if work is not None:
            watch.watcher(uid, work.machine.state, work.machine.nodes())

    def _poll(self) -> list[tuple[str, Event]]:
        """What other processes asked for."""
        if not self._works:
            return []
        self._recorder.tend(self._works.keys())
        waiting = [uid for uid, work in self._works.items() if work.waiting]
        lost: dict[str, str] = {}
        try:
            with self._store.reader() as reader:
                if self._store.shared:
                    lost = new_places(reader, self._works.keys() - reader.owned(self.owner))
                # Only rows with a request: the others' manifests may be large, and this is asked all the time.
                rows = reader.find(Query(WorkflowRow, (Where("owner", self.owner), Where("request", "", "ne"))))
                wishes = reader.find(Query.of(WorkflowRequest, workflow_uid=list(self._works), order="id"))
                grants = granted(reader, waiting) if waiting else []
        except StoreError as error:
            self._outage.failed(error.message)
            return []
        self._outage.over()
        for uid, place in lost.items():
            self._lose(uid, place)
        events: list[tuple[str, Event]] = [
            (row.id, ShutdownRequested(row.request)) for row in rows if row.id in self._works
        ]
        for wish in wishes:
            if wish.id not in self._wishes and wish.workflow_uid in self._works:
                self._wishes[wish.id] = wish.workflow_uid
                events.append((wish.workflow_uid, event_of(wish)))
        return events + self._events_of(grants)

    def _events_of(self, grants: Iterable[Grant]) -> list[tuple[str, Event]]:
        """What those of our workflows are to hear that got locks."""
        events: list[tuple[str, Event]] = []
        for grant in grants:
            work = self._works.get(grant.uid)
            event = work.granted(grant.holder) if work is not None else None
            if event is not None:
                events.append((grant.uid, event))
        return events

    def _process(self, batch: Sequence[tuple[str, Event]]) -> None:
        """Carry a batch through; a workflow that cannot go on is ended, the others are not touched by that."""
        delay = 0.05
        while True:
            try:
                self._commit(batch)
            except StoreError as error:
                batch = self._drop(batch)
                self._figures.failed("store")
                self._failing = self._failing or (self._clock.elapsed(), error)
                self._lender.wake()
                _log.warning("The metadata store failed (%s); trying again in %.2g s.", error.message, delay)
                if self._closing.wait(delay):
                    return
                delay = min(delay * 2, 5.0)
            except Exception as error:  # noqa: BLE001  a defect ends its workflow, loudly, and never the loop
                batch, self._failing = self._drop(batch), None
                uids = list(dict.fromkeys(uid for uid, _ in batch))
                if len(uids) > 1:
                    for uid in uids:
                        self._process([item for item in batch if item[0] == uid])
                else:
                    self._give_up(uids[0], error)
                return
            else:
                self._failing = None
                return

    def _commit(self, batch: Sequence[tuple[str, Event]]) -> None:
        with self._figures.commit(len(batch)):
            self._carry_through(batch)

    def _carry_through(self, batch: Sequence[tuple[str, Event]]) -> None:
        """One transaction for the batch, then what it orders."""
        orders: dict[str, Orders] = {}
        uids = {uid for uid, _ in batch}
        with self._store.transaction() as transaction:
            lost = new_places(transaction, self._not_ours(transaction, uids))
            for uid, event in batch:
                if uid in lost:
                    continue
                work = self._works.get(uid)
                if work is None:
                    if isinstance(event, TimerFired):
                        continue
                    stored = transaction.load_workflow(uid)
                    if stored is None or stored.row.finished_at is not None:
                        self._complete(uid)
                        continue
                    work = self._restore(stored, orders.setdefault(uid, Orders()), transaction, starting=event)
                work.handle(event, transaction, self._recorder, orders.setdefault(uid, Orders()))
            done = [wish for wish, uid in self._wishes.items() if uid in uids and uid not in lost]
            if done:
                transaction.delete(WorkflowRequest, done)
            for uid, order in orders.items():
                if order.finished:
                    order.grants += release(transaction, uid)
            changes = [self._works[uid].commit(transaction, self._recorder) for uid in orders]
        for uid, place in lost.items():
            self._lose(uid, place)
        for wish in done:
            del self._wishes[wish]
        for change in changes:
            self._carry_out(change, orders[change.uid])

    def _not_ours(self, transaction: Transaction, uids: set[str]) -> set[str]:
        """Those of some workflows that others have taken up; none where who lives can be seen."""
        return uids - transaction.hold(uids, self.owner) if self._store.shared else set()

    def _lose(self, uid: str, place: str) -> None:
        """Forget a workflow that is another's (at that place, if it is known) or has ended there, and its tasks."""
        work = self._works.get(uid)
        for wish in [wish for wish, wanted in self._wishes.items() if wanted == uid]:
            del self._wishes[wish]
        self._complete(uid, moved=True)
        if work is not None:
            _log.warning("The workflow %s was taken up by another process meanwhile.", work.row.name)
            for task_id in work.in_flight:
                (work.runner.let_go if place == self._place else work.runner.cancel)(task_id, GRACE)

    def _restore(self, stored: StoredWorkflow, orders: Orders, transaction: Transaction, *, starting: Event) -> Work:
        """Take a workflow up from the store: fresh, after a crash of its owner, or after a failed transaction."""
        work = Work.restore(stored, self._runner(stored.row.runner), transaction, self._clock)
        self._works[work.uid] = work
        orders.timers += work.machine.timers()
        for command in work.machine.requests():
            answer = work.carry_out(command, transaction, orders)
            if answer is not None:
                work.handle(answer, transaction, self._recorder, orders)
        waiting = list(work.in_flight.values())
        if waiting and not isinstance(starting, ShutdownRequested):
            prepared = self._recorder.describe(waiting)
            work.in_flight = {task.id: task for task in prepared}
            attached = work.runner.reattach(prepared, self._report)
            orders.launch += [task for task in prepared if task.id not in attached]
        cancelled = [command for command in stored.outbox if isinstance(command, Cancel)]
        if cancelled:
            # A runner ends only what it knows: these may run on since the owner died.
            known = self._recorder.describe([work.task(command.node_id) for command in cancelled])
            work.runner.reattach(known, self._report)
            orders.cancel += [command.task_id for command in cancelled]
        return work

    def _carry_out(self, change: Change, orders: Orders) -> None:
        """After the commit: tell the watchers, set timers, cancel, launch."""
        work = self._works[change.uid]
        self._commits += 1
        self._revisions[change.uid] = self._commits
        self._figures.note(work, change, orders)
        for timer in orders.timers:
            self._timers.set(timer.due - work.time.ahead, work.uid, timer.key)
        for watcher in self._watchers.get(work.uid, ()):
            watcher(work.uid, change.state, change.nodes)
        for task_id in orders.cancel:
            work.runner.cancel(task_id, GRACE)
            work.cancelled.append(task_id)
        for task in orders.launch:
            work.runner.launch(task, self._report)
        for event in self._events_of(orders.grants):
            self._queue.put(event)
        if orders.finished:
            tell_of_end(work.row, work.machine)
            if work.cancelled:
                with self._store.transaction() as transaction:
                    transaction.save(WorkflowBatch(work.uid, acknowledged=work.cancelled))
            self._complete(work.uid)

    def _runner(self, name: str) -> Runner:
        runner = self._runners.get(name)
        if runner is None:
            runner = self._runners[name] = self._find_runner(name)
        return runner

    def _drop(self, batch: Sequence[tuple[str, Event]]) -> list[tuple[str, Event]]:
        """Forget the memory of workflows whose transaction failed.

        Returns the batch to be tried next: it takes them up from the store first, with their timers, which a late timer
        alone would not do.
        """
        taken_up: list[tuple[str, Event]] = []
        for uid in dict.fromkeys(uid for uid, _ in batch):
            if self._works.pop(uid, None) is not None:
                taken_up.append((uid, WorkflowStarted()))
            self._recorder.forget(uid)
        return [*taken_up, *batch]

    def _complete(self, uid: str, error: BaseException | None = None, *, moved: bool = False) -> None:
        self._works.pop(uid, None)
        self._revisions.pop(uid, None)
        self._watchers.pop(uid, None)
        self._recorder.forget(uid)
        self._keeper.look_soon()
        with self._lock:
            completion = self._completions.pop(uid, None)
        if completion is not None:
            completion.error, completion.moved = error, moved
            completion.event.set()
            self._lender.wake()

    def _give_up(self, uid: str, error: Exception) -> None:
        """End a workflow that the engine cannot carry on with: a defect, said loudly and never silently retried."""
        self._figures.failed("OperationPanic")
        _log.error("The workflow %s cannot be carried on.", uid, exc_info=error)
        now = self._clock.now()
        try:
            with self._store.transaction() as transaction:
                stored = transaction.load_workflow(uid)
                lost = self._not_ours(transaction, {uid})
                if stored is not None and stored.row.finished_at is None and not lost:
                    message = f"{type(error).__name__}: {error}"
                    state = WorkflowState(
                        uid, stored.row.name, Phase.ERROR, message, stored.state.started_at or now, now
                    )
                    transaction.save(WorkflowBatch(uid, state=state))
                    self._recorder.record(transaction, Change(uid, state))
        except TiphysError as second:
            _log.error("… and its end could not be stored.", exc_info=second)
        self._complete(uid, error)
