"""The workflow engine: a state machine without I/O, clock or randomness.

Events go in (`handle`), commands come out, changed nodes are taken with `take_changes`. Everything else that the
machine holds follows from the specification and the nodes, so a machine restored from what was committed goes on as the
one that wrote it would have.

How the parts share the work: `plan` compiles the specification once; `starting` leads from a task whose dependencies
are done to a node that runs; `settling` draws the consequences of a node's end; this file receives the events. Work
waits in one queue ordered by its place in the workflow (task order, then item order, depth first), not by time of
arrival, so that the order does not depend on what was remembered. An event costs as much as the nodes it starts and the
dependents of the nodes it ends; nothing walks over the other nodes.

Nodes hold no lists of children: `parent_id` (Retry and TaskGroup), `boundary_id` (DAG) and the plan's edges say the
same, and a parent need not be written again for each child. `children` below derives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from tiphys._util.times import from_epoch, rfc3339, to_epoch
from tiphys.engine import leaf
from tiphys.engine.commands import Acquire, Cancel, Command, SetTimer
from tiphys.engine.compiling import compile_workflow
from tiphys.engine.events import (
    Event,
    LocksAwaited,
    LocksGranted,
    NodeSet,
    Recalled,
    ResumeRequested,
    ShutdownRequested,
    SuspendRequested,
    TaskFinished,
    TaskProgressed,
    TaskReady,
    TimerFired,
    WorkflowStarted,
)
from tiphys.engine.gates import ask, ask_memory, locks_of, note_recalled, pending_timer
from tiphys.engine.hooks import run_hooks, run_workflow_hooks
from tiphys.engine.ids import fnv32
from tiphys.engine.ids import node_id as make_node_id
from tiphys.engine.model import ROUND, LeafTask, Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.engine.restoring import rebuild
from tiphys.engine.scope import Scope
from tiphys.engine.settling import (
    EXCEEDED,
    close,
    closed_by_deadline,
    closed_by_shutdown,
    main_is_over,
    settle,
    settle_ready,
    settle_tree,
)
from tiphys.engine.starting import end, start_next, suspend_timer
from tiphys.engine.state import MAIN_PLACE, Closed, Core
from tiphys.engine.validating import check_invariants
from tiphys.errors import ExpressionError, NotFoundError, SpecError
from tiphys.lang.gojson import go_json
from tiphys.lang.strftime import CHARACTERS, format_strftime
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.workflow import Workflow

#: How strong a shutdown is; a weaker one changes nothing after a stronger one.
_STRENGTH = {"": 0, "Drain": 1, "Stop": 2, "Terminate": 3}
#: Annotation with the time that a CronWorkflow was due.
SCHEDULED_TIME = "workflows.argoproj.io/scheduled-time"
#: Types of nodes that no runner carries out.
_INNER = (
    NodeType.RETRY, NodeType.TASK_GROUP, NodeType.STEP_GROUP, NodeType.DAG, NodeType.STEPS, NodeType.SUSPEND,
    NodeType.SKIPPED, NodeType.CONTAINER,
)  # fmt: skip


class Machine:
    """One workflow's state machine.

    Args:
        uid: The workflow's uid.
        workflow: Its definition.
        name: Its name, which is also its root node's.
        config: ConfigMaps that parameters may be taken from: name → key → value.

    Raises:
        SpecError: the definition is wrong or asks for what is not there.
    """

    def __init__(
        self, uid: str, workflow: Workflow, name: str, config: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        plan = compile_workflow(workflow)
        status = WorkflowState(uid=uid, name=name, suspended=bool(plan.spec.suspend))
        self._metadata = workflow.metadata
        self._core = Core(uid, plan, status, config=config or {})
        annotations = (workflow.metadata.annotations if workflow.metadata else None) or {}
        self._core.round = f".{annotations[ROUND]}" if ROUND in annotations else ""
        _set_globals(self._core, workflow)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            WorkflowStarted: self._handle_started,
            TaskFinished: self._handle_finished,
            TaskReady: self._handle_ready,
            TaskProgressed: self._handle_progress,
            TimerFired: self._handle_timer,
            LocksGranted: self._handle_granted,
            LocksAwaited: self._handle_awaited,
            Recalled: self._handle_recalled,
            ShutdownRequested: self._handle_shutdown,
            SuspendRequested: self._handle_suspend,
            ResumeRequested: self._handle_resume,
            NodeSet: self._handle_set,
        }

    @classmethod
    def restore(
        cls,
        uid: str,
        workflow: Workflow,
        state: WorkflowState,
        nodes: Iterable[Node],
        *,
        now: float,
        config: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Machine:
        """The machine that committed `state` and `nodes` (in the order they were first written), as it is at `now`.

        Timers are asked for again with `timers`, locks and memories with `requests`, commands that were not carried out
        by whoever stored them.
        """
        machine = cls(uid, workflow, state.name, config)
        machine._core.status, machine._core.now = state, now
        if state.started_at is not None:
            _set_times(machine._core, _made_at(workflow.metadata, state.started_at))
        rebuild(machine._core, nodes)
        return machine

    @property
    def state(self) -> WorkflowState:
        """The workflow's own status; not to be changed."""
        return self._core.status

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in; what is to be done about it comes back, in order.

        Events for nodes that are unknown or fulfilled change nothing, nor does any event after the end.

        Args:
            event: What happened.
            now: The present time, epoch seconds; not earlier than at the last call.
        """
        core = self._core
        if core.status.phase.fulfilled:
            return []
        core.now, core.commands = now, []
        self._handlers[type(event)](event)
        self._run()
        return core.commands

    def take_changes(self) -> tuple[WorkflowState | None, list[Node]]:
        """What changed since the last call: the workflow's status or None, and nodes, in the order of first change.

        Nodes come whole, and they are the machine's own: use them before the next `handle`.
        """
        core = self._core
        status, nodes = (core.status if core.status_changed else None), list(core.changed.values())
        core.status_changed, core.changed = False, {}
        return status, nodes

    def task(self, node_id: str) -> LeafTask:
        """What a runner is to be told of a leaf node.

        Raises:
            NotFoundError: there is no such leaf.
        """
        node = self._core.nodes.get(node_id)
        if node is None or node.type in _INNER:
            raise NotFoundError(f"Workflow '{self._core.status.name}' has no leaf node '{node_id}'.")
        return leaf.leaf_task(self._core, node)

    def node(self, node_id: str) -> Node:
        """A node; not to be changed.

        Raises:
            NotFoundError: there is no such node.
        """
        node = self._core.nodes.get(node_id)
        if node is None:
            raise NotFoundError(f"Workflow '{self._core.status.name}' has no node '{node_id}'.")
        return node

    def nodes(self) -> list[Node]:
        """All nodes in the order they were made; not to be changed."""
        return list(self._core.nodes.values())

    def will_retry(self, node_id: str) -> bool:
        """Whether an attempt failed and is followed by another one."""
        core = self._core
        node = core.nodes.get(node_id)
        parent = core.nodes.get(node.parent_id or "") if node is not None else None
        if node is None or parent is None or parent.type is not NodeType.RETRY or not node.phase.failed:
            return False
        return not parent.phase.fulfilled or core.attempts[parent.id][-1] != node_id

    def timers(self) -> list[SetTimer]:
        """Every timer that is still to fire; for a restored machine, whose timers were lost."""
        core, timers = self._core, []
        if core.status.phase.fulfilled:
            return []
        deadline = leaf.workflow_deadline(core)
        if deadline is not None and not main_is_over(core):
            timers.append(SetTimer("deadline", deadline))
        for node_id in core.running:
            node = core.nodes[node_id]
            due = leaf.deadline_of(core, node, core.template_of(node))
            if due is not None:
                timers.append(SetTimer(f"timeout:{node_id}", due))
        for node_id in core.paused:
            timer = suspend_timer(core, core.template_of(core.nodes[node_id]), core.nodes[node_id])
            if timer is not None:
                timers.append(timer)
        for node_id in core.gated:
            timer = pending_timer(core, core.nodes[node_id], core.template_of(core.nodes[node_id])) if node_id else None
            if timer is not None:
                timers.append(timer)
        timers.extend(SetTimer(f"retry:{node_id}", due) for node_id, due in core.backoffs.items())
        return timers

    def requests(self) -> list[Command]:
        """Locks and memories to be asked for; for a restored machine, whose requests may have been lost."""
        core = self._core
        core.commands = []
        if core.status.phase.fulfilled:
            return []
        for holder in sorted(core.locked):
            node = core.nodes.get(holder)
            locks = core.plan.locks if node is None else core.template_of(node).locks
            core.commands.append(Acquire(holder, locks_of(core, locks, node.inputs if node else None)))
        for node_id in core.gated:
            if node_id and node_id not in core.locked:
                ask(core, core.nodes[node_id], core.template_of(core.nodes[node_id]))
        return core.commands

    def running(self) -> list[str]:
        """Ids of the leaf nodes that run, in the order of their start."""
        return list(self._core.running)

    def validate(self) -> None:
        """Check every invariant.

        Raises:
            InvariantError: one does not hold.
        """
        check_invariants(self._core)

    def story(self, node_id: str) -> list[tuple[float, str]]:
        """When and how a node changed, as far as it is remembered."""
        return [(at, what) for at, found, what in self._core.log if found == node_id]

    def _run(self) -> None:
        core = self._core
        while True:
            while core.ended or core.begun:
                if core.ended:
                    settle(core, core.ended.popleft())
                else:
                    self._look_at_hooks(core.begun.pop())
            if core.status.phase is Phase.RUNNING and core.plan.hooks:
                run_workflow_hooks(core)
            if core.status.phase.fulfilled or not start_next(core):
                return

    def _look_at_hooks(self, node: Node) -> None:
        boundary = self._core.boundaries.get(node.boundary_id or "")
        if boundary is not None and not node.phase.fulfilled:
            run_hooks(self._core, boundary, node)

    def _handle_started(self, _: WorkflowStarted) -> None:
        core = self._core
        if core.status.phase is not Phase.PENDING or "" in core.gated:
            return
        if core.plan.locks and "" not in core.locked:
            core.locked.add("")
            core.gated[""] = False
            core.status_changed = True
            core.commands.append(Acquire("", locks_of(core, core.plan.locks, None)))
            return
        core.status.phase, core.status.started_at, core.status_changed = Phase.RUNNING, core.now, True
        core.status.message = ""
        _set_times(core, _made_at(self._metadata, core.now))
        deadline = leaf.workflow_deadline(core)
        if deadline is not None:
            core.commands.append(SetTimer("deadline", deadline))
        core.push((MAIN_PLACE, None, 0))
        if core.plan.spec.shutdown:
            self._shut_down(core.plan.spec.shutdown)

    def _handle_finished(self, event: TaskFinished) -> None:
        core, node = self._core, self._launched(event.task_id)
        if node is None or not event.phase.fulfilled:
            return
        if not event.retryable and node.parent_id is not None:
            core.final.add(node.id)
        for name, (phase, message, code) in event.containers.items():
            self._add_container(node, name, phase, message, code)
        phase = event.phase
        core.daemons.pop(node.id, None)
        if phase is Phase.SUCCEEDED and core.template_of(node).daemon:
            phase = Phase.FAILED  # a daemon is to run until it is ended
        end(core, node, phase, message=event.message, reason=event.reason, outputs=event.outputs)

    def _launched(self, task_id: str) -> Node | None:
        """The leaf that a task was launched for, if it runs."""
        core = self._core
        node_id = task_id.rsplit("/", 2)[-2] if task_id.count("/") >= 2 else ""
        node = core.nodes.get(node_id)
        runs = node_id in core.running or node_id in core.daemons
        return node if node is not None and runs and leaf.task_id(core, node) == task_id else None

    def _add_container(self, pod: Node, name: str, phase: Phase, message: str, code: int | None) -> None:
        core, full = self._core, f"{pod.name}.{name}"
        node = Node(
            make_node_id(core.status.name, full, fnv32(full), core.nodes),
            full,
            name,
            NodeType.CONTAINER,
            phase,
            pod.template,
            pod.boundary_id,
            pod.task_name,
            parent_id=pod.id,
            message=message,
            started_at=pod.started_at,
            finished_at=core.now,
            outputs=None if code is None else Values(exit_code=code),
            hooked=pod.hooked,
        )
        core.nodes[node.id] = node
        core.put(node, phase.value)

    def _handle_ready(self, event: TaskReady) -> None:
        core, node = self._core, self._launched(event.task_id)
        if node is None or not core.template_of(node).daemon or node.daemoned:
            return
        del core.running[node.id]
        core.daemons[node.id] = node.boundary_id or ""
        top = core.retry_of(node) or node
        known = top.daemoned
        if top is not node:
            core.serving[top.id] = top.boundary_id or ""
        for each in (node,) if top is node else (node, top):
            each.daemoned, each.ip = True, event.ip
            core.put(each, "ready")
        if not known:
            settle_ready(core, top)

    def _handle_progress(self, event: TaskProgressed) -> None:
        node = self._launched(event.task_id)
        if node is None:
            return
        progress, message = event.progress or node.progress, event.message or node.message
        if (progress, message) != (node.progress, node.message):
            node.progress, node.message = progress, message
            self._core.put(node, f"progress {progress}")

    def _handle_granted(self, event: LocksGranted) -> None:
        core = self._core
        if event.holder not in core.gated or event.holder not in core.locked:
            return
        if event.holder == "":
            del core.gated[""]
            if event.problem:
                self._fail_unbegun(event.problem)
            else:
                self._handle_started(WorkflowStarted())
            return
        node = core.nodes[event.holder]
        if event.problem:
            end(core, node, Phase.ERROR, message=event.problem)
            return
        if not ask_memory(core, node, core.template_of(node)):
            self._open(node)

    def _fail_unbegun(self, problem: str) -> None:
        """The workflow cannot begin."""
        core = self._core
        core.status.phase, core.status.started_at, core.status_changed = Phase.RUNNING, core.now, True
        core.closed = Closed(Reason.NONE, problem, phase=Phase.ERROR)
        settle_tree(core)

    def _handle_awaited(self, event: LocksAwaited) -> None:
        core = self._core
        if event.holder not in core.gated:
            return
        if event.holder == "":
            core.status.message, core.status_changed = event.message, True
            return
        node = core.nodes[event.holder]
        if node.waiting != event.message:
            node.waiting = node.message = event.message
            core.put(node, "waiting")

    def _handle_recalled(self, event: Recalled) -> None:
        core = self._core
        if event.node_id not in core.gated:
            return
        node = core.nodes[event.node_id]
        if event.problem:
            end(core, node, Phase.ERROR, message=event.problem)
            return
        note_recalled(core, node, core.template_of(node), hit=event.outputs is not None)
        if event.outputs is not None:
            end(core, node, Phase.SUCCEEDED, reason=Reason.MEMOIZED, outputs=event.outputs)
        else:
            self._open(node)

    def _open(self, node: Node) -> None:
        """Nothing keeps a node waiting any more but the bounds of parallelism."""
        core = self._core
        if not core.gated[node.id]:
            core.gated[node.id] = True
            core.push((core.place_of(node), core.boundaries.get(node.boundary_id or ""), node))

    def _handle_timer(self, event: TimerFired) -> None:
        core = self._core
        kind, _, node_id = event.key.partition(":")
        if kind == "deadline":
            self._handle_deadline()
        elif kind == "timeout" and node_id in core.running:
            node = core.nodes[node_id]
            due = leaf.deadline_of(core, node, core.template_of(node))
            if due is None:
                return
            if core.now < due:
                core.commands.append(SetTimer(event.key, due))
                return
            core.commands.append(Cancel(leaf.task_id(core, node), node_id))
            end(core, node, Phase.FAILED, message=EXCEEDED, reason=Reason.TIMED_OUT)
        elif kind == "retry" and node_id in core.backoffs:
            if core.now < core.backoffs[node_id]:
                core.commands.append(SetTimer(event.key, core.backoffs[node_id]))
                return
            del core.backoffs[node_id]
            node = core.nodes[node_id]
            core.push((core.place_of(node), core.boundaries.get(node.boundary_id or ""), node))
        elif kind == "resume" and node_id in core.paused:
            timer = suspend_timer(core, core.template_of(core.nodes[node_id]), core.nodes[node_id])
            if timer is not None and core.now < timer.due:
                core.commands.append(timer)
            else:
                self._go_on(core.nodes[node_id], strict=True)
        elif kind == "pending" and node_id in core.gated:
            node = core.nodes[node_id]
            timer = pending_timer(core, node, core.template_of(node))
            if timer is not None and core.now >= timer.due:
                end(core, node, Phase.FAILED, message="Step exceeded its pending timeout", reason=Reason.TIMED_OUT)

    def _handle_deadline(self) -> None:
        core, due = self._core, leaf.workflow_deadline(self._core)
        if due is None or core.status.phase is not Phase.RUNNING or main_is_over(core):
            return
        if core.now < due:
            core.commands.append(SetTimer("deadline", due))
            return
        close(core, closed_by_deadline(), cancel=True)
        if core.status.shutdown:  # what ends from now on was stopped, whichever came first
            core.closed = closed_by_shutdown(core.status.shutdown)
        self._finish_unbegun()

    def _handle_shutdown(self, event: ShutdownRequested) -> None:
        self._shut_down(event.strategy)

    def _shut_down(self, strategy: str) -> None:
        core = self._core
        if _STRENGTH.get(strategy, 0) <= _STRENGTH[core.status.shutdown]:
            return
        core.status.shutdown, core.status_changed = strategy, True
        if core.status.phase is Phase.PENDING:
            core.gated.pop("", None)
            core.status.phase, core.status.started_at = Phase.RUNNING, core.now
        close(core, closed_by_shutdown(strategy), cancel=strategy != "Drain", hooked=strategy == "Terminate")
        self._finish_unbegun()

    def _finish_unbegun(self) -> None:
        """Go on where no node's end will do it: the main tree was never begun, or the exit handler must not be."""
        core = self._core
        root = core.nodes.get(core.status.name)
        if root is not None and not root.phase.fulfilled:
            return
        if "exit" not in core.workflow_hooks and not core.ready and not core.ended:
            settle_tree(core)

    def _handle_suspend(self, _: SuspendRequested) -> None:
        core = self._core
        if not core.status.suspended:
            core.status.suspended, core.status_changed = True, True

    def _handle_resume(self, event: ResumeRequested) -> None:
        core = self._core
        if event.nodes is None and core.status.suspended:
            core.status.suspended, core.status_changed = False, True
        for node_id in list(core.paused):
            if event.nodes is None or node_id in event.nodes:
                self._go_on(core.nodes[node_id], strict=False)

    def _go_on(self, node: Node, *, strict: bool) -> None:
        """End a Suspend node; values that nobody supplied take their defaults; without one it waits on."""
        core = self._core
        given = node.outputs.parameters if node.outputs is not None else {}
        values = {**core.template_of(node).supplied, **given}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            message = f"raw output parameter '{missing[0]}' has not been set and does not have a default value"
            if strict:
                end(core, node, Phase.ERROR, message=message)
            else:
                node.message = message
                core.put(node, "not resumed")
            return
        outputs = Values(parameters={name: value for name, value in values.items() if value is not None})
        end(core, node, Phase.SUCCEEDED, outputs=outputs if values else None)

    def _handle_set(self, event: NodeSet) -> None:
        core = self._core
        if event.node_id not in core.paused:
            return
        node = core.nodes[event.node_id]
        if event.outputs:
            node.outputs = node.outputs or Values()
            node.outputs.parameters |= event.outputs
        if event.message is not None:
            node.message = event.message
        core.put(node, "set")
        if event.phase is not None and event.phase.fulfilled:
            end(core, node, event.phase, message=node.message, outputs=node.outputs)


