"""Consequences of a node's end: for its Retry or TaskGroup node, its dependents, its DAG, the workflow."""

from __future__ import annotations

import heapq

from tiphys.engine import leaf
from tiphys.engine.commands import Cancel, FinishWorkflow, SetTimer
from tiphys.engine.model import Node, NodeType, Phase, Reason
from tiphys.engine.retry import decide
from tiphys.engine.scope import dag_outputs
from tiphys.engine.starting import add_ended, admit, end, make_ready
from tiphys.engine.state import EXIT_PLACE, Boundary, Closed, Core, Group
from tiphys.errors import ExpressionError
from tiphys.lang.depends import Term
from tiphys.lang.duration import format_duration
from tiphys.lang.gojson import go_json

_RESULTS = {
    Phase.SUCCEEDED: "Succeeded",
    Phase.FAILED: "Failed",
    Phase.ERROR: "Errored",
    Phase.SKIPPED: "Skipped",
    Phase.OMITTED: "Omitted",
}


def settle(core: Core, node: Node) -> None:
    """Draw the consequences of a fulfilled node."""
    boundary = core.boundaries.get(node.boundary_id or "")
    if boundary is not None and node.type not in (NodeType.SKIPPED, NodeType.TASK_GROUP):
        parent = core.nodes.get(node.parent_id or "")
        if parent is None or parent.type is not NodeType.RETRY:
            boundary.units -= 1
            admit(core, boundary)
    if node.parent_id is not None:
        parent = core.nodes[node.parent_id]
        if parent.type is NodeType.RETRY:
            _settle_attempt(core, parent, node)
        elif boundary is not None:
            _settle_item(core, boundary, node)
    elif node.boundary_id is None:
        _settle_tree(core, node)
    elif boundary is not None:
        _settle_task(core, boundary, node)


def _settle_attempt(core: Core, retry: Node, attempt: Node) -> None:
    if retry.phase.fulfilled:
        return
    if not attempt.phase.failed:
        end(core, retry, attempt.phase, message=attempt.message, reason=attempt.reason, outputs=attempt.outputs)
        return
    forbidden = attempt.id in core.final
    core.final.discard(attempt.id)
    closed = core.closed_for(retry.hooked)
    if closed is not None and not closed.lets_retry:
        end(core, retry, attempt.phase, message=closed.message, reason=attempt.reason, outputs=attempt.outputs)
        return
    verdict = decide(
        leaf.strategy_of(core, retry),
        attempt=attempt.attempt,
        phase=attempt.phase,
        task_id=leaf.task_id(core, attempt),
        began=retry.started_at or 0.0,
        ended=attempt.finished_at or 0.0,
    )
    if forbidden or not verdict.again:
        message = "" if forbidden else verdict.message
        if message and attempt.message:
            message = f"{message}: {attempt.message}"
        end(
            core,
            retry,
            attempt.phase,
            message=message or attempt.message,
            reason=attempt.reason,
            outputs=attempt.outputs,
        )
    elif verdict.wait > 0:
        due = (attempt.finished_at or 0.0) + verdict.wait
        core.backoffs[retry.id] = due
        core.commands.append(SetTimer(f"retry:{retry.id}", due))
        retry.message = f"Backoff for {format_duration(verdict.wait)}"
        core.put(retry, "backoff")
    else:
        core.push((core.place_of(retry), core.boundaries.get(retry.boundary_id or ""), retry))


def _settle_item(core: Core, boundary: Boundary, node: Node) -> None:
    group = boundary.groups[boundary.plan.index[node.task_name]]
    group.active -= 1
    if node.phase.failed and core.stops_all(boundary):
        _failed(core, boundary, group.task.fatal, node)
    finish_group(core, boundary, group)


def finish_group(core: Core, boundary: Boundary, group: Group) -> None:
    """End a loop whose items are all done, or will not be started any more."""
    node, closed = group.node, core.closed_for(boundary.hooked)
    if node is None or node.phase.fulfilled or group.active or not (group.exhausted or closed):
        return
    phase = Phase.SUCCEEDED
    for child in group.children:
        if child.phase.failed:
            phase = child.phase
    if phase is Phase.SUCCEEDED and not group.exhausted and closed is not None:
        end(core, node, closed.phase, message=closed.message, reason=closed.reason)
    else:
        end(core, node, phase)


