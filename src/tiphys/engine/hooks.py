"""Lifecycle hooks: templates that are run at a moment of a task's node, or of the workflow.

An exit hook is run when its node has ended, the others once, when their expressions become true. What waits for the
node waits for its hooks too (argo-workflows, workflow/controller/hooks.go and exit_handler.go).
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.engine.model import Node, NodeType, Phase
from tiphys.engine.plan import HookPlan, TaskPlan
from tiphys.engine.scope import Scope, node_variables
from tiphys.engine.starting import start_hook
from tiphys.engine.state import Boundary, Core, workflow_hook_place
from tiphys.errors import TiphysError

#: Phases in which a node has run, so that it has an end to react to.
_RAN = (Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR)


def run_hooks(core: Core, boundary: Boundary, node: Node) -> bool:
    """Run the hooks of a task's node that are due now; returns whether any is not fulfilled."""
    task = boundary.plan.tasks[boundary.plan.index[node.task_name]]
    if not task.hooks:
        return False
    for hook in _hooks_of(boundary, task, node):
        if (node.id, hook.name) not in core.hooked and _may_run(core, boundary, node, hook):
            _run_if_due(core, boundary, task, node, hook)
    return node.id in core.hooking


def _hooks_of(boundary: Boundary, task: TaskPlan, node: Node) -> Iterable[HookPlan]:
    """The hooks of a task's node.

    The items of a step's loop have all of them; of a DAG's the items have the exit hook, and the loop the others
    (argo-workflows, executeStepGroup and executeDAGTask).
    """
    is_loop = node.type is NodeType.TASK_GROUP
    if task.loop is None:
        return task.hooks
    if boundary.plan.stages is not None:
        return () if is_loop else task.hooks
    return [hook for hook in task.hooks if (hook.name == "exit") is not is_loop]


def _may_run(core: Core, boundary: Boundary, node: Node, hook: HookPlan) -> bool:
    if hook.name == "exit":
        return node.phase in _RAN and node.type is not NodeType.SKIPPED and core.closed_for(hooked=True) is None
    return core.closed_for(boundary.hooked) is None


def _run_if_due(core: Core, boundary: Boundary, task: TaskPlan, owner: Node, hook: HookPlan) -> None:
    own = node_variables((f"steps.{task.name}", f"tasks.{task.name}"), owner)
    scope = Scope(core, boundary, extra=own)
    problem = ""
    try:
        if hook.expression is not None and not scope.holds(hook.expression, f"hooks.{hook.name}"):
            return
    except TiphysError as error:
        problem = str(error)
    core.hooked.add((owner.id, hook.name))
    core.hooking[owner.id] = core.hooking.get(owner.id, 0) + 1
    start_hook(core, boundary, task, owner, hook, scope, problem=problem)


def hooks_of_workflow(core: Core) -> Iterable[Node]:
    """The nodes of the workflow's own hooks, the exit handler's among them."""
    return [core.nodes[found] for found in core.workflow_hooks.values()]


def run_workflow_hooks(core: Core) -> None:
    """Run the workflow's hooks whose expressions are true now."""
    if core.closed_for(hooked=False) is not None:
        return
    for hook in core.plan.hooks:
        if hook.name in core.workflow_hooks or hook.expression is None:
            continue
        place = workflow_hook_place(core.plan, hook.name)
        if any(entry[0] == place for entry in core.ready):
            continue
        try:
            due = Scope(core).holds(hook.expression, f"spec.hooks.{hook.name}")
        except TiphysError as error:
            core.hook_problem = core.hook_problem or str(error)
        else:
            if due:
                core.push((place, None, 0))
