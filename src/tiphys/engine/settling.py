"""Consequences of a node's end: for its Retry or TaskGroup node, its dependents, its DAG, the workflow."""

from __future__ import annotations

import heapq

from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine import leaf
from tiphys.engine.commands import Cancel, FinishWorkflow, Release, SetTimer
from tiphys.engine.gates import memorize
from tiphys.engine.hooks import hooks_of_workflow, run_hooks, run_workflow_hooks
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values
from tiphys.engine.retry import Verdict, decide
from tiphys.engine.scope import Scope, dag_outputs, export
from tiphys.engine.starting import add_ended, admit, end, make_ready, open_stage
from tiphys.engine.state import EXIT_PLACE, Boundary, Closed, Core, Entry, Group, is_done
from tiphys.errors import ExpressionError, TiphysError
from tiphys.lang.depends import Term
from tiphys.lang.duration import format_duration
from tiphys.lang.gojson import go_json

#: What a node says that took too long.
EXCEEDED = "Step exceeded its deadline"
_FAILED_FAST = "template has failed or errored children and failFast enabled"
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
    was_ready, node.daemoned = node.daemoned, False
    if node.type is NodeType.STEP_GROUP:
        if boundary is not None:
            _advance(core, boundary, node)
        return
    retry = core.retry_of(node)
    if retry is not None:
        _settle_attempt(core, retry, node)
        return
    memorize(core, node)
    export(core, node)
    if node.hook:
        if not was_ready:
            _settle_hook(core, node)
        return
    if boundary is not None and node.type not in (NodeType.SKIPPED, NodeType.TASK_GROUP) and not was_ready:
        boundary.units -= 1
        admit(core, boundary)
    if node.boundary_id is None:
        settle_tree(core)
    elif boundary is not None and was_ready:
        # Those who waited for it went on long ago: that it failed since then is all there is to say.
        boundary.failed = boundary.failed or node.phase.failed
        _fail_fast(core, boundary, node)
    elif boundary is not None:
        if run_hooks(core, boundary, node):
            core.postponed.add(node.id)
        else:
            _settle_unit(core, boundary, node)


def settle_ready(core: Core, node: Node) -> None:
    """A daemon is ready: those who wait for it go on, once its hooks that run are over."""
    boundary = core.boundaries.get(node.boundary_id or "")
    if node.hook:
        _settle_hook(core, node)
        return
    if boundary is None:
        return
    boundary.units -= 1
    admit(core, boundary)
    if node.id in core.hooking:
        core.postponed.add(node.id)
    else:
        _settle_unit(core, boundary, node)


def _settle_unit(core: Core, boundary: Boundary, node: Node) -> None:
    """A task's node, or an item's, is done with, its hooks too."""
    if node.parent_id is not None:
        _settle_item(core, boundary, node)
    else:
        _settle_task(core, boundary, node)


def _settle_hook(core: Core, node: Node) -> None:
    if node.boundary_id is None:
        if node.hook == "exit":
            finish_workflow(core)
        else:
            settle_tree(core)
        return
    boundary, owner = core.boundaries.get(node.boundary_id), core.nodes[node.parent_id or ""]
    core.hooking[owner.id] -= 1
    if core.hooking[owner.id] == 0:
        del core.hooking[owner.id]
        if boundary is not None and owner.id in core.postponed:
            core.postponed.discard(owner.id)
            _settle_unit(core, boundary, owner)


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
    strategy = leaf.strategy_of(core, retry)
    verdict = decide(
        strategy,
        attempt=attempt.attempt,
        phase=attempt.phase,
        task_id=leaf.task_id(core, attempt),
        began=retry.started_at or 0.0,
        ended=attempt.finished_at or 0.0,
    )
    if verdict.again and strategy.expression and not forbidden:
        verdict = _asked(core, retry, attempt, strategy.expression, verdict)
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
        retry.message = f"Backoff for {format_duration(round(verdict.wait, 3))}"
        core.put(retry, "backoff")
    else:
        core.push((core.place_of(retry), core.boundaries.get(retry.boundary_id or ""), retry))


