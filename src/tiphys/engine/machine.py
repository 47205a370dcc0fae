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

from collections.abc import Callable, Iterable
from typing import Any

from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine import leaf
from tiphys.engine.commands import Cancel, Command, SetTimer
from tiphys.engine.events import (
    Event,
    ResumeRequested,
    ShutdownRequested,
    SuspendRequested,
    TaskFinished,
    TimerFired,
    WorkflowStarted,
)
from tiphys.engine.model import LeafTask, Node, NodeType, Phase, Reason, WorkflowState
from tiphys.engine.plan import WorkflowPlan, compile_workflow
from tiphys.engine.restoring import rebuild
from tiphys.engine.scope import Scope
from tiphys.engine.settling import close, closed_by_shutdown, finish_main, settle
from tiphys.engine.starting import end, start_next, suspend_timer
from tiphys.engine.state import MAIN_PLACE, Closed, Core
from tiphys.engine.validating import check_invariants
from tiphys.errors import ExpressionError, NotFoundError, SpecError
from tiphys.lang.gojson import go_json
from tiphys.spec.workflow import Workflow

#: How strong a shutdown is; a weaker one changes nothing after a stronger one.
_STRENGTH = {"": 0, "Drain": 1, "Stop": 2, "Terminate": 3}
_EXCEEDED = "Step exceeded its deadline"


class Machine:
    """One workflow's state machine.

    Args:
        uid: The workflow's uid.
        workflow: Its definition.
        name: Its name, which is also its root node's.

    Raises:
        SpecError: the definition is wrong or asks for what is not there.
    """

    def __init__(self, uid: str, workflow: Workflow, name: str) -> None:
        plan = compile_workflow(workflow)
        status = WorkflowState(uid=uid, name=name, suspended=bool(plan.spec.suspend))
        self._core = Core(uid, plan, status)
        self._core.globals.update(_globals(uid, name, workflow, plan))
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            WorkflowStarted: self._handle_started,
            TaskFinished: self._handle_finished,
            TimerFired: self._handle_timer,
            ShutdownRequested: self._handle_shutdown,
            SuspendRequested: self._handle_suspend,
            ResumeRequested: self._handle_resume,
        }

    @classmethod
    def restore(cls, uid: str, workflow: Workflow, state: WorkflowState, nodes: Iterable[Node]) -> Machine:
        """The machine that committed `state` and `nodes` (in the order they were first written).

        Timers are asked for again with `timers`, commands that were not carried out by whoever stored them.
        """
        machine = cls(uid, workflow, state.name)
        machine._core.status = state
        if state.started_at is not None:
            _set_times(machine._core, state.started_at)
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
        if node is None or node.type in (NodeType.RETRY, NodeType.TASK_GROUP, NodeType.DAG, NodeType.SKIPPED):
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
        root, deadline = core.nodes.get(core.status.name), leaf.workflow_deadline(core)
        if deadline is not None and (root is None or not root.phase.fulfilled):
            timers.append(SetTimer("deadline", deadline))
        for node_id in core.running:
            node = core.nodes[node_id]
            due = leaf.deadline_of(core, node, core.template_of(node))
            if due is not None:
                timers.append(SetTimer(f"timeout:{node_id}", due))
        for node_id in core.paused:
            timer = suspend_timer(core.template_of(core.nodes[node_id]), core.nodes[node_id])
            if timer is not None:
                timers.append(timer)
        timers.extend(SetTimer(f"retry:{node_id}", due) for node_id, due in core.backoffs.items())
        return timers

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
            while core.ended:
                settle(core, core.ended.popleft())
            if core.status.phase.fulfilled or not start_next(core):
                return

    def _handle_started(self, _: WorkflowStarted) -> None:
        core = self._core
        if core.status.phase is not Phase.PENDING:
            return
        core.status.phase, core.status.started_at, core.status_changed = Phase.RUNNING, core.now, True
        _set_times(core, core.now)
        deadline = leaf.workflow_deadline(core)
        if deadline is not None:
            core.commands.append(SetTimer("deadline", deadline))
        core.push((MAIN_PLACE, None, 0))
        if core.plan.spec.shutdown:
            self._shut_down(core.plan.spec.shutdown)

    def _handle_finished(self, event: TaskFinished) -> None:
        core = self._core
        node_id = event.task_id.rsplit("/", 2)[-2] if event.task_id.count("/") >= 2 else ""
        node = core.nodes.get(node_id)
        if node is None or node_id not in core.running or leaf.task_id(core, node) != event.task_id:
            return
        if not event.phase.fulfilled:
            return
        if not event.retryable and node.parent_id is not None:
            core.final.add(node_id)
        end(core, node, event.phase, message=event.message, reason=event.reason, outputs=event.outputs)

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
            end(core, node, Phase.FAILED, message=_EXCEEDED, reason=Reason.TIMED_OUT)
        elif kind == "retry" and node_id in core.backoffs:
            if core.now < core.backoffs[node_id]:
                core.commands.append(SetTimer(event.key, core.backoffs[node_id]))
                return
            del core.backoffs[node_id]
            node = core.nodes[node_id]
            core.push((core.place_of(node), core.boundaries.get(node.boundary_id or ""), node))
        elif kind == "resume" and node_id in core.paused:
            end(core, core.nodes[node_id], Phase.SUCCEEDED)

    def _handle_deadline(self) -> None:
        core, due = self._core, leaf.workflow_deadline(self._core)
        root = core.nodes.get(core.status.name)
        if due is None or core.status.phase is not Phase.RUNNING or (root is not None and root.phase.fulfilled):
            return
        if core.now < due:
            core.commands.append(SetTimer("deadline", due))
            return
        close(core, Closed(Reason.TIMED_OUT, _EXCEEDED), cancel=True)
        self._finish_unbegun()

    def _handle_shutdown(self, event: ShutdownRequested) -> None:
        self._shut_down(event.strategy)

    def _shut_down(self, strategy: str) -> None:
        core = self._core
        if _STRENGTH.get(strategy, 0) <= _STRENGTH[core.status.shutdown]:
            return
        core.status.shutdown, core.status_changed = strategy, True
        if core.status.phase is Phase.PENDING:
            core.status.phase, core.status.started_at = Phase.RUNNING, core.now
        close(core, closed_by_shutdown(strategy), cancel=strategy != "Drain", hooked=strategy == "Terminate")
        self._finish_unbegun()

    def _finish_unbegun(self) -> None:
        """Go on where no node's end will do it: the main tree was never begun, or the exit handler must not be."""
        core = self._core
        root = core.nodes.get(core.status.name)
        if root is not None and not root.phase.fulfilled:
            return
        begun = any(node.hooked for node in core.nodes.values())
        if not begun and not core.ready and not core.ended:
            finish_main(core)

    def _handle_suspend(self, _: SuspendRequested) -> None:
        core = self._core
        if not core.status.suspended:
            core.status.suspended, core.status_changed = True, True

    def _handle_resume(self, _: ResumeRequested) -> None:
        core = self._core
        if core.status.suspended:
            core.status.suspended, core.status_changed = False, True
        for node_id in list(core.paused):
            end(core, core.nodes[node_id], Phase.SUCCEEDED)


