"""What a machine holds while it works: the nodes, and beside them counters and queues that follow from the nodes.

Nothing in here but `nodes` and `status` is stored. The rest is rebuilt from them (`restore`) and checked against them
(`validate`).
"""

from __future__ import annotations

import heapq
from bisect import bisect
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.commands import Command
from tiphys.engine.ids import fnv32
from tiphys.engine.loops import Aggregate, item_index
from tiphys.engine.model import ArtifactValue, Node, NodeType, Phase, Reason, Values, WorkflowState
from tiphys.engine.plan import FAILURES, DagPlan, HookPlan, TaskPlan, TemplatePlan, WorkflowPlan
from tiphys.engine.references import Pattern
from tiphys.errors import InvariantError
from tiphys.lang import tags

#: Where a piece of work stands in the workflow: the (task, item) numbers on the way to it. The queue is ordered by it.
Place = tuple[int, ...]
#: Places of the main tree and of the exit handler.
MAIN_PLACE: Place = (0, 0)
EXIT_PLACE: Place = (1, 0)
#: Stands between the place of a node and the numbers of its hooks.
HOOK_PLACE = 1 << 30
#: How many transitions are remembered for `story`.
_REMEMBERED = 10_000


@dataclass(slots=True)
class Group:
    """A loop: one task of one DAG instance, with its items."""

    task: TaskPlan
    items: list[Any]
    #: Whether `when` was false for all items, so that they are skipped.
    skipped: bool = False
    #: The TaskGroup node; None until the first item starts.
    node: Node | None = None
    #: Numbers of the items that were not started, the next one last.
    waiting: list[int] = field(default_factory=list)
    #: Numbers of those that were, in order, and their nodes.
    numbers: list[int] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    #: Children that are not settled.
    active: int = 0
    aggregate: Aggregate | None = None

    @property
    def exhausted(self) -> bool:
        """Whether every item was started."""
        return not self.waiting

    def add(self, number: int, child: Node) -> None:
        """Item `number` has a node now."""
        place = bisect(self.numbers, number)
        self.numbers.insert(place, number)
        self.children.insert(place, child)

    @property
    def any_succeeded(self) -> bool:
        """Whether a child succeeded."""
        return any(child.phase is Phase.SUCCEEDED for child in self.children)

    @property
    def all_failed(self) -> bool:
        """Whether there are children and all failed."""
        return bool(self.children) and all(child.phase is Phase.FAILED for child in self.children)

    def outputs(self) -> Aggregate:
        """What consumers see; computed once, when the loop is over."""
        if self.aggregate is None:
            self.aggregate = Aggregate(self.children)
        return self.aggregate


@dataclass(slots=True, eq=False)
class Boundary:
    """One instance of a DAG or steps template that is not fulfilled."""

    node: Node
    plan: DagPlan
    template: TemplatePlan
    place: Place
    inputs: Values
    #: Part of the exit handler.
    hooked: bool
    #: Whether a failure in here is not yet one of the workflow: it may be tried again, or those outside allow for it.
    shielded: bool
    #: Dependencies of each task that are not fulfilled.
    waiting: list[int]
    #: The node that carries out each task: the outermost one, so a Retry or TaskGroup node where there is one.
    tops: list[Node | None]
    #: Tasks without a fulfilled node.
    unfulfilled: int
    #: FNV-1a of the node's name.
    hashed: int
    groups: dict[int, Group] = field(default_factory=dict)
    #: Tasks that have a node and are not settled.
    active: int = 0
    #: Of a steps template: the nodes of the groups that were begun, and how many steps of the last are not settled.
    stages: list[Node] = field(default_factory=list)
    stage_left: int = 0
    #: Started templates that are not fulfilled: what `parallelism` of the template bounds.
    units: int = 0
    #: No further task is started, because one failed for good.
    stopped: bool = False
    #: Nor is a further item of a loop: the template itself is to fail with its first child.
    failed_fast: bool = False
    #: Whether any task failed.
    failed: bool = False
    #: Work that waits for a place under the template's own `parallelism`.
    held: list[Entry] = field(default_factory=list)

    @property
    def stage(self) -> int:
        """Of a steps template: the number of the group that runs; -1 before the first."""
        return len(self.stages) - 1

    @property
    def stage_node(self) -> Node | None:
        """Of a steps template: the node of the group that runs."""
        return self.stages[-1] if self.stages else None