def _asked(core: Core, retry: Node, attempt: Node, expression: str, verdict: Verdict) -> Verdict:
    """A strategy's expression has the last word."""
    try:
        if leaf.allows_retry(core, retry, attempt, expression):
            return verdict
    except TiphysError as error:
        return Verdict(again=False, message=str(error))
    return Verdict(again=False, message="retryStrategy.expression evaluated to false")


def _settle_item(core: Core, boundary: Boundary, node: Node) -> None:
    group = boundary.groups[boundary.plan.index[node.task_name]]
    group.active -= 1
    if node.phase.failed and core.stops_all(boundary):
        _failed(core, boundary, group.task.fatal, node)
    _fail_fast(core, boundary, node)
    finish_group(core, boundary, group)


def finish_group(core: Core, boundary: Boundary, group: Group) -> None:
    """End a loop whose items are all done, or will not be started any more."""
    node, closed = group.node, core.closed_for(boundary.hooked)
    if node is None or node.phase.fulfilled or group.active:
        return
    if not (group.exhausted or closed or boundary.failed_fast):
        return
    phase = Phase.SUCCEEDED
    for child in group.children:
        if child.phase.failed:
            phase = child.phase
    if phase is Phase.SUCCEEDED and not group.exhausted and closed is not None:
        end(core, node, closed.phase, message=closed.message, reason=closed.reason)
    elif phase is Phase.SUCCEEDED and not group.exhausted:
        end(core, node, Phase.FAILED, message=_FAILED_FAST)
    else:
        end(core, node, phase)


def _settle_task(core: Core, boundary: Boundary, node: Node) -> None:
    task = boundary.plan.tasks[boundary.plan.index[node.task_name]]
    boundary.unfulfilled -= 1
    boundary.active -= 1
    if node.phase.failed:
        boundary.failed = True
        _failed(core, boundary, task.fatal, node)
    _fail_fast(core, boundary, node)
    for index in task.dependents:
        boundary.waiting[index] -= 1
        if not boundary.waiting[index]:
            decide_task(core, boundary, index)
    if boundary.plan.stages is not None:
        boundary.stage_left -= 1
    finish_graph(core, boundary)


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
    if _RESULTS.get(node.phase) in term.results or (node.daemoned and "Daemoned" in term.results):
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
    if boundary.plan.stages is not None:
        return  # the group that it stands in ends first
    if not core.stops_all(boundary):
        boundary.stopped = boundary.stopped or boundary.plan.fail_fast
    elif core.closed is None:
        close(core, closed_by_failure(core.plan.mode), cancel=core.plan.mode == "FAIL_FAST")


def fails_fast(boundary: Boundary, node: Node) -> bool:
    """Whether the template of a DAG or of steps is to fail because this child of it did."""
    tolerated = boundary.plan.tasks[boundary.plan.index[node.task_name]].tolerated
    return boundary.template.fail_fast and node.phase.failed and node.phase not in tolerated


def _fail_fast(core: Core, boundary: Boundary, node: Node) -> None:
    """Start nothing new in a template that is to fail with its first child: no further items of loops, either."""
    if boundary.failed_fast or not fails_fast(boundary, node):
        return
    boundary.stopped = boundary.failed_fast = True
    boundary.held.clear()
    for group in list(boundary.groups.values()):
        finish_group(core, boundary, group)


def closed_by_failure(mode: str) -> Closed:
    """Why nothing starts after a failure in the execution modes that stop."""
    return Closed(Reason.STOPPED, "Stopped because another task failed", lets_retry=mode != "FAIL_FAST")


def closed_by_deadline() -> Closed:
    """Why nothing starts after the workflow's deadline."""
    return Closed(Reason.TIMED_OUT, EXCEEDED)


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
        for found in [*core.running, *core.paused, *core.daemons]:
            _cut(core, core.nodes[found], closed, hooked=hooked)
    for found in list(core.gated):
        if found:
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
        if (_stands_in_exit(entry) and not hooked)
        or (closed.lets_retry and isinstance(entry[2], Node) and not entry[2].phase.fulfilled)
    ]
    heapq.heapify(core.ready)
    for boundary in reversed(list(core.boundaries.values())):
        if hooked or not boundary.hooked:
            boundary.held.clear()
            for group in list(boundary.groups.values()):
                finish_group(core, boundary, group)
            finish_graph(core, boundary)


