"""The invariants of a machine between two events, as one function that tests run after every event."""

from __future__ import annotations

from tiphys.engine.model import Node, NodeType, Phase
from tiphys.engine.state import Boundary, Core, is_done, is_hook
from tiphys.errors import InvariantError


def check_invariants(core: Core) -> None:
    """Check them all, in O(nodes + edges).

    Raises:
        InvariantError: one does not hold; the message says which, and of which node.
    """
    _require(not core.ended, "consequences are left to be drawn")
    for key, node in core.nodes.items():
        _require(key == node.id, f"{node.id} is filed under {key}")
        _check_node(core, node)
    leaves = {n.id for n in core.nodes.values() if _is_running_leaf(n)}
    _require(set(core.running) == leaves, f"the set of running leaves differs: {set(core.running) ^ leaves}")
    limit, hooks = core.plan.spec.parallelism, sum(bool(core.nodes[n].hook) for n in core.running)
    _require(not limit or len(core.running) - hooks <= limit, f"{len(core.running)} leaves run, {limit} may")
    graphs = (NodeType.DAG, NodeType.STEPS)
    live = {n.id for n in core.nodes.values() if n.type in graphs and n.phase is Phase.RUNNING}
    _require(set(core.boundaries) == live, f"the set of running DAGs differs: {set(core.boundaries) ^ live}")
    waiting = {n.id for n in core.nodes.values() if n.phase is Phase.PENDING} | (set(core.gated) & {""})
    _require(set(core.gated) == waiting, f"the set of waiting nodes differs: {set(core.gated) ^ waiting}")
    for boundary in core.boundaries.values():
        _check_boundary(core, boundary)
    _check_retries(core)
    _check_end(core)


def _require(holds: object, what: str) -> None:
    if not holds:
        raise InvariantError(f"The engine contradicts itself: {what}.")


def _is_running_leaf(node: Node) -> bool:
    inner = (
        NodeType.RETRY, NodeType.TASK_GROUP, NodeType.STEP_GROUP, NodeType.DAG, NodeType.STEPS, NodeType.SUSPEND
    )  # fmt: skip
    return node.phase is Phase.RUNNING and not node.daemoned and node.type not in inner


def _check_node(core: Core, node: Node) -> None:
    _require(
        (node.finished_at is not None) == node.phase.fulfilled,
        f"{node.id} is {node.phase} and ends at {node.finished_at}",
    )
    for above in (node.parent_id, node.boundary_id):
        if above is None:
            continue
        _require(above in core.nodes, f"{node.id} stands under {above}, which does not exist")
        _require(
            node.phase.fulfilled
            or not core.nodes[above].phase.fulfilled
            or is_hook(node, core.nodes[above])
            or (node.daemoned and core.nodes[above].type is NodeType.TASK_GROUP),
            f"{node.id} runs under {above}, which is fulfilled",
        )


def _check_boundary(core: Core, boundary: Boundary) -> None:
    name = boundary.node.id
    active = unfulfilled = units = 0
    for task in boundary.plan.tasks:
        top = boundary.tops[task.index]
        done = top is not None and _settled(core, top)
        unfulfilled += not done
        active += top is not None and not done
        units += top is not None and not is_done(top) and top.type is not NodeType.TASK_GROUP
        open_ones = [d for d in task.dependencies if not _settled(core, boundary.tops[d])]
        _require(boundary.waiting[task.index] == len(open_ones), f"{name}: count of what '{task.name}' waits for")
        _require(top is None or not open_ones, f"{name}: '{task.name}' was started before its dependencies ended")
    for group in boundary.groups.values():
        running = [child for child in group.children if not _settled(core, child)]
        units += sum(not is_done(child) for child in group.children)
        _require(group.active == len(running), f"{name}: count of running items of '{group.task.name}'")
        _require(len(group.children) <= len(group.items), f"{name}: '{group.task.name}' has more children than items")
    _require(boundary.active == active, f"{name}: count of active tasks")
    _require(boundary.unfulfilled == unfulfilled, f"{name}: count of unfulfilled tasks")
    _require(boundary.units == units, f"{name}: count of running units")
    bound = boundary.template.parallelism
    _require(not bound or units <= bound, f"{name}: {units} units run, {bound} may")
    queued = any(entry[1] is boundary for entry in core.ready) or boundary.held
    _require(active or queued, f"{name} runs and nothing in it does or will")


def _settled(core: Core, node: Node | None) -> bool:
    return node is not None and is_done(node) and node.id not in core.hooking


def _check_retries(core: Core) -> None:
    queued = {what.id for _, _, what in core.ready if isinstance(what, Node) and not what.phase.fulfilled}
    for retry_id, attempts in core.attempts.items():
        retry = core.nodes[retry_id]
        waits = retry_id in core.backoffs or retry_id in queued
        runs = bool(attempts) and not core.nodes[attempts[-1]].phase.fulfilled
        _require(all(core.nodes[a].phase.fulfilled for a in attempts[:-1]), f"{retry_id}: two attempts run at once")
        _require(
            [core.nodes[a].attempt for a in attempts] == list(range(len(attempts))),
            f"{retry_id}: attempts out of order",
        )
        _require((waits or runs) != retry.phase.fulfilled, f"{retry_id} is {retry.phase}, runs: {runs}, waits: {waits}")
        _require(not (waits and runs), f"{retry_id} waits while an attempt runs")
    _require(set(core.backoffs) <= set(core.attempts), "something that is no Retry node waits for an attempt")


def _check_end(core: Core) -> None:
    if core.status.phase.fulfilled:
        open_ones = [node.id for node in core.nodes.values() if not node.phase.fulfilled]
        _require(not open_ones, f"the workflow ended before {open_ones[:3]}")
        _require(not core.ready, "the workflow ended with work in its queue")