#: Work that may start: its place, the DAG instance, and a task's index (of a loop: its next item), a Retry node whose
#: next attempt is due, or a node that has the locks it waited for; without a DAG instance the entry point or a hook of
#: the workflow. Places are unique in the queue.
Entry = tuple[Place, Boundary | None, int | Node]


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing new starts in the main tree."""

    reason: Reason
    message: str
    #: Phase of what is cut short.
    phase: Phase = Phase.FAILED
    #: Whether nodes in a retry strategy go on with their attempts.
    lets_retry: bool = False


@dataclass(slots=True)
class Core:
    """All of a machine's data."""

    uid: str
    plan: WorkflowPlan
    status: WorkflowState
    nodes: dict[str, Node] = field(default_factory=dict)
    #: DAG instances that are not fulfilled, by node id, outer ones first.
    boundaries: dict[str, Boundary] = field(default_factory=dict)
    #: Ids of leaves that run, in the order of their start.
    running: dict[str, None] = field(default_factory=dict)
    #: Ids of daemons that are ready, by the DAG or steps node at whose end they end.
    daemons: dict[str, str] = field(default_factory=dict)
    #: Ids of Retry nodes of daemons that were ready, by the same: one that died is to be ready again.
    serving: dict[str, str] = field(default_factory=dict)
    #: Ids of nodes that wait for a lock or for what is remembered, and whether they have it all.
    gated: dict[str, bool] = field(default_factory=dict)
    #: Hooks of a node that are not fulfilled: the node's id → how many.
    hooking: dict[str, int] = field(default_factory=dict)
    #: Fulfilled nodes that those who wait for them do not hear of before their hooks are over.
    postponed: set[str] = field(default_factory=set)
    #: (id of a node, name of its hook) that were run.
    hooked: set[tuple[str, str]] = field(default_factory=set)
    #: Nodes that began since their hooks were looked at.
    begun: list[Node] = field(default_factory=list)
    #: Name of a hook of the workflow → id of its node.
    workflow_hooks: dict[str, str] = field(default_factory=dict)
    #: Ids of Suspend nodes that wait.
    paused: dict[str, None] = field(default_factory=dict)
    #: Retry nodes that wait for their next attempt: node id → due.
    backoffs: dict[str, float] = field(default_factory=dict)
    #: Ids of the attempts under each Retry node, in order.
    attempts: dict[str, list[str]] = field(default_factory=dict)
    #: Heap of work that may start.
    ready: list[Entry] = field(default_factory=list)
    #: Fulfilled nodes whose consequences are still to be drawn.
    ended: deque[Node] = field(default_factory=deque)
    #: Ids of nodes that asked for locks and have not given them back; "" is the workflow.
    locked: set[str] = field(default_factory=set)
    #: Attempts that must not be followed by another one.
    final: set[str] = field(default_factory=set)
    closed: Closed | None = None
    #: Why the exit handler could not be asked whether it is due.
    hook_problem: str = ""
    #: `workflow.…` names and their values.
    globals: dict[str, str] = field(default_factory=dict)
    #: Artifacts that the whole workflow may refer to, by their global names.
    global_artifacts: dict[str, ArtifactValue] = field(default_factory=dict)
    #: What tells the tasks of a workflow that was retried as a whole from those before: "" or ".1", ".2", ….
    round: str = ""
    #: ConfigMaps that parameters may be taken from: name → key → value.
    config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Changed nodes in the order of their first change.
    changed: dict[str, Node] = field(default_factory=dict)
    status_changed: bool = False
    commands: list[Command] = field(default_factory=list)
    now: float = 0.0
    #: (time, node id, what happened).
    log: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def put(self, node: Node, what: str) -> None:
        """Note that a node is new or has changed."""
        self.changed[node.id] = node
        self.log.append((self.now, node.id, what))

    def push(self, entry: Entry) -> None:
        """Queue work that may start."""
        heapq.heappush(self.ready, entry)

    def global_value(self, name: str) -> str | None:
        """What a `workflow.…` name stands for now."""
        if name == "workflow.duration" and name not in self.globals and self.status.started_at is not None:
            return f"{self.now - self.status.started_at:.6f}"
        return self.globals.get(name)

    def closed_for(self, hooked: bool) -> Closed | None:
        """Why nothing new starts: in the exit handler only a termination counts."""
        if not hooked:
            return self.closed
        return self.closed if self.status.shutdown == "Terminate" else None

    def template_of(self, node: Node) -> TemplatePlan:
        """The template that a node carries out."""
        if node.boundary_id is None:
            return self.workflow_hook(node).template if node.hook else self.plan.main
        boundary = self.boundaries.get(node.boundary_id)
        dag = boundary.plan if boundary is not None else self.template_of(self.nodes[node.boundary_id]).dag
        if dag is None:
            raise InvariantError(f"Node '{node.id}' stands in '{node.boundary_id}', which is no DAG.")
        task = dag.tasks[dag.index[node.task_name]]
        if node.hook:
            return next(hook.template for hook in task.hooks if hook.name == node.hook)
        return task.template

    def workflow_hook(self, node: Node) -> HookPlan:
        """The hook of the workflow that a node, or an attempt of it, carries out."""
        hooks = (self.plan.exit,) if node.hook == "exit" else self.plan.hooks
        for hook in hooks:
            if hook is not None and hook.name == node.hook:
                return hook
        raise InvariantError(f"Node '{node.id}' carries out the hook '{node.hook}', which does not exist.")

    def stops_all(self, boundary: Boundary) -> bool:
        """Whether a failure in this DAG is to stop the whole workflow, by its execution mode."""
        return self.plan.mode in ("FAIL_FAST", "STOP_ON_FAILURE") and not boundary.shielded

    def retry_of(self, node: Node) -> Node | None:
        """The Retry node that a node is an attempt of, if it is one."""
        parent = self.nodes.get(node.parent_id or "")
        attempt = parent is not None and parent.type is NodeType.RETRY and not is_hook(node, parent)
        return parent if attempt else None

    def place_of(self, node: Node) -> Place:
        """Where the unit stands that a node belongs to."""
        top, parent = node, self.nodes.get(node.parent_id or "")
        while parent is not None and parent.type is not NodeType.TASK_GROUP and not is_hook(top, parent):
            top, parent = parent, self.nodes.get(parent.parent_id or "")
        if top.boundary_id is None:
            return workflow_hook_place(self.plan, top.hook) if top.hook else MAIN_PLACE
        boundary = self.boundaries[top.boundary_id]
        if top.hook and parent is not None:
            names = [hook.name for hook in boundary.plan.tasks[boundary.plan.index[top.task_name]].hooks]
            return (*self.place_of(parent), HOOK_PLACE, names.index(top.hook))
        item = item_index(top.name, parent.name) if parent is not None else 0
        return (*boundary.place, boundary.plan.index[top.task_name], item)