def _stands_in_exit(entry: Entry) -> bool:
    """Whether queued work belongs to an exit handler."""
    place, boundary, what = entry
    if isinstance(what, Node):
        return what.hooked
    return boundary.hooked if boundary is not None else place == EXIT_PLACE


def _cut(core: Core, node: Node, closed: Closed, *, hooked: bool) -> None:
    if node.hooked and not hooked:
        return
    if core.daemons.pop(node.id, None) is not None:
        core.commands.append(Cancel(leaf.task_id(core, node), node.id))
        end(core, node, Phase.SUCCEEDED)
        return
    running = node.id in core.running
    if running:
        core.commands.append(Cancel(leaf.task_id(core, node), node.id))
    strategy = core.status.shutdown
    message = f"workflow shutdown with strategy:  {strategy}" if running and strategy else closed.message
    end(core, node, closed.phase, message=message, reason=closed.reason)


def finish_graph(core: Core, boundary: Boundary) -> None:
    """End a DAG in which nothing runs and nothing will, or a group of steps."""
    closed = core.closed_for(boundary.hooked)
    if boundary.node.phase.fulfilled or boundary.active:
        return
    if boundary.plan.stages is not None:
        _finish_stage(core, boundary, closed)
    elif not boundary.unfulfilled or boundary.stopped or closed is not None:
        _finish_dag(core, boundary, closed)


def _finish_dag(core: Core, boundary: Boundary, closed: Closed | None) -> None:
    phase = failed_phase(boundary)
    if boundary.failed_fast and closed is None:
        leave(core, boundary, Phase.FAILED, message=_FAILED_FAST)
    elif phase is not None:
        first = _first_failure(boundary)
        if closed is not None and (first.reason is closed.reason or core.status.shutdown):
            leave(core, boundary, phase, message=closed.message, reason=closed.reason)
        else:
            what = f"task '{first.task_name}' ended as {first.phase}"
            leave(core, boundary, phase, message=f"{what}: {first.message}" if first.message else what)
    elif boundary.unfulfilled and closed is not None:
        leave(core, boundary, closed.phase, message=closed.message, reason=closed.reason)
    else:
        _leave_with_outputs(core, boundary)


def _finish_stage(core: Core, boundary: Boundary, closed: Closed | None) -> None:
    """No step of the group runs: it ends, unless one may still start."""
    node = boundary.stage_node
    if node is None or node.phase.fulfilled:
        return
    if boundary.failed_fast and closed is None:
        end(core, node, Phase.FAILED, message=_FAILED_FAST)
        return
    if boundary.stage_left:
        if closed is not None:
            end(core, node, closed.phase, message=closed.message, reason=closed.reason)
        return
    for index in (boundary.plan.stages or [])[boundary.stage]:
        top, tolerated = boundary.tops[index], boundary.plan.tasks[index].tolerated
        group = boundary.groups.get(index)
        for child in group.children if group is not None and group.children else [top]:
            if child is not None and child.phase.failed and child.phase not in tolerated:
                told = child.type is NodeType.SKIPPED
                message = f"child '{child.id}' failed"
                if told:
                    message = f"step group deemed errored due to child {child.name} error: {child.message}"
                end(core, node, Phase.ERROR if told else Phase.FAILED, message=message, reason=child.reason)
                return
    end(core, node, Phase.SUCCEEDED)


def _advance(core: Core, boundary: Boundary, stage: Node) -> None:
    """A group of steps ended: the next one begins, or the steps end."""
    closed = core.closed_for(boundary.hooked)
    if stage.phase.failed:
        leave(core, boundary, Phase.FAILED, message=stage.message, reason=stage.reason)
    elif boundary.stage + 1 == len(boundary.plan.stages or []):
        _leave_with_outputs(core, boundary)
    elif closed is not None:
        leave(core, boundary, closed.phase, message=closed.message, reason=closed.reason)
    else:
        open_stage(core, boundary, boundary.stage + 1)


def _leave_with_outputs(core: Core, boundary: Boundary) -> None:
    try:
        outputs = dag_outputs(core, boundary)
    except ExpressionError as error:
        leave(core, boundary, Phase.ERROR, message=str(error))
    else:
        leave(core, boundary, Phase.SUCCEEDED, outputs=outputs)


