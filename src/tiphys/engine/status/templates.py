"""Which template each node carries out, by whose call, and in which scope the call was looked up.

Semantics: Argo, workflow/templateresolution/context.go and resolveTemplateReference in its workflow_types.go. A scope
is `local/<workflow>` or `namespaced/<name>` or `cluster/<name>` of a stored template; templates of the latter two are
found in the manifest's `status.storedTemplates` as `<scope>/<template>`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.engine.model import Node
from tiphys.engine.status.tree import Role, Tree
from tiphys.errors import ExpressionError
from tiphys.lang import depends
from tiphys.spec.template import DAGTask, DAGTemplate, LifecycleHook, Template, WorkflowStep
from tiphys.spec.workflow import Workflow, WorkflowSpec

#: What names a template to be carried out.
Caller = DAGTask | WorkflowStep | LifecycleHook
#: The hook that runs when its owner has ended.
EXIT_HOOK = "exit"


@dataclass(frozen=True, slots=True)
class Call:
    """One node's call of a template."""

    #: None of a StepGroup node, and where the manifest does not say.
    caller: Caller | None
    #: None where the manifest does not hold it.
    template: Template | None
    #: Where `caller` is looked up.
    scope: str
    #: Where the calls that `template` makes are looked up.
    inner: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The edges of a DAG template."""

    #: Task → tasks that it waits for.
    dependencies: dict[str, tuple[str, ...]]
    #: Tasks whose phases make the DAG's.
    targets: list[str]
    #: Tasks that lead to a target.
    wanted: set[str]


def executed_spec(workflow: Workflow) -> WorkflowSpec:
    """The specification that is carried out: what a `workflowTemplateRef` was resolved to, or the workflow's own."""
    stored = workflow.status.stored_workflow_template_spec if workflow.status is not None else None
    return stored or workflow.spec or WorkflowSpec()


class Calls:
    """The calls of all nodes of a workflow.

    Args:
        workflow: The manifest, with what its status stores of templates that it refers to.
        tree: Its nodes.
    """

    def __init__(self, workflow: Workflow, tree: Tree) -> None:
        self._tree = tree
        self._spec = executed_spec(workflow)
        self._local = {template.name: template for template in self._spec.templates or ()}
        self._stored = (workflow.status.stored_templates if workflow.status is not None else None) or {}
        # A specification that came from a stored template is carried out under no name.
        own = self._spec is workflow.spec
        self._base = f"local/{tree.name if own else ''}"
        self._callers: dict[int, dict[str, DAGTask | WorkflowStep]] = {}
        self._shapes: dict[int, Shape] = {}
        self._calls: dict[str, Call] = {}
        for node in tree.nodes:
            self._calls[node.id] = self._call(node)

    def call(self, node: Node) -> Call:
        """Of one node."""
        return self._calls[node.id]

    def template(self, node: Node) -> Template | None:
        """What the node carries out, if the manifest holds it."""
        return self._calls[node.id].template

    def shape(self, dag: Node) -> Shape:
        """The edges of the template that a DAG node carries out."""
        template = self._calls[dag.id].template
        spec = template.dag if template is not None else None
        if spec is None:
            return Shape({}, [], set())
        if id(spec) not in self._shapes:
            self._shapes[id(spec)] = dag_shape(spec)
        return self._shapes[id(spec)]

    def _call(self, node: Node) -> Call:
        tree = self._tree
        role, above = tree.role(node), tree.above(node)
        if role is Role.ROOT:
            return self._resolved(WorkflowStep(template=self._spec.entrypoint), self._base)
        if role is Role.HOOK:
            return self._hook(node, above)
        if above is None:
            return Call(None, None, self._base, self._base)
        call = self._calls[above.id]
        if role in (Role.ATTEMPT, Role.ITEM, Role.CONTAINER):
            return call
        if role is Role.STEP_GROUP:
            # It hands its boundary's template on to its steps.
            return Call(None, call.template, call.inner, call.inner)
        caller = self._tasks(call.template).get(node.task_name) if call.template is not None else None
        return self._resolved(caller, call.inner)

    def _hook(self, node: Node, owner: Node | None) -> Call:
        name = node.hook or EXIT_HOOK
        if owner is None:
            return self._resolved(_hook_of(self._spec, name), self._base)
        call = self._calls[owner.id]
        if call.caller is None or isinstance(call.caller, LifecycleHook):
            return Call(None, None, call.scope, call.scope)
        return self._resolved(_hook_of(call.caller, name), call.scope)

    def _resolved(self, caller: Caller | None, scope: str) -> Call:
        if caller is None:
            return Call(None, None, scope, scope)
        inline = None if isinstance(caller, LifecycleHook) else caller.inline
        if inline is not None:
            return Call(caller, inline, scope, scope)
        ref = caller.template_ref
        if ref is not None:
            inner = f"{'cluster' if ref.cluster_scope else 'namespaced'}/{ref.name}"
            return Call(caller, self._stored.get(f"{inner}/{ref.template}"), scope, inner)
        if scope == self._base:
            return Call(caller, self._local.get(caller.template), scope, scope)
        return Call(caller, self._stored.get(f"{scope}/{caller.template}"), scope, scope)

    def _tasks(self, template: Template) -> dict[str, DAGTask | WorkflowStep]:
        """The tasks or steps of a template, by name."""
        found = self._callers.get(id(template))
        if found is None:
            found = {}
            for task in (template.dag.tasks if template.dag is not None else None) or ():
                found[task.name or ""] = task
            for group in template.steps or ():
                found.update({step.name or "": step for step in group})
            self._callers[id(template)] = found
        return found


def _hook_of(owner: DAGTask | WorkflowStep | WorkflowSpec, name: str) -> LifecycleHook | None:
    if name == EXIT_HOOK and owner.on_exit:
        return LifecycleHook(template=owner.on_exit)
    return (owner.hooks or {}).get(name)


def dag_shape(dag: DAGTemplate) -> Shape:
    """The edges of a DAG template (as dag.go: without a target all tasks that none depends on, by name)."""
    dependencies = {task.name or "": _dependencies(task) for task in dag.tasks or ()}
    if dag.target:
        targets = dag.target.split()
    else:
        needed = {name for names in dependencies.values() for name in names}
        targets = sorted(name for name in dependencies if name not in needed)
    wanted: set[str] = set()
    pending = list(targets)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(dependencies.get(name, ()))
    return Shape(dependencies, targets, wanted)


def _dependencies(task: DAGTask) -> tuple[str, ...]:
    if not task.depends:
        return tuple(dict.fromkeys(task.dependencies or ()))
    try:
        return depends.parse(task.depends).names
    except ExpressionError:  # The task was refused with this message when its turn came.
        return ()