def _settle_task(core: Core, boundary: Boundary, node: Node) -> None:
    task = boundary.plan.tasks[boundary.plan.index[node.task_name]]
    boundary.unfulfilled -= 1
    boundary.active -= 1
    if node.phase.failed:
        boundary.failed = True
        _failed(core, boundary, task.fatal, node)
    for index in task.dependents:
        boundary.waiting[index] -= 1
        if not boundary.waiting[index]:
            decide_task(core, boundary, index)
    finish_dag(core, boundary)


def decide_task(core: Core, boundary: Boundary, index: int) -> None:
    """All that a task waits for is done: start it, omit it, or leave it."""
    if core.closed_for(boundary.hooked) is not None:
        return
    task = boundary.plan.tasks[index]
    if not task.depends.holds(lambda term: _holds(boundary, term)):
        # What a failure keeps from running is not an omission to those who asked for the failure to stop the run.
        if not boundary.stopped or not core.plan.mode:
            add_ended(core, boundary, task, Phase.OMITTED, "omitted: depends condition not met")
    elif not boundary.stopped:
        make_ready(core, boundary, index)


def _holds(boundary: Boundary, term: Term) -> bool:
    index = boundary.plan.index[term.task]
    node = boundary.tops[index]
    if node is None:
        return False
    if _RESULTS[node.phase] in term.results:
        return True
    group = boundary.groups.get(index) if node.type is NodeType.TASK_GROUP else None
    if group is None:
        return False
    return ("AnySucceeded" in term.results and group.any_succeeded) or (
        "AllFailed" in term.results and group.all_failed
    )


def _failed(core: Core, boundary: Boundary, fatal: frozenset[Phase], node: Node) -> None:
    """A task failed for good: what else may still start."""
    if node.phase not in fatal:
        return
    if not core.stops_all(boundary):
        boundary.stopped = boundary.stopped or boundary.plan.fail_fast
    elif core.closed is None:
        close(core, closed_by_failure(core.plan.mode), cancel=core.plan.mode == "FAIL_FAST")


def closed_by_failure(mode: str) -> Closed:
    """Why nothing starts after a failure in the execution modes that stop."""
    return Closed(Reason.STOPPED, "Stopped because another task failed", lets_retry=mode != "FAIL_FAST")


def closed_by_shutdown(strategy: str) -> Closed:
    """Why nothing starts after a shutdown."""
    return Closed(Reason.STOPPED, f"Stopped with strategy '{strategy}'")


def close(core: Core, closed: Closed, *, cancel: bool, hooked: bool = False) -> None:
    """Let nothing new start; with `cancel` end what runs.

    Args:
        core: The machine's data.
        closed: The reason.
        cancel: Whether leaves that run are ended too.
        hooked: Whether this holds for the exit handler as well.
    """
    core.closed = closed
    if cancel:
        for found in [*core.running, *core.paused]:
            _cut(core, core.nodes[found], closed, hooked=hooked)
    if not closed.lets_retry:
        for found in list(core.backoffs):
            _cut(core, core.nodes[found], closed, hooked=hooked)
        for _, _, what in core.ready:
            if isinstance(what, Node) and not what.phase.fulfilled:
                _cut(core, what, closed, hooked=hooked)
    core.ready = [
        entry
        for entry in core.ready
        if (entry[0][0] == EXIT_PLACE[0] and not hooked) or (closed.lets_retry and isinstance(entry[2], Node))
    ]
    heapq.heapify(core.ready)
    for boundary in reversed(list(core.boundaries.values())):
        if hooked or not boundary.hooked:
            boundary.held.clear()
            for group in list(boundary.groups.values()):
                finish_group(core, boundary, group)
            finish_dag(core, boundary)


def _cut(core: Core, node: Node, closed: Closed, *, hooked: bool) -> None:
    if node.hooked and not hooked:
        return
    running = node.id in core.running
    if running:
        core.commands.append(Cancel(leaf.task_id(core, node), node.id))
    strategy = core.status.shutdown
    message = f"workflow shutdown with strategy:  {strategy}" if running and strategy else closed.message
    end(core, node, closed.phase, message=message, reason=closed.reason)


