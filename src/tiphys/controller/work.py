"""One workflow while it is carried out: its machine, the tasks that are out, and what the present batch changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tiphys._util.collector import no_collections
from tiphys.controller.locks import Grant, acquire, release
from tiphys.controller.memory import TYPE_LABEL, memorize, recall
from tiphys.controller.own_time import OwnTime
from tiphys.engine.commands import Acquire, Cancel, Command, FinishWorkflow, Launch, Memorize, Recall, Release, SetTimer
from tiphys.engine.events import Event, LocksAwaited, LocksGranted, TaskFinished
from tiphys.engine.machine import Machine
from tiphys.engine.model import NodeType
from tiphys.ports.clock import Clock
from tiphys.ports.engine_host import TemplateName
from tiphys.ports.recorder import Change, Recorder
from tiphys.ports.runner import Runner, Task
from tiphys.ports.store import Reader, StoredWorkflow, Transaction, WorkflowBatch
from tiphys.records.objects import ObjectKind, objects_of
from tiphys.records.workflows import WorkflowRow
from tiphys.spec.workflow import Workflow


@dataclass(slots=True)
class Orders:
    """What is to be done once a batch is committed."""

    launch: list[Task] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    timers: list[SetTimer] = field(default_factory=list)
    #: Holders, of any workflow, that got what this one gave back.
    grants: list[Grant] = field(default_factory=list)
    #: Keys of the locks that the workflow's holders got.
    taken: list[str] = field(default_factory=list)
    finished: bool = False


class Work:
    """One workflow in memory. Lost with the process, and made anew from the store.

    Args:
        row: The stored workflow.
        machine: Its state machine.
        runner: Carries out its leaves.
        time: By which its deadlines and delays are counted.
    """

    def __init__(self, row: WorkflowRow, machine: Machine, runner: Runner, time: OwnTime) -> None:
        self.uid = row.id
        self.row = row
        self.machine = machine
        self.runner = runner
        self.time = time
        #: Tasks whose end is awaited, by id.
        self.in_flight: dict[str, Task] = {}
        #: Cancelled tasks whose cancellation was carried out and can be acknowledged.
        self.cancelled: list[str] = []
        #: Nodes that wait for locks ("" is the workflow).
        self.waiting: set[str] = set()
        #: Nodes that asked for locks → the keys of these, until they are told that they have them.
        self._asked: dict[str, list[str]] = {}
        #: What was counted last of it and of its pods, by node id.
        self.phase = machine.state.phase
        self.pods = {node.id: node.phase for node in machine.nodes() if node.type is NodeType.POD}
        #: The stored template that it is made of alone.
        self.template: TemplateName | None = None
        self._change = Change(row.id)
        self._outbox: dict[str, Launch | Cancel] = {}
        self._acknowledged: list[str] = []

    @classmethod
    @no_collections()
    def restore(cls, stored: StoredWorkflow, runner: Runner, reader: Reader, clock: Clock) -> Work:
        """From what is stored."""
        workflow = Workflow.model_validate_json(stored.row.manifest)
        config = _config_maps(reader, stored.row.workspace) if "configMapKeyRef" in stored.row.manifest else {}
        time = OwnTime.of(stored, clock)
        machine = Machine.restore(stored.row.id, workflow, stored.state, stored.nodes, now=time.now(), config=config)
        work = cls(stored.row, machine, runner, time)
        reference = workflow.spec.workflow_template_ref if workflow.spec is not None else None
        if reference is not None and reference.name:
            work.template = TemplateName(reference.name, stored.row.workspace, bool(reference.cluster_scope))
        work.in_flight = {
            command.task_id: work.task(command.node_id) for command in stored.outbox if isinstance(command, Launch)
        }
        return work

    def task(self, node_id: str) -> Task:
        """The leaf as a runner is asked for it."""
        leaf = self.machine.task(node_id)
        return Task(
            id=leaf.id,
            workflow_uid=leaf.workflow_uid,
            node_id=leaf.node_id,
            name=leaf.name,
            attempt=leaf.attempt,
            body=leaf.body,
            inputs=leaf.inputs,
            last_attempt=leaf.last_attempt,
            deadline=leaf.deadline,
        )

    def handle(self, event: Event, transaction: Transaction, recorder: Recorder, orders: Orders) -> None:
        """Tell the machine of `event`, and of all that is known to follow from it at once (cached results, locks)."""
        events, now = deque([event]), self.time.now()
        while events:
            event = events.popleft()
            if isinstance(event, TaskFinished):
                task = self.in_flight.pop(event.task_id, None)
                if task is None:
                    continue
                event = recorder.check(transaction, task, event)
                self._accept(task, event)
            elif isinstance(event, LocksGranted):
                keys = self._asked.pop(event.holder, [])
                orders.taken += [] if event.problem else keys
            launches: list[Launch] = []
            for command in self.machine.handle(event, now):
                if isinstance(command, Launch):
                    launches.append(command)
                else:
                    answer = self.carry_out(command, transaction, orders)
                    if answer is not None:
                        events.append(answer)
            if launches:
                events.extend(self._launch(launches, transaction, recorder, orders))

    def carry_out(self, command: Command, transaction: Transaction, orders: Orders) -> Event | None:
        """Do what a command asks for, in the transaction or noted for later; returns the answer if it is known now."""
        if isinstance(command, Cancel):
            self._cancel(command, orders)
        elif isinstance(command, SetTimer):
            orders.timers.append(command)
        elif isinstance(command, Acquire):
            self._asked[command.holder] = [lock.key for lock in command.locks]
            answer = acquire(transaction, self.row, command)
            if isinstance(answer, LocksAwaited):
                self.waiting.add(command.holder)
            return answer
        elif isinstance(command, Release):
            self.waiting.discard(command.holder)
            orders.grants += release(transaction, self.uid, command.holder)
        elif isinstance(command, Recall):
            return recall(transaction, self.row.workspace, command, self.time.now())
        elif isinstance(command, Memorize):
            memorize(transaction, self.row.workspace, command, self.time.now())
        elif isinstance(command, FinishWorkflow):
            orders.finished = True
        return None

    def granted(self, holder: str) -> LocksGranted | None:
        """The event for a grant that came from elsewhere; None if nothing waits for it."""
        if holder not in self.waiting:
            return None
        self.waiting.discard(holder)
        return LocksGranted(holder)

    def _accept(self, task: Task, event: TaskFinished) -> None:
        """Note the first report of a task that was awaited."""
        self._change.finished.append((task, event))
        if self._outbox.pop(task.id, None) is None:
            self._acknowledged.append(task.id)

    def _launch(
        self, launches: Iterable[Launch], reader: Reader, recorder: Recorder, orders: Orders
    ) -> Iterable[TaskFinished]:
        """Order what must run; returns the ends of what need not."""
        known = []
        by_id = {launch.task_id: launch for launch in launches}
        for prepared in recorder.prepare(reader, [self.task(launch.node_id) for launch in by_id.values()]):
            if isinstance(prepared, Task):
                self.in_flight[prepared.id] = prepared
                self._change.launched.append(prepared)
                self._outbox[prepared.id] = by_id[prepared.id]
                orders.launch.append(prepared)
            else:
                task, end = prepared
                self.in_flight[task.id] = task
                self._outbox[task.id] = by_id[task.id]
                known.append(end)
        return known

    def _cancel(self, command: Cancel, orders: Orders) -> None:
        self.in_flight.pop(command.task_id, None)
        launched_here = self._outbox.pop(command.task_id, None)
        if launched_here is not None:
            # Ordered and taken back in one batch: nobody was asked, so there is nothing to record or to end.
            orders.launch = [task for task in orders.launch if task.id != command.task_id]
            self._change.launched = [task for task in self._change.launched if task.id != command.task_id]
            return
        self._acknowledged.append(command.task_id)
        self._outbox[command.task_id] = command
        orders.cancel.append(command.task_id)

    def commit(self, transaction: Transaction, recorder: Recorder) -> Change:
        """Write down what changed since the last commit; returns it."""
        state, nodes = self.machine.take_changes()
        change, self._change = self._change, Change(self.uid)
        change.state, change.nodes = state, nodes
        change.retried = {node.id for node in nodes if node.phase.failed and self.machine.will_retry(node.id)}
        acknowledged = self._acknowledged + self.cancelled
        transaction.save(WorkflowBatch(self.uid, nodes, state, list(self._outbox.values()), acknowledged))
        self._outbox, self._acknowledged, self.cancelled = {}, [], []
        recorder.record(transaction, change)
        return change


def _config_maps(reader: Reader, namespace: str) -> dict[str, dict[str, str]]:
    """The ConfigMaps that parameters may be taken from: they say so by a label."""
    return {
        found.name: dict(found.manifest.get("data") or {})
        for found in reader.find(objects_of(ObjectKind.CONFIG_MAP, namespace=namespace))
        if found.labels.get(TYPE_LABEL) == "Parameter"
    }