def is_hook(node: Node, above: Node) -> bool:
    """Whether a node is the outermost one of a hook of `above`, rather than an attempt."""
    return bool(node.hook) and not above.hook


def workflow_hook_place(plan: WorkflowPlan, name: str) -> Place:
    """The place of a hook of the workflow."""
    if name == "exit":
        return EXIT_PLACE
    return (EXIT_PLACE[0] + 1, [hook.name for hook in plan.hooks].index(name))


def is_done(node: Node | None) -> bool:
    """Whether those who wait for a node may go on: it is fulfilled, or a daemon that is ready."""
    return node is not None and (node.phase.fulfilled or node.daemoned)


def _target(core: Core, target: Pattern, node: Node) -> str:
    """The targets of a DAG that are only known from its inputs."""
    inputs = node.inputs.parameters if node.inputs is not None else {}

    def lookup(tag: str) -> str | None:
        return (
            inputs.get(tag.removeprefix("inputs.parameters.")) if tag.startswith("inputs.") else core.globals.get(tag)
        )

    return tags.parse(target.source).fill(lookup)


def new_boundary(core: Core, node: Node, template: TemplatePlan, place: Place) -> Boundary:
    """The instance of a DAG template that `node` stands for, with nothing started."""
    plan = template.dag
    if plan is None:
        raise InvariantError(f"Template '{template.name}' is no DAG.")
    if plan.target is not None and plan.retarget is not None:
        plan = plan.retarget(_target(core, plan.target, node))
    outer = core.boundaries.get(node.boundary_id or "")
    retried = node.parent_id is not None and core.nodes[node.parent_id].type is NodeType.RETRY
    allowed = outer is not None and len(outer.plan.tasks[outer.plan.index[node.task_name]].fatal) < len(FAILURES)
    return Boundary(
        node=node,
        plan=plan,
        template=template,
        # The attempt keeps the places of a DAG that is tried again apart from those of its predecessor.
        place=(*place, node.attempt),
        inputs=node.inputs or Values(),
        hooked=node.hooked,
        shielded=node.hooked or bool(node.hook) or retried or allowed or (outer is not None and outer.shielded),
        waiting=[len(task.dependencies) for task in plan.tasks],
        tops=[None] * len(plan.tasks),
        unfulfilled=len(plan.tasks),
        hashed=fnv32(node.name),
    )
