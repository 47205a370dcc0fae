"""Takes a stored workflow up again: rebuilds from the nodes everything that a machine holds beside them.

A batch is committed whole, so the nodes show the machine as it stood between two events: no consequence is half drawn.
What has to be found again is what was not worth a row: counters, queues, the items of loops, the due times of retries.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.engine import leaf
from tiphys.engine.model import Node, NodeType, Phase
from tiphys.engine.retry import decide
from tiphys.engine.scope import Scope
from tiphys.engine.settling import closed_by_failure, closed_by_shutdown, decide_task, exit_globals
from tiphys.engine.starting import new_group
from tiphys.engine.state import EXIT_PLACE, MAIN_PLACE, Boundary, Core, new_boundary


def rebuild(core: Core, nodes: Iterable[Node]) -> None:
    """Fill `core`, which has its plan and status, from the stored nodes (in the order they were first written)."""
    core.nodes = {node.id: node for node in nodes}
    for node in core.nodes.values():
        _place_node(core, node)
    if core.status.phase is not Phase.RUNNING:
        return
    if core.status.shutdown:
        core.closed = closed_by_shutdown(core.status.shutdown)
    for boundary in core.boundaries.values():
        _count(boundary)
    _restore_groups(core)
    _restore_failures(core)
    for boundary in core.boundaries.values():
        _queue(core, boundary)
    _restore_retries(core)
    _restore_trees(core)


def _place_node(core: Core, node: Node) -> None:
    """Note what a single node says."""
    if node.type is NodeType.RETRY:
        core.attempts[node.id] = []
    parent = core.nodes.get(node.parent_id or "")
    if parent is not None and parent.type is NodeType.RETRY:
        core.attempts[parent.id].append(node.id)
    boundary = core.boundaries.get(node.boundary_id or "")
    if boundary is not None and parent is None:
        boundary.tops[boundary.plan.index[node.task_name]] = node
    if node.phase.fulfilled:
        return
    if node.type is NodeType.DAG:
        template = core.template_of(node)
        core.boundaries[node.id] = new_boundary(core, node, template, core.place_of(node))
    elif node.type is NodeType.SUSPEND:
        core.paused[node.id] = None
    elif node.type not in (NodeType.RETRY, NodeType.TASK_GROUP):
        core.running[node.id] = None


def _count(boundary: Boundary) -> None:
    for task in boundary.plan.tasks:
        top = boundary.tops[task.index]
        if top is None:
            continue
        if not top.phase.fulfilled:
            boundary.active += 1
            if top.type is not NodeType.TASK_GROUP:
                boundary.units += 1
            continue
        boundary.unfulfilled -= 1
        boundary.failed = boundary.failed or top.phase.failed
        for dependent in task.dependents:
            boundary.waiting[dependent] -= 1


def _restore_groups(core: Core) -> None:
    """The loops that were begun: their items follow from what the tasks before them gave."""
    items: dict[str, list[Node]] = {}
    for node in core.nodes.values():
        if node.parent_id is not None:
            items.setdefault(node.parent_id, []).append(node)
    for boundary in core.boundaries.values():
        # In the order of the dependencies, as a loop may run over what another one gave.
        for index in boundary.plan.order:
            top = boundary.tops[index]
            if top is None or top.type is not NodeType.TASK_GROUP:
                continue
            group = new_group(boundary.plan.tasks[index], Scope(boundary, core.globals), top)
            group.children = items.get(top.id, [])
            group.active = sum(not child.phase.fulfilled for child in group.children)
            boundary.units += group.active
            boundary.groups[index] = group


def _restore_failures(core: Core) -> None:
    """Failures that keep further tasks from starting."""
    for boundary in core.boundaries.values():
        stops_all = core.stops_all(boundary)
        for task in boundary.plan.tasks:
            top = boundary.tops[task.index]
            found = [top, *boundary.groups[task.index].children] if task.index in boundary.groups else [top]
            for node in found:
                if node is None or node.phase not in task.fatal:
                    continue
                if not stops_all:
                    boundary.stopped = boundary.stopped or (boundary.plan.fail_fast and node is top)
                elif core.closed is None:
                    core.closed = closed_by_failure(core.plan.mode)


def _queue(core: Core, boundary: Boundary) -> None:
    """Work that waited to be started."""
    for task in boundary.plan.tasks:
        if boundary.tops[task.index] is None and not boundary.waiting[task.index]:
            decide_task(core, boundary, task.index)
    if core.closed_for(boundary.hooked) is None:
        for index, group in boundary.groups.items():
            if group.node is not None and not group.exhausted:
                core.push(((*boundary.place, index, len(group.children)), boundary, index))


def _restore_retries(core: Core) -> None:
    for retry_id, attempts in core.attempts.items():
        retry = core.nodes[retry_id]
        last = core.nodes[attempts[-1]]
        if retry.phase.fulfilled or not last.phase.fulfilled:
            continue
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
        if not any(node.hooked for node in core.nodes.values()):
            core.push((EXIT_PLACE, None, 0))
