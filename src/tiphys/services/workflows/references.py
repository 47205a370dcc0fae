"""What a workflow refers to is put into its status when it is submitted, so that it runs on as it was.

As Argo does: `status.storedWorkflowTemplateSpec` is the specification merged with that of its `workflowTemplateRef`
(workflow/util/merge.go), `status.storedTemplates` holds every template of others that can be reached
(pkg/apis/workflow/v1alpha1 `resolveTemplateReference`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tiphys.errors import NotFoundError
from tiphys.ports.workflows import Manifest
from tiphys.spec.library import ClusterWorkflowTemplate, WorkflowTemplate
from tiphys.spec.merge import merge_specs
from tiphys.spec.template import DAGTask, LifecycleHook, Template, TemplateRef, WorkflowStep
from tiphys.spec.validate.stored import Library
from tiphys.spec.workflow import WorkflowSpec

Call = WorkflowStep | DAGTask | LifecycleHook


def resolve_references(workflow: Manifest, library: Library) -> Manifest:
    """The workflow with what it refers to in its status.

    Raises:
        NotFoundError: a template is not stored.
    """
    spec = workflow.get("spec") or {}
    status = dict(workflow.get("status") or {})
    whole = spec
    reference = spec.get("workflowTemplateRef")
    if reference:
        found = _find(library, str(reference.get("name")), cluster=bool(reference.get("clusterScope")))
        below = found.spec.to_json() if found.spec else {}
        whole = merge_specs(spec, below)
        whole.pop("workflowTemplateRef", None)
        status["storedWorkflowTemplateSpec"] = whole
    stored = _Reached(library).of(WorkflowSpec.from_json(whole))
    if stored:
        status["storedTemplates"] = {key: template.to_json() for key, template in sorted(stored.items())}
    return {**workflow, "status": status} if status else workflow


class _Reached:
    """Collects the stored templates that can be reached.

    Args:
        library: Where they are.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._found: dict[str, Template] = {}
        self._pending: list[tuple[str, Template]] = []

    def of(self, spec: WorkflowSpec) -> dict[str, Template]:
        """Those of a specification, by `<namespaced or cluster>/<name>/<template>`."""
        self._pending = [("", template) for template in spec.templates or ()]
        for hook in (spec.hooks or {}).values():
            self._call("", hook)
        while self._pending:
            scope, template = self._pending.pop()
            for call in calls_of(template):
                self._call(scope, call)
        return self._found

    def _call(self, scope: str, call: Call) -> None:
        inline = None if isinstance(call, LifecycleHook) else call.inline
        if inline is not None:
            self._pending.append((scope, inline))
        elif call.template_ref is not None:
            reference = call.template_ref
            kind = "cluster" if reference.cluster_scope else "namespaced"
            self._store(f"{kind}/{reference.name}", reference)
        elif scope and call.template:
            kind, _, name = scope.partition("/")
            self._store(scope, TemplateRef(name=name, cluster_scope=kind == "cluster", template=call.template))
        for hook in (getattr(call, "hooks", None) or {}).values():
            self._call(scope, hook)

    def _store(self, scope: str, reference: TemplateRef) -> None:
        key = f"{scope}/{reference.template}"
        if key in self._found:
            return
        holder = _find(self._library, reference.name or "", cluster=bool(reference.cluster_scope))
        template = _named((holder.spec.templates if holder.spec else None) or (), reference.template or "")
        if template is None:
            raise NotFoundError(f"There is no template '{reference.template}' in '{reference.name}' ({key}).")
        self._found[key] = template
        self._pending.append((scope, template))


def calls_of(template: Template) -> Iterator[Call]:
    """The steps or tasks of a template."""
    for group in template.steps or ():
        yield from group
    yield from (template.dag.tasks if template.dag else None) or ()


def _named(templates: Iterable[Template], name: str) -> Template | None:
    return next((template for template in templates if template.name == name), None)


def _find(library: Library, name: str, *, cluster: bool) -> WorkflowTemplate | ClusterWorkflowTemplate:
    found: Any = library.cluster_workflow_template(name) if cluster else library.workflow_template(name)
    if found is None:
        kind, command = ("ClusterWorkflowTemplate", "cluster-template") if cluster else ("WorkflowTemplate", "template")
        raise NotFoundError(f"There is no {kind} '{name}'.", hint=f"Store it first: tiphys argo {command} create FILE")
    template: WorkflowTemplate | ClusterWorkflowTemplate = found
    return template
