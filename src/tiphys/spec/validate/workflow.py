"""Whole workflows and stored templates (semantics: Argo, workflow/validate `Workflow`, `WorkflowTemplate`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiphys.spec.artifacts import Artifact
from tiphys.spec.base import Loose
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.template import Arguments, Parameter
from tiphys.spec.validate.arguments import check_arguments, check_supply
from tiphys.spec.validate.artifacts import check_location
from tiphys.spec.validate.calls import EXIT_HOOK, check_hook_map, check_on_exit, resolve_name
from tiphys.spec.validate.context import Context
from tiphys.spec.validate.executor_plugins import check_executor_plugin
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.globals import workflow_scope
from tiphys.spec.validate.names import MAX_OBJECT_NAME, check_names, field_name, is_object_name
from tiphys.spec.validate.policies import (
    RETRY_VARIABLES,
    check_metrics,
    check_pod_resources,
    check_retry,
    check_synchronization,
)
from tiphys.spec.validate.references import check_expression, check_texts
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.stored import Base, Library, base_of, find_stored
from tiphys.spec.validate.template import check_template
from tiphys.spec.validate.values import check_duration, check_whole, check_word
from tiphys.spec.workflow import PodGC, WorkflowSpec

_POD_GC = ("OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess")
_ARTIFACT_GC = ("Never", "OnWorkflowCompletion", "OnWorkflowDeletion")
_CLAIM_GC = ("OnWorkflowCompletion", "OnWorkflowSuccess")
#: Settings of pods may refer to what the templates have that run in them.
_OF_PODS = ("inputs.", "outputs.", "steps.", "tasks.", "item", "pod.", "node.", "retries", "lastRetry.")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Subject:
    """A workflow's specification and what is known of it."""

    spec: WorkflowSpec
    metadata: ObjectMeta | None
    place: Place
    #: Whether it is a stored template: its arguments and its entrypoint may come from the workflow that uses it.
    stored: bool = False
    #: Whether every argument must have a value now.
    complete: bool = False


def check_object_name(
    metadata: ObjectMeta | None, kind: str, findings: Findings, *, most: int = MAX_OBJECT_NAME
) -> None:
    """The name of an object."""
    name, place = (metadata.name if metadata else None) or "", Place(("metadata", "name"), "metadata.name")
    if len(name) > most:
        findings.error(
            place, f'{kind} name "{name}" must not be more than {most} characters long (currently {len(name)})'
        )
    if name and not is_object_name(name):
        findings.error(
            place,
            f"'{name}' is invalid: an object's name must consist of lower case alphanumeric characters, '-' or '.',"
            " and must start and end with an alphanumeric character",
        )


def check_workflow(subject: Subject, library: Library, findings: Findings, *, strict: bool) -> None:
    """Check a specification and all templates that it reaches."""
    spec = subject.spec
    base = _base(subject, library, findings)
    arguments = _arguments(spec, base.spec if base else None)
    place = subject.place
    check_arguments(arguments, place.field("arguments"), findings, empty_allowed=not subject.complete)
    check_names(spec.templates, lambda number: place.item("templates", number), field_name, findings)
    _check_settings(spec, place, findings)
    if base is None:
        return
    specs = [spec] if base.spec is spec else [spec, base.spec]
    scope = workflow_scope(specs, subject.metadata, arguments.parameters or (), base, library, stored=subject.stored)
    context = Context(findings, base, library, scope, strict)
    if base.scope:
        for template in base.spec.templates or ():
            context.refer(base, template, place.field("workflowTemplateRef"))
    _check_texts(spec, scope, place, findings)
    _check_entrypoint(subject, arguments, context)
    _check_exits(spec, arguments, place, context)
    _check_templates(subject, context)


def _base(subject: Subject, library: Library, findings: Findings) -> Base | None:
    """Where names of templates are looked up; None if the stored template that is to be run is not known."""
    spec, place = subject.spec, subject.place.field("workflowTemplateRef")
    reference = spec.workflow_template_ref
    if reference is None:
        return base_of(spec)
    if spec.templates:
        findings.error(
            subject.place.field("templates"),
            "Templates is invalid field in spec if workflow referred WorkflowTemplate reference",
        )
    if not reference.name:
        findings.error(place.field("name"), "is required")
        return None
    base = find_stored(library, reference.name, cluster_scope=bool(reference.cluster_scope))
    if base is None and library.complete:
        kind = "cluster workflow template" if reference.cluster_scope else "workflow template"
        findings.error(place, f"{kind} '{reference.name}' not found")
    return base


def _arguments(spec: WorkflowSpec, stored: WorkflowSpec | None) -> Arguments:
    """The workflow's arguments over those of the stored template."""
    own = spec.arguments or Arguments()
    below = (stored.arguments if stored and stored is not spec else None) or Arguments()
    taken = {parameter.name for parameter in own.parameters or ()}
    parameters: list[Parameter] = [*(own.parameters or ())]
    parameters += [parameter for parameter in below.parameters or () if parameter.name not in taken]
    taken = {artifact.name for artifact in own.artifacts or ()}
    artifacts: list[Artifact] = [*(own.artifacts or ())]
    artifacts += [artifact for artifact in below.artifacts or () if artifact.name not in taken]
    return Arguments(parameters=parameters or None, artifacts=artifacts or None)