def finish_dag(core: Core, boundary: Boundary) -> None:
    """End a DAG in which nothing runs and nothing will."""
    node, closed = boundary.node, core.closed_for(boundary.hooked)
    if node.phase.fulfilled or boundary.active or (boundary.unfulfilled and not boundary.stopped and closed is None):
        return
    del core.boundaries[node.id]
    phase = failed_phase(boundary)
    if phase is not None:
        first = _first_failure(boundary)
        if closed is not None and (first.reason is closed.reason or core.status.shutdown):
            end(core, node, phase, message=closed.message, reason=closed.reason)
        else:
            what = f"task '{first.task_name}' ended as {first.phase}"
            end(core, node, phase, message=f"{what}: {first.message}" if first.message else what)
    elif boundary.unfulfilled and closed is not None:
        end(core, node, closed.phase, message=closed.message, reason=closed.reason)
    else:
        try:
            outputs = dag_outputs(boundary, core.globals)
        except ExpressionError as error:
            end(core, node, Phase.ERROR, message=str(error))
        else:
            end(core, node, Phase.SUCCEEDED, outputs=outputs)


def _first_failure(boundary: Boundary) -> Node:
    """The task that failed first by itself, rather than because another one did."""
    failures = [(node.reason is Reason.STOPPED, node.finished_at, index, node) for index, node in _failures(boundary)]
    return min(failures)[3]


def _failures(boundary: Boundary) -> list[tuple[int, Node]]:
    return [(index, node) for index, node in enumerate(boundary.tops) if node is not None and node.phase.failed]


def failed_phase(boundary: Boundary) -> Phase | None:
    """The phase that the targets of a failed DAG give it; None if it did not fail.

    A task that did not run inherits the failure of what it depends on; so does a target without a node.
    """
    if not boundary.failed:
        return None
    inherited: list[Phase | None] = [None] * len(boundary.plan.tasks)
    for index in boundary.plan.order:
        top = boundary.tops[index]
        if top is not None and top.phase.failed:
            inherited[index] = top.phase
        elif top is None or top.phase is not Phase.SUCCEEDED:
            causes = (inherited[dependency] for dependency in boundary.plan.tasks[index].dependencies)
            inherited[index] = next((phase for phase in causes if phase is not None), None)
    found: Phase | None = None
    for index in boundary.plan.targets:
        phase = inherited[index]
        if phase is not None and phase not in boundary.plan.tasks[index].tolerated:
            found = phase
            if boundary.plan.fail_fast:
                break
    return found


def _settle_tree(core: Core, root: Node) -> None:
    """The entry point or the exit handler ended."""
    if root.hooked:
        finish_workflow(core)
        return
    finish_main(core)


def finish_main(core: Core) -> None:
    """The main tree is over: run the exit handler, or end."""
    if core.plan.exit is None or core.status.shutdown == "Terminate":
        finish_workflow(core)
        return
    exit_globals(core)
    core.push((EXIT_PLACE, None, 0))


def exit_globals(core: Core) -> None:
    """What an exit handler may refer to."""
    root = core.nodes.get(core.status.name)
    phase = main_phase(core)
    core.globals["workflow.status"] = phase.value
    ended = root.finished_at if root is not None and root.finished_at is not None else core.now
    core.globals["workflow.duration"] = f"{ended - (core.status.started_at or ended):.6f}"
    failures = [
        {
            "displayName": node.display_name,
            "message": node.message,
            "templateName": node.template,
            "phase": node.phase.value,
            "podName": node.id,
        }
        for node in core.nodes.values()
        if node.phase.failed
        and not node.hooked
        and node.type not in (NodeType.DAG, NodeType.TASK_GROUP, NodeType.RETRY)
    ]
    core.globals["workflow.failures"] = go_json(go_json(failures))


def main_phase(core: Core) -> Phase:
    """The phase that the main tree gives the workflow."""
    root = core.nodes.get(core.status.name)
    if root is None:
        return Phase.FAILED
    return root.phase if root.phase.failed else Phase.SUCCEEDED


def finish_workflow(core: Core) -> None:
    """Nothing is left to do."""
    phase, root = main_phase(core), core.nodes.get(core.status.name)
    message = root.message if root is not None and root.phase.failed else ""
    if root is None and core.closed is not None:
        message = core.closed.message
    for node in core.nodes.values():
        if node.hooked and node.boundary_id is None and node.parent_id is None and node.phase.failed:
            if phase is Phase.SUCCEEDED:
                phase, message = node.phase, node.message
            break
    core.status.phase, core.status.message, core.status.finished_at = phase, message, core.now
    core.status_changed = True
    core.ready.clear()
    core.commands.append(FinishWorkflow())
