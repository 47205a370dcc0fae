"""Takes a stored workflow up again: rebuilds from the nodes everything that a machine holds beside them.

A batch is committed whole, so the nodes show the machine as it stood between two events: no consequence is half drawn.
What has to be found again is what was not worth a row: counters, queues, the items of loops, the due times of retries.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.engine import leaf
from tiphys.engine.hooks import run_workflow_hooks
from tiphys.engine.loops import item_index
from tiphys.engine.model import Node, NodeType, Phase, Reason
from tiphys.engine.retry import decide
from tiphys.engine.scope import Scope, export
from tiphys.engine.settling import (
    closed_by_deadline,
    closed_by_failure,
    closed_by_shutdown,
    decide_task,
    exit_globals,
    fails_fast,
    finish_main,
    main_is_over,
)
from tiphys.engine.starting import begin_steps, new_group
from tiphys.engine.state import MAIN_PLACE, Boundary, Core, is_done, is_hook, new_boundary

#: Types of nodes that carry out a template.
_WITH_TEMPLATE = frozenset(NodeType) - {NodeType.TASK_GROUP, NodeType.STEP_GROUP, NodeType.CONTAINER, NodeType.SKIPPED}


def rebuild(core: Core, nodes: Iterable[Node]) -> None:
    """Fill `core`, which has its plan and status, from the stored nodes (in the order they were first written)."""
    core.nodes = {node.id: node for node in nodes}
    for node in core.nodes.values():
        _place_node(core, node)
    if core.status.phase is Phase.PENDING and core.plan.locks:
        core.locked.add("")
        core.gated[""] = False
        return
    if core.status.phase is not Phase.RUNNING:
        return
    if core.plan.locks:
        core.locked.add("")
    if core.status.shutdown:
        core.closed = closed_by_shutdown(core.status.shutdown)
    elif _deadline_passed(core):
        core.closed = closed_by_deadline()
    for node in core.nodes.values():
        if node.phase is Phase.SUCCEEDED and node.outputs is not None and node.type in _WITH_TEMPLATE:
            export(core, node)
    for boundary in core.boundaries.values():
        _count(core, boundary)
    _restore_groups(core)
    _restore_failures(core)
    for boundary in core.boundaries.values():
        _queue(core, boundary)
        if boundary.stage_node is not None and boundary.stage_node.phase.fulfilled:
            # Cut between two groups of steps, and tried again since then: the next one is still to be opened.
            core.ended.append(boundary.stage_node)
    _restore_retries(core)
    _restore_trees(core)
    if core.status.name in core.nodes and not main_is_over(core):
        run_workflow_hooks(core)


def _deadline_passed(core: Core) -> bool:
    """Whether the workflow's deadline cut its main tree short: that is not written down but in what was cut."""
    due = leaf.workflow_deadline(core)
    if due is None or core.now < due:
        return False
    cut = (node.reason is Reason.TIMED_OUT and (node.finished_at or 0.0) >= due for node in core.nodes.values())
    begun = core.status.name in core.nodes
    return core.now > due or any(cut) or ("exit" in core.workflow_hooks and not begun)


def _place_node(core: Core, node: Node) -> None:
    """Note what a single node says."""
    if node.type is NodeType.RETRY and node.phase is not Phase.PENDING:
        core.attempts[node.id] = []
    parent = core.nodes.get(node.parent_id or "")
    if node.hook and (parent is None or is_hook(node, parent)):
        _place_hook(core, node)
    elif parent is not None and parent.type is NodeType.RETRY:
        core.attempts[parent.id].append(node.id)
    boundary = core.boundaries.get(node.boundary_id or "")
    if boundary is not None and node.type is NodeType.STEP_GROUP:
        _place_stage(boundary, node)
    elif boundary is not None and parent is None:
        boundary.tops[boundary.plan.index[node.task_name]] = node
    if not node.phase.fulfilled:
        _place_open(core, node)


def _place_hook(core: Core, node: Node) -> None:
    if node.boundary_id is None:
        core.workflow_hooks[node.hook] = node.id
        return
    owner = node.parent_id or ""
    core.hooked.add((owner, node.hook))
    if not is_done(node):
        core.hooking[owner] = core.hooking.get(owner, 0) + 1
        if is_done(core.nodes[owner]):
            core.postponed.add(owner)


def _place_stage(boundary: Boundary, node: Node) -> None:
    boundary.stages.append(node)
    boundary.stage_left = len((boundary.plan.stages or [])[boundary.stage])


def _place_open(core: Core, node: Node) -> None:
    """Note a node that is not fulfilled."""
    template = None if node.type in (NodeType.TASK_GROUP, NodeType.STEP_GROUP) else core.template_of(node)
    if template is not None and template.locks and core.retry_of(node) is None:
        core.locked.add(node.id)
    if node.phase is Phase.PENDING:
        core.gated[node.id] = False
    elif node.type in (NodeType.DAG, NodeType.STEPS) and template is not None:
        core.boundaries[node.id] = new_boundary(core, node, template, core.place_of(node))
    elif node.type is NodeType.SUSPEND:
        core.paused[node.id] = None
    elif node.daemoned:
        found = core.serving if node.type is NodeType.RETRY else core.daemons
        found[node.id] = node.boundary_id or ""
    elif node.type not in (NodeType.RETRY, NodeType.TASK_GROUP, NodeType.STEP_GROUP):
        core.running[node.id] = None


