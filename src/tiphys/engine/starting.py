"""Starting work: from a task whose dependencies are done to the node of an attempt that runs."""

from __future__ import annotations

import heapq
from typing import Any

from tiphys.engine import leaf
from tiphys.engine.commands import Launch, Release, SetTimer
from tiphys.engine.gates import ask, check_gates, has_gate, pending_timer
from tiphys.engine.ids import fnv32, node_id
from tiphys.engine.loops import item_name, parse_items, sequence
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values
from tiphys.engine.plan import Call, HookPlan, Loop, TaskPlan, TemplatePlan
from tiphys.engine.references import Pattern
from tiphys.engine.scope import Scope, resolve_inputs
from tiphys.engine.state import (
    HOOK_PLACE,
    MAIN_PLACE,
    Boundary,
    Core,
    Group,
    Place,
    new_boundary,
    workflow_hook_place,
)
from tiphys.errors import ExpressionError, InvariantError, TiphysError
from tiphys.lang.duration import parse_duration
from tiphys.lang.when import evaluate

#: Templates may be nested so deeply (Argo's bound is 100): a circle of templates must end somewhere.
_DEEPEST = 2000


def end(
    core: Core,
    node: Node,
    phase: Phase,
    *,
    message: str = "",
    reason: Reason = Reason.NONE,
    outputs: Values | None = None,
) -> None:
    """Fulfil a node. What follows from it is drawn by `settling.settle`."""
    core.running.pop(node.id, None)
    core.paused.pop(node.id, None)
    core.backoffs.pop(node.id, None)
    core.serving.pop(node.id, None)
    core.gated.pop(node.id, None)
    if node.id in core.locked:
        core.locked.discard(node.id)
        core.commands.append(Release(node.id))
    what = f"{node.phase} -> {phase}"
    node.phase, node.message, node.reason, node.finished_at = phase, message, reason, core.now
    node.waiting = ""
    if outputs is not None:
        node.outputs = outputs
    core.put(node, what)
    core.ended.append(node)


def make_ready(core: Core, boundary: Boundary, index: int) -> None:
    """A task's dependencies are done and its condition on them holds: skip it or queue it."""
    task = boundary.plan.tasks[index]
    scope = Scope(core, boundary)
    try:
        if task.loop is not None:
            boundary.groups[index] = new_group(task, scope)
        elif task.when is not None and not _proceeds(task, scope):
            add_ended(core, boundary, task, Phase.SKIPPED, _skip_message(task, scope))
            return
    except ExpressionError as error:
        add_ended(core, boundary, task, Phase.ERROR, str(error))
        return
    if index in boundary.groups and not boundary.groups[index].items:
        del boundary.groups[index]
        add_ended(core, boundary, task, Phase.SKIPPED, "Skipped, empty params")
        return
    core.push(((*boundary.place, index, 0), boundary, index))


def new_group(task: TaskPlan, scope: Scope, node: Node | None = None) -> Group:
    """The loop of a task, with its items; where `when` is false for all of them and they cannot be told, with none.

    Raises:
        ExpressionError: the condition or the items cannot be told.
    """
    if task.loop is None:
        raise InvariantError(f"Task '{task.name}' is no loop.")
    skipped = task.when is not None and not task.when.mentions_item and not _proceeds(task, scope)
    try:
        items = expand(task.loop, scope)
    except ExpressionError:
        if not skipped:
            raise
        items = []
    return Group(task, items, skipped=skipped, node=node, waiting=list(range(len(items) - 1, -1, -1)))


def _proceeds(task: TaskPlan, scope: Scope) -> bool:
    return task.when is None or evaluate(scope.fill(task.when))


def _skip_message(task: TaskPlan, scope: Scope) -> str:
    return f"when '{scope.fill(task.when) if task.when else ''}' evaluated false"


def expand(loop: Loop, scope: Scope) -> list[Any]:
    """The items of a loop.

    Raises:
        ExpressionError: a reference cannot be resolved, or the text is not what the loop needs.
    """
    if loop.items is not None:
        items: list[Any] = scope.tree(loop.items)
        return items
    if loop.param is not None:
        return parse_items(scope.fill(loop.param))
    start, last, count, layout = (None if text is None else scope.fill(text) for text in loop.sequence)
    return sequence(start=start, end=last, count=count, format=layout)


def add_ended(core: Core, boundary: Boundary, task: TaskPlan, phase: Phase, message: str) -> None:
    """Give a task that is not carried out its node."""
    node = _new_node(core, boundary, task, name=task.name, type=NodeType.SKIPPED, template=task.template)
    boundary.tops[task.index] = node
    boundary.active += 1
    end(core, node, phase, message=message)