def leave(
    core: Core,
    boundary: Boundary,
    phase: Phase,
    *,
    message: str = "",
    reason: Reason = Reason.NONE,
    outputs: Values | None = None,
) -> None:
    """End a DAG or steps, and the daemons that were started for it."""
    del core.boundaries[boundary.node.id]
    _end_daemons(core, boundary.node.id)
    end(core, boundary.node, phase, message=message, reason=reason, outputs=outputs)


def _end_daemons(core: Core, place: str) -> None:
    """End the daemons that a DAG or steps started; of "" those that are hooks of the workflow."""
    for daemon in [found for found, started in core.daemons.items() if started == place]:
        del core.daemons[daemon]
        node = core.nodes[daemon]
        core.commands.append(Cancel(leaf.task_id(core, node), daemon))
        end(core, node, Phase.SUCCEEDED)
    for retry in [found for found, started in core.serving.items() if started == place]:
        node = core.nodes[core.attempts[retry][-1]]
        if not node.phase.fulfilled:
            core.commands.append(Cancel(leaf.task_id(core, node), node.id))
            end(core, node, Phase.SUCCEEDED)
        end(core, core.nodes[retry], Phase.SUCCEEDED)


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
        elif top is None or not (top.phase is Phase.SUCCEEDED or top.daemoned):
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


def settle_tree(core: Core) -> None:
    """The entry point or a hook of the workflow ended: run the exit handler once they all have, or end."""
    if core.status.phase.fulfilled or not main_is_over(core):
        return
    if core.plan.hooks:
        exit_globals(core)
        run_workflow_hooks(core)
        if any(not is_done(node) for node in hooks_of_workflow(core)) or any(
            boundary is None for _, boundary, _ in core.ready
        ):
            return
    finish_main(core)


def main_is_over(core: Core) -> bool:
    """Whether the main tree has ended, or will not begin."""
    root = core.nodes.get(core.status.name)
    return root.phase.fulfilled if root is not None else core.closed is not None


def finish_main(core: Core) -> None:
    """The main tree is over: run the exit handler, or end."""
    exit_hook = core.plan.exit
    if exit_hook is None or core.status.shutdown == "Terminate":
        finish_workflow(core)
        return
    exit_globals(core)
    if exit_hook.expression is not None:
        try:
            due = Scope(core).holds(exit_hook.expression, "hooks.exit")
        except TiphysError as error:
            core.hook_problem = str(error)
            due = False
        if not due:
            finish_workflow(core)
            return
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
            "podName": leaf.pod_name(core, node),
            "finishedAt": rfc3339(from_epoch(node.finished_at or 0.0)),
        }
        for node in core.nodes.values()
        if node.phase.failed
        and not node.hooked
        and node.type not in (NodeType.DAG, NodeType.STEPS, NodeType.STEP_GROUP, NodeType.TASK_GROUP, NodeType.RETRY)
    ]
    core.globals["workflow.failures"] = go_json(go_json(failures))


def main_phase(core: Core) -> Phase:
    """The phase that the main tree gives the workflow."""
    root = core.nodes.get(core.status.name)
    if root is None:
        return core.closed.phase if core.closed is not None else Phase.FAILED
    return root.phase if root.phase.failed else Phase.SUCCEEDED


def finish_workflow(core: Core) -> None:
    """Nothing is left to do."""
    _end_daemons(core, "")
    phase, root = main_phase(core), core.nodes.get(core.status.name)
    message = root.message if root is not None and root.phase.failed else ""
    if root is None and core.closed is not None:
        message = core.closed.message
    if phase is Phase.SUCCEEDED:
        for node in hooks_of_workflow(core):
            if node.hook == "exit" and node.phase.failed:
                phase, message = node.phase, node.message
        if core.hook_problem:
            phase, message = Phase.ERROR, core.hook_problem
    if "" in core.locked:
        core.locked.discard("")
        core.commands.append(Release(""))
    core.status.phase, core.status.message, core.status.finished_at = phase, message, core.now
    core.status_changed = True
    core.ready.clear()
    core.commands.append(FinishWorkflow())