def _globals(uid: str, name: str, workflow: Workflow, plan: WorkflowPlan) -> dict[str, str]:
    """What `workflow.…` stands for before anything has run."""
    metadata, spec = workflow.metadata, plan.spec
    found = {
        "workflow.name": name,
        "workflow.uid": uid,
        "workflow.namespace": (metadata.namespace if metadata else None) or "default",
        "workflow.serviceAccountName": spec.service_account_name or "default",
        "workflow.mainEntrypoint": spec.entrypoint or "",
        "workflow.status": Phase.RUNNING.value,
    }
    if spec.priority is not None:
        found["workflow.priority"] = str(spec.priority)
    for kind in ("annotations", "labels"):
        values: dict[str, str] = (getattr(metadata, kind) if metadata else None) or {}
        found[f"workflow.{kind}"] = found[f"workflow.{kind}.json"] = go_json(values)
        found.update({f"workflow.{kind}.{key}": value for key, value in values.items()})
    parameters = []
    for parameter, pattern in plan.call.parameters.items():
        try:
            value = Scope(None, found).fill(pattern)
        except ExpressionError as error:
            raise SpecError(f"spec.arguments.parameters.{parameter}: {error.message}") from error
        found[f"workflow.parameters.{parameter}"] = value
        parameters.append({"name": parameter, "value": value})
    found["workflow.parameters"] = found["workflow.parameters.json"] = go_json(parameters)
    return found


def _set_times(core: Core, started_at: float) -> None:
    moment = from_epoch(started_at)
    core.globals["workflow.creationTimestamp"] = core.globals["workflow.creationTimestamp.RFC3339"] = rfc3339(moment)
    core.globals["workflow.creationTimestamp.s"] = str(int(started_at))


def children(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """For each node the ids of those directly below it: a Retry node's attempts, a loop's items, a DAG's tasks."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        above = node.parent_id or node.boundary_id
        if above is not None:
            found.setdefault(above, []).append(node.id)
    return found