def start_next(core: Core) -> bool:
    """Start the first piece of work in the queue; False if none may start now."""
    if core.status.suspended:
        return False
    limit = core.plan.spec.parallelism
    while core.ready:
        place, boundary, what = core.ready[0]
        if boundary is not None and _is_void(boundary, what):
            heapq.heappop(core.ready)
            admit(core, boundary)
            continue
        if limit and len(core.running) >= limit:
            return False
        heapq.heappop(core.ready)
        if boundary is not None:
            bound = boundary.template.parallelism
            if bound and boundary.units >= bound and isinstance(what, int):
                heapq.heappush(boundary.held, (place, boundary, what))
                continue
        _start(core, place, boundary, what)
        if boundary is not None:
            admit(core, boundary)
        return True
    return False


def admit(core: Core, boundary: Boundary) -> None:
    """Queue work that the template's own parallelism held back, if there is room now."""
    if boundary.held and boundary.units < (boundary.template.parallelism or 0):
        core.push(heapq.heappop(boundary.held))


def _is_void(boundary: Boundary, what: int | Node) -> bool:
    """Whether queued work was overtaken by the end of its DAG or by a failure beside it."""
    if boundary.node.phase.fulfilled:
        return True
    if isinstance(what, Node):
        return what.phase.fulfilled
    group = boundary.groups.get(what)
    return boundary.failed_fast or (boundary.stopped and (group is None or group.node is None))


def _start(core: Core, place: Place, boundary: Boundary | None, what: int | Node) -> None:
    if isinstance(what, Node) and what.phase is Phase.PENDING:
        del core.gated[what.id]
        what.message = ""
        _open_unit(core, what, core.template_of(what), place)
    elif isinstance(what, Node):
        _start_attempt(core, what, place)
    elif boundary is None:
        _start_tree(core, place)
    elif what in boundary.groups:
        _start_item(core, boundary, boundary.groups[what])
    else:
        task = boundary.plan.tasks[what]
        unit = _Unit(task.template, task.call, Scope(core, boundary, own=task.name), place, boundary, task)
        boundary.tops[what] = _start_unit(core, unit, name=task.name)
        boundary.active += 1


def _start_tree(core: Core, place: Place) -> None:
    """The entry point, or a hook of the workflow."""
    name = core.status.name
    if place == MAIN_PLACE:
        _start_unit(core, _Unit(core.plan.main, core.plan.call, Scope(core), place), name=name)
        return
    hook = next(
        found
        for found in (core.plan.exit, *core.plan.hooks)
        if found is not None and workflow_hook_place(core.plan, found.name) == place
    )
    unit = _Unit(hook.template, hook.call, Scope(core), place, hook=hook)
    _start_unit(core, unit, name=f"{name}.onExit" if hook.name == "exit" else f"{name}.hooks.{hook.name}")


def start_hook(
    core: Core, boundary: Boundary, task: TaskPlan, owner: Node, hook: HookPlan, scope: Scope, *, problem: str = ""
) -> None:
    """Run a hook of the node that carries out a task; with a problem, which keeps it from running, end it with that."""
    place = (*core.place_of(owner), HOOK_PLACE, task.hooks.index(hook))
    unit = _Unit(hook.template, hook.call, scope, place, boundary, task, hook=hook, owner=owner)
    name = f"{owner.display_name}.onExit" if hook.name == "exit" else f"{owner.display_name}.hooks.{hook.name}"
    if problem:
        end(core, _unit_node(core, unit, name=name, type=NodeType.SKIPPED), Phase.ERROR, message=problem)
    else:
        _start_unit(core, unit, name=name)


def _start_item(core: Core, boundary: Boundary, group: Group) -> None:
    task, number = group.task, group.waiting.pop()
    if group.node is None:
        group.node = _new_node(core, boundary, task, name=task.name, type=NodeType.TASK_GROUP, template=task.template)
        core.put(group.node, "Running")
        boundary.tops[task.index] = group.node
        if task.hooks:
            core.begun.append(group.node)
        boundary.active += 1
    item = group.items[number]
    scope, name = Scope(core, boundary, item, own=task.name), item_name(task.name, number, item)
    place = (*boundary.place, task.index, number)
    group.active += 1
    unit = _Unit(task.template, task.call, scope, place, boundary, task, group)
    group.add(number, _item_node(core, unit, group, name=name))
    if not group.exhausted:
        core.push(((*boundary.place, task.index, group.waiting[-1]), boundary, task.index))