def _set_globals(core: Core, workflow: Workflow) -> None:
    """What `workflow.…` stands for before anything has run."""
    metadata, spec, found = workflow.metadata, core.plan.spec, core.globals
    annotations: dict[str, str] = (metadata.annotations if metadata else None) or {}
    labels: dict[str, str] = (metadata.labels if metadata else None) or {}
    found |= {
        "workflow.name": core.status.name,
        "workflow.uid": core.uid,
        "workflow.namespace": (metadata.namespace if metadata else None) or "default",
        "workflow.serviceAccountName": spec.service_account_name or "default",
        "workflow.mainEntrypoint": spec.entrypoint or "",
        "workflow.status": Phase.RUNNING.value,
    }
    if spec.priority is not None:
        found["workflow.priority"] = str(spec.priority)
    if SCHEDULED_TIME in annotations:
        found["workflow.scheduledTime"] = annotations[SCHEDULED_TIME]
    for kind, values in (("annotations", annotations), ("labels", labels)):
        found[f"workflow.{kind}"] = found[f"workflow.{kind}.json"] = go_json(values)
        found |= {f"workflow.{kind}.{key}": value for key, value in values.items()}
    parameters = []
    for parameter, source in core.plan.call.parameters.items():
        try:
            value = Scope(core).argument(source)
        except ExpressionError as error:
            raise SpecError(f"spec.arguments.parameters.{parameter}: {error.message}", hint=error.hint) from error
        if value is None:
            continue
        found[f"workflow.parameters.{parameter}"] = value
        parameters.append({"name": parameter, "value": value})
    found["workflow.parameters"] = found["workflow.parameters.json"] = go_json(parameters)


def _made_at(metadata: ObjectMeta | None, started_at: float) -> float:
    """When the workflow was made, as its metadata say, or else when it was started."""
    text = metadata.creation_timestamp if metadata else None
    return started_at if not text else to_epoch(datetime.fromisoformat(text))


def _set_times(core: Core, started_at: float) -> None:
    moment = from_epoch(started_at)
    core.globals["workflow.creationTimestamp"] = core.globals["workflow.creationTimestamp.RFC3339"] = rfc3339(moment)
    core.globals["workflow.creationTimestamp.s"] = str(int(started_at))
    for char in CHARACTERS:
        core.globals[f"workflow.creationTimestamp.{char}"] = format_strftime(char, moment)


def children(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """For each node the ids of those directly below it: a Retry node's attempts, a loop's items, a DAG's tasks."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        above = node.parent_id or node.boundary_id
        if above is not None:
            found.setdefault(above, []).append(node.id)
    return found