def _settled(core: Core, node: Node) -> bool:
    """Whether those who wait for a task's node went on: its hooks are over, too."""
    return is_done(node) and node.id not in core.hooking


def _count(core: Core, boundary: Boundary) -> None:
    for task in boundary.plan.tasks:
        top = boundary.tops[task.index]
        if top is None:
            continue
        if not _settled(core, top):
            boundary.active += 1
            if top.type is not NodeType.TASK_GROUP and not is_done(top):
                boundary.units += 1
            continue
        boundary.unfulfilled -= 1
        boundary.stage_left -= task.stage == boundary.stage
        boundary.failed = boundary.failed or top.phase.failed
        for dependent in task.dependents:
            boundary.waiting[dependent] -= 1


def _restore_groups(core: Core) -> None:
    """The loops that were begun: their items follow from what the tasks before them gave."""
    items: dict[str, list[Node]] = {}
    for node in core.nodes.values():
        if node.parent_id is not None and not node.hook:
            items.setdefault(node.parent_id, []).append(node)
    for boundary in core.boundaries.values():
        # In the order of the dependencies, as a loop may run over what another one gave.
        for index in boundary.plan.order:
            top = boundary.tops[index]
            if top is None or top.type is not NodeType.TASK_GROUP:
                continue
            group = new_group(boundary.plan.tasks[index], Scope(core, boundary), top)
            for child in items.get(top.id, []):
                number = item_index(child.name, top.name)
                group.add(number, child)
            begun = set(group.numbers)
            group.waiting = [number for number in group.waiting if number not in begun]
            group.active = sum(not _settled(core, child) for child in group.children)
            boundary.units += sum(not is_done(child) for child in group.children)
            boundary.groups[index] = group


def _restore_failures(core: Core) -> None:
    """Failures that keep further tasks from starting."""
    for boundary in core.boundaries.values():
        stops_all = core.stops_all(boundary)
        for task in boundary.plan.tasks:
            top = boundary.tops[task.index]
            found = [top, *boundary.groups[task.index].children] if task.index in boundary.groups else [top]
            for node in found:
                if node is None or node.id in core.hooking:
                    continue
                if fails_fast(boundary, node):
                    boundary.stopped = boundary.failed_fast = True
                if node.phase not in task.fatal or node.ip:
                    continue  # those who waited for a daemon had gone on before it died
                if not stops_all:
                    boundary.stopped = boundary.stopped or (boundary.plan.fail_fast and node is top)
                elif core.closed is None:
                    core.closed = closed_by_failure(core.plan.mode)


def _queue(core: Core, boundary: Boundary) -> None:
    """Work that waited to be started."""
    node, steps = boundary.stage_node, (boundary.plan.stages or [[]])[boundary.stage]
    if node is not None and not node.phase.fulfilled and all(boundary.tops[index] is None for index in steps):
        if core.closed_for(boundary.hooked) is None:
            begin_steps(core, boundary, node, steps)
        return
    for task in boundary.plan.tasks:
        reached = boundary.plan.stages is None or task.stage == boundary.stage
        if reached and boundary.tops[task.index] is None and not boundary.waiting[task.index]:
            decide_task(core, boundary, task.index)
    if core.closed_for(boundary.hooked) is None:
        for index, group in boundary.groups.items():
            if group.node is not None and not group.exhausted and not boundary.failed_fast:
                core.push(((*boundary.place, index, group.waiting[-1]), boundary, index))


def _restore_retries(core: Core) -> None:
    for retry_id, attempts in core.attempts.items():
        retry = core.nodes[retry_id]
        if retry.phase.fulfilled or not attempts or not core.nodes[attempts[-1]].phase.fulfilled:
            continue
        last = core.nodes[attempts[-1]]
        ended = last.finished_at or 0.0
        verdict = decide(
            leaf.strategy_of(core, retry),
            attempt=last.attempt,
            phase=last.phase,
            task_id=leaf.task_id(core, last),
            began=retry.started_at or 0.0,
            ended=ended,
        )
        if verdict.wait > 0:
            core.backoffs[retry_id] = ended + verdict.wait
        else:
            core.push((core.place_of(retry), core.boundaries.get(retry.boundary_id or ""), retry))


def _restore_trees(core: Core) -> None:
    root = core.nodes.get(core.status.name)
    if root is None and core.closed is None:
        core.push((MAIN_PLACE, None, 0))
    elif root is None or root.phase.fulfilled:
        exit_globals(core)
        if all(is_done(core.nodes[found]) for found in core.workflow_hooks.values()):
            finish_main(core)