def _item_node(core: Core, unit: _Unit, group: Group, *, name: str) -> Node:
    problem, phase = "", Phase.SKIPPED
    try:
        if group.skipped or not _proceeds(group.task, unit.scope):
            problem = _skip_message(group.task, unit.scope)
    except ExpressionError as error:
        problem, phase = str(error), Phase.ERROR
    if not problem:
        return _start_unit(core, unit, name=name)
    node = _unit_node(core, unit, name=name, type=NodeType.SKIPPED)
    end(core, node, phase, message=problem)
    return node


class _Unit:
    """One carrying out of a template: by the tree's root, a task, an item of a loop, or a hook."""

    __slots__ = ("boundary", "call", "group", "hook", "owner", "place", "scope", "task", "template")

    def __init__(
        self,
        template: TemplatePlan,
        call: Call,
        scope: Scope,
        place: Place,
        boundary: Boundary | None = None,
        task: TaskPlan | None = None,
        group: Group | None = None,
        hook: HookPlan | None = None,
        owner: Node | None = None,
    ) -> None:
        self.template = template
        self.call = call
        self.scope = scope
        self.place = place
        self.boundary = boundary
        self.task = task
        self.group = group
        self.hook = hook
        #: Of a hook: the node it belongs to.
        self.owner = owner


def _start_unit(core: Core, unit: _Unit, *, name: str) -> Node:
    template = unit.template
    try:
        if len(unit.place) > 3 * _DEEPEST:
            raise ExpressionError(f"Templates are nested more than {_DEEPEST} deep.")
        inputs = resolve_inputs(template, unit.call, unit.scope)
        if template.timeouts or template.json is not None or isinstance(template.retry, dict):
            leaf.check(core, template, inputs)
        if has_gate(template):
            check_gates(core, template, inputs)
    except TiphysError as error:
        node = _unit_node(core, unit, name=name, type=NodeType.SKIPPED)
        end(core, node, Phase.ERROR, message=str(error))
        return node
    if unit.boundary is not None and unit.hook is None:
        unit.boundary.units += 1
    node = _unit_node(core, unit, name=name, type=template.type if template.retry is None else NodeType.RETRY)
    node.inputs = inputs
    if has_gate(template):
        node.phase = Phase.PENDING
        core.gated[node.id] = False
        core.put(node, "Pending")
        ask(core, node, template)
        timer = pending_timer(core, node, template)
        if timer is not None:
            core.commands.append(timer)
    else:
        _open_unit(core, node, template, unit.place)
    return node


def _open_unit(core: Core, node: Node, template: TemplatePlan, place: Place) -> None:
    """Nothing stands any more between the node of a unit and its run."""
    node.phase, node.waiting = Phase.RUNNING, ""
    if node.type is NodeType.RETRY:
        core.attempts[node.id] = []
        core.put(node, "Running")
        _start_attempt(core, node, place)
    else:
        _begin(core, node, template, place)


def _unit_node(core: Core, unit: _Unit, *, name: str, type: NodeType) -> Node:
    hook = unit.hook
    if unit.boundary is not None and unit.task is not None:
        node = _new_node(core, unit.boundary, unit.task, name=name, type=type, template=unit.template)
        if unit.group is not None and unit.group.node is not None:
            node.parent_id = unit.group.node.id
        if hook is not None and unit.owner is not None:
            node.parent_id = unit.owner.id
    else:
        found = name if hook is None else node_id(core.status.name, name, fnv32(name), core.nodes)
        node = Node(found, name, name, type, Phase.RUNNING, unit.template.name, started_at=core.now)
        core.nodes[node.id] = node
    if hook is not None:
        node.hook, node.hooked = hook.name, node.hooked or hook.name == "exit"
        if unit.boundary is None:
            core.workflow_hooks[hook.name] = node.id
    elif unit.task is not None and unit.task.hooks and type is not NodeType.SKIPPED:
        core.begun.append(node)
    return node


def _new_node(
    core: Core, boundary: Boundary, task: TaskPlan, *, name: str, type: NodeType, template: TemplatePlan
) -> Node:
    path = f"{task.path[: -len(task.name)]}{name}"
    full = f"{boundary.node.name}{path}"
    node = Node(
        node_id(core.status.name, full, fnv32(path, boundary.hashed), core.nodes),
        full,
        name,
        type,
        Phase.RUNNING,
        template.name,
        boundary.node.id,
        task.name,
        started_at=core.now,
        hooked=boundary.hooked,
    )
    core.nodes[node.id] = node
    return node