def _check_entrypoint(subject: Subject, arguments: Arguments, context: Context) -> None:
    """The workflow starts somewhere, with what that needs."""
    place = subject.place.field("entrypoint")
    name = subject.spec.entrypoint or context.base.spec.entrypoint
    if not name:
        if not subject.stored:
            context.findings.error(place, "is required")
        return
    called = resolve_name(name, place, context)
    if called.template is not None and not subject.stored:
        check_supply(called.template, arguments, place, context.findings, called=called.shown, strict=False)


def _check_exits(spec: WorkflowSpec, arguments: Arguments, place: Place, context: Context) -> None:
    if spec.on_exit:
        check_on_exit(spec.on_exit, arguments, place.field("onExit"), context)
    elif context.base.spec is not spec and context.base.spec.on_exit:
        check_on_exit(context.base.spec.on_exit, arguments, place.field("workflowTemplateRef"), context)
    check_hook_map(spec.hooks, context.variables, place.field("hooks"), context, arguments)
    if spec.on_exit and EXIT_HOOK in (spec.hooks or {}):
        context.findings.warn(place.field("hooks", EXIT_HOOK), "is not used, as onExit is set")


def _check_templates(subject: Subject, context: Context) -> None:
    """All templates of the specification, and the stored ones that were found on the way."""
    own = () if context.base.scope else subject.spec.templates or ()
    for number, template in enumerate(own):
        shown = f"templates.{template.name}" if template.name else f"templates[{number}]"
        check_template(template, Place((*subject.place.at, "templates", number), shown), context)
    while context.pending:
        reference = context.pending.pop()
        check_template(reference.template, Place((), f"templates.{reference.template.name}"), context.of(reference))


def _check_texts(spec: WorkflowSpec, scope: Scope, place: Place, findings: Findings) -> None:
    """Tags outside of templates; those of hooks and stored defaults have scopes of their own."""
    skip = ("templates", "template_defaults", "hooks", "arguments", "pod_spec_patch", "pod_metadata", "metrics")
    check_texts(spec, Scope(scope, names=_OF_PODS, open_prefixes=_OF_PODS), place, findings, skip=skip)
    if spec.metrics is not None:
        measured = Scope(scope, names=("status", "duration"), open_prefixes=("outputs.", "resourcesDuration."))
        check_texts(spec.metrics, measured, place.field("metrics"), findings)
    check_retry(spec.retry_strategy, Scope(scope, names=RETRY_VARIABLES), place.field("retryStrategy"), findings)
    metadata = spec.workflow_metadata
    for name, source in ((metadata and metadata.labels_from) or {}).items():
        at = place.field("workflowMetadata", "labelsFrom", name, "expression")
        if not source.expression:
            findings.error(at, "is required")
        check_expression(source.expression, scope, at, findings)


def _check_settings(spec: WorkflowSpec, place: Place, findings: Findings) -> None:
    """What can be told of the other fields without their surroundings."""
    _check_pod_gc(spec.pod_gc, place.field("podGC"), findings)
    check_word(spec.shutdown, ("Stop", "Terminate"), place.field("shutdown"), findings)
    if spec.artifact_gc is not None:
        check_word(spec.artifact_gc.strategy, _ARTIFACT_GC, place.field("artifactGC", "strategy"), findings)
    if spec.volume_claim_gc is not None:
        check_word(spec.volume_claim_gc.strategy, _CLAIM_GC, place.field("volumeClaimGC", "strategy"), findings)
    check_whole(spec.parallelism, place.field("parallelism"), findings, least=1)
    check_whole(spec.active_deadline_seconds, place.field("activeDeadlineSeconds"), findings, least=0)
    if spec.ttl_strategy is not None:
        for name, seconds in spec.ttl_strategy.to_json().items():
            check_whole(seconds, place.field("ttlStrategy", name), findings, least=0)
    check_pod_resources(spec.pod_resources, place.field("podResources"), findings)
    check_synchronization(spec.synchronization, place.field("synchronization"), findings)
    check_metrics(spec.metrics, place.field("metrics"), findings)
    for number, plugin in enumerate(spec.executor_plugins or ()):
        check_executor_plugin(plugin, place.item("executorPlugins", number), findings)
    if spec.template_defaults is not None and spec.template_defaults.archive_location is not None:
        at = place.field("templateDefaults", "archiveLocation")
        check_location(spec.template_defaults.archive_location, at, findings)


def _check_pod_gc(pod_gc: PodGC | None, place: Place, findings: Findings) -> None:
    if pod_gc is None:
        return
    if pod_gc.strategy and pod_gc.strategy not in _POD_GC:
        findings.error(place.field("strategy"), f"unknown strategy '{pod_gc.strategy}': use {', '.join(_POD_GC)}")
    check_duration(pod_gc.delete_delay_duration, place.field("deleteDelayDuration"), findings)
    _check_label_selector(pod_gc.label_selector, place.field("labelSelector"), findings)


def _check_label_selector(selector: Loose | None, place: Place, findings: Findings) -> None:
    """A selector as an object (Kubernetes' LabelSelector)."""
    requirements: Any = (selector or {}).get("matchExpressions")
    for number, requirement in enumerate(requirements if isinstance(requirements, list) else ()):
        at = place.item("matchExpressions", number)
        operator = requirement.get("operator") if isinstance(requirement, dict) else None
        if operator not in _OPERATORS:
            findings.error(at, f'invalid: "{operator}" is not a valid label selector operator')
        elif (operator in ("In", "NotIn")) != bool(requirement.get("values")):
            expected = "must have values" if operator in ("In", "NotIn") else "must not have values"
            findings.error(at, f"invalid: {operator} {expected}")
