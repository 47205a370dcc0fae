"""The variables of a whole workflow: `workflow.…`.

(Semantics: Argo, workflow/validate `Workflow` and docs/variables.md.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tiphys.spec.artifacts import Artifact
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.template import DAGTask, LifecycleHook, Outputs, Parameter, Template, TemplateRef, WorkflowStep
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.stored import Base, Library, find_stored
from tiphys.spec.validate.values import is_constant
from tiphys.spec.workflow import WorkflowMetadata, WorkflowSpec

_ALWAYS = (
    *("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "status", "duration", "creationTimestamp"),
    *("scheduledTime", "annotations", "annotations.json", "labels", "labels.json"),
)
_OUTPUTS = ("workflow.outputs.parameters.", "workflow.outputs.artifacts.")


def workflow_scope(
    specs: Iterable[WorkflowSpec],
    metadata: ObjectMeta | None,
    parameters: Iterable[Parameter],
    base: Base,
    library: Library,
    *,
    stored: bool = False,
) -> Scope:
    """The scope of a workflow's variables.

    Args:
        specs: The workflow's specification and that of the stored template it runs.
        metadata: The workflow's.
        parameters: The arguments of all `specs`.
        base: Where names of templates are looked up.
        library: Where stored templates are looked up.
        stored: Whether this is a stored template by itself, which will be used by workflows that are not known.
    """
    names = {f"workflow.{name}" for name in _ALWAYS}
    prefixes = ["workflow.creationTimestamp.", "workflow.scheduledTime."]
    given = [parameter.name for parameter in parameters if parameter.name]
    names |= {f"workflow.parameters.{name}" for name in given}
    if given or stored:
        names |= {"workflow.parameters", "workflow.parameters.json"}
    names |= _keys("labels", metadata) | _keys("annotations", metadata)
    for spec in specs:
        names |= _metadata_keys(spec.workflow_metadata)
        if spec.priority is not None:
            names.add("workflow.priority")
        if stored or spec.on_exit or spec.hooks:
            names.add("workflow.failures")
    if stored:
        prefixes.append("workflow.parameters.")
    outputs = global_outputs(base, library)
    names |= outputs.names
    return Scope(names=names | {"node.name", "steps.name", "tasks.name"}, open_prefixes=(*prefixes, *outputs.prefixes))


def _keys(kind: str, metadata: ObjectMeta | WorkflowMetadata | None) -> set[str]:
    found: dict[str, str] | None = getattr(metadata, kind, None)
    return {f"workflow.{kind}.{key}" for key in found or ()}


def _metadata_keys(metadata: WorkflowMetadata | None) -> set[str]:
    if metadata is None:
        return set()
    from_expressions = {f"workflow.labels.{key}" for key in metadata.labels_from or ()}
    return _keys("labels", metadata) | _keys("annotations", metadata) | from_expressions


@dataclass(slots=True)
class GlobalOutputs:
    """What the nodes of a workflow export to `workflow.outputs`."""

    names: set[str] = field(default_factory=set)
    #: Beginnings of names that are made at run time, or by templates that are not known.
    prefixes: set[str] = field(default_factory=set)

    def add(self, outputs: Outputs | None) -> None:
        """Take in what a template exports."""
        lists: tuple[Sequence[Parameter | Artifact], ...] = (
            (outputs and outputs.parameters) or [],
            (outputs and outputs.artifacts) or [],
        )
        for prefix, exported in zip(_OUTPUTS, lists, strict=True):
            for output in exported:
                if output.global_name and is_constant(output.global_name):
                    self.names.add(prefix + output.global_name)
                elif output.global_name:
                    self.prefixes.add(prefix)


def global_outputs(base: Base, library: Library) -> GlobalOutputs:
    """What the templates of `base`, and all that they refer to, export."""
    found = GlobalOutputs()
    seen: set[tuple[str, int]] = set()
    waiting = [(base, template) for template in base.spec.templates or ()]
    hooks = [hook.template_ref for hook in (base.spec.hooks or {}).values()]
    waiting += _referred([reference for reference in hooks if reference], library, found)
    while waiting:
        home, template = waiting.pop()
        if (home.scope, id(template)) in seen:
            continue
        seen.add((home.scope, id(template)))
        found.add(template.outputs)
        references = []
        for call in _calls(template):
            if call.template_ref is not None:
                references.append(call.template_ref)
            elif call.template and home.scope and call.template in home.templates:
                waiting.append((home, home.templates[call.template]))
            inline = None if isinstance(call, LifecycleHook) else call.inline
            if inline is not None:
                waiting.append((home, inline))
        waiting += _referred(references, library, found)
    return found


def _calls(template: Template) -> Iterator[WorkflowStep | DAGTask | LifecycleHook]:
    steps = [step for group in template.steps or () for step in group]
    for call in (*steps, *((template.dag and template.dag.tasks) or ())):
        yield call
        yield from (call.hooks or {}).values()


def _referred(references: Iterable[TemplateRef], library: Library, found: GlobalOutputs) -> list[tuple[Base, Template]]:
    templates = []
    for reference in references:
        base = find_stored(library, reference.name or "", cluster_scope=bool(reference.cluster_scope))
        template = base.templates.get(reference.template or "") if base else None
        if base is None or template is None:
            found.prefixes.update(_OUTPUTS)
        else:
            templates.append((base, template))
    return templates