def _start_attempt(core: Core, retry: Node, place: Place) -> None:
    """The next attempt under a Retry node."""
    template, earlier = core.template_of(retry), core.attempts[retry.id]
    number = len(earlier)
    full, display = f"{retry.name}({number})", f"{retry.display_name}({number})"
    node = Node(
        node_id(core.status.name, full, fnv32(full), core.nodes),
        full,
        display,
        template.type,
        Phase.RUNNING,
        template.name,
        retry.boundary_id,
        retry.task_name,
        number,
        retry.id,
        started_at=core.now,
        inputs=retry.inputs,
        hooked=retry.hooked,
        hook=retry.hook,
    )
    core.nodes[node.id] = node
    earlier.append(node.id)
    if retry.message:
        retry.message = ""
        core.put(retry, "next attempt")
    _begin(core, node, template, place)


def _begin(core: Core, node: Node, template: TemplatePlan, place: Place) -> None:
    """Work on a new node begins."""
    core.put(node, "Running")
    if template.dag is not None:
        _begin_graph(core, node, template, place)
    elif template.type is NodeType.SUSPEND:
        core.paused[node.id] = None
        timer = suspend_timer(core, template, node)
        if timer is not None:
            core.commands.append(timer)
    else:
        core.running[node.id] = None
        core.commands.append(Launch(leaf.task_id(core, node), node.id))
        deadline = leaf.deadline_of(core, node, template)
        if deadline is not None:
            core.commands.append(SetTimer(f"timeout:{node.id}", deadline))


def suspend_timer(core: Core, template: TemplatePlan, node: Node) -> SetTimer | None:
    """The timer that ends a Suspend node, if it has a duration."""
    duration = template.spec.suspend.duration if template.spec.suspend else None
    if not duration or node.started_at is None:
        return None
    text: str = leaf.fill(core, duration, node.inputs)
    return SetTimer(f"resume:{node.id}", node.started_at + parse_duration(text))


def _begin_graph(core: Core, node: Node, template: TemplatePlan, place: Place) -> None:
    try:
        boundary = new_boundary(core, node, template, place)
    except TiphysError as error:
        end(core, node, Phase.ERROR, message=str(error))
        return
    if not boundary.plan.tasks:
        end(core, node, Phase.SUCCEEDED)
        return
    core.boundaries[node.id] = boundary
    if boundary.plan.stages is not None:
        open_stage(core, boundary, 0)
    for index in boundary.plan.roots:
        make_ready(core, boundary, index)


def open_stage(core: Core, boundary: Boundary, stage: int) -> None:
    """Begin a group of steps; one without any has ended at once."""
    steps = (boundary.plan.stages or [])[stage]
    full, name = f"{boundary.node.name}[{stage}]", f"[{stage}]"
    node = Node(
        node_id(core.status.name, full, fnv32(name, boundary.hashed), core.nodes),
        full,
        name,
        NodeType.STEP_GROUP,
        Phase.RUNNING,
        "",
        boundary.node.id,
        started_at=core.now,
        hooked=boundary.hooked,
    )
    core.nodes[node.id] = node
    boundary.stages.append(node)
    boundary.stage_left = len(steps)
    core.put(node, "Running")
    if not steps:
        end(core, node, Phase.SUCCEEDED)
    begin_steps(core, boundary, node, steps)


def begin_steps(core: Core, boundary: Boundary, node: Node, steps: list[int]) -> None:
    """Queue the steps of a group; where one cannot be called the group ends instead."""
    for index in steps:
        task = boundary.plan.tasks[index]
        try:
            _check_references(task, Scope(core, boundary, own=task.name))
        except ExpressionError as error:
            end(core, node, Phase.ERROR, message=f"failed to resolve references: step '{task.name}': {error}")
            return
    for index in steps:
        make_ready(core, boundary, index)


def _check_references(task: TaskPlan, scope: Scope) -> None:
    """See whether a step can be called: as in Argo one that cannot keeps its whole group from being started.

    Raises:
        ExpressionError: its condition, its items or an argument cannot be told.
    """
    if task.loop is None and not _proceeds(task, scope):
        return
    if task.loop is not None and new_group(task, scope).skipped:
        return
    for argument in task.call.parameters.values():
        if isinstance(argument, Pattern) and not (task.loop is not None and argument.mentions_item):
            scope.argument(argument)
