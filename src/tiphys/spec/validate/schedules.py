"""Schedules and event bindings (semantics: Argo, workflow/validate `CronWorkflow`; events/dispatch)."""

from __future__ import annotations

from tiphys.errors import TiphysError
from tiphys.lang.cron import parse_schedule
from tiphys.spec.library import CronWorkflow, CronWorkflowSpec, WorkflowEventBinding
from tiphys.spec.validate.arguments import check_arguments
from tiphys.spec.validate.conditions import check_when
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.names import MAX_CRON_NAME
from tiphys.spec.validate.references import check_expression, check_text
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.stored import Library
from tiphys.spec.validate.values import check_whole, check_word
from tiphys.spec.validate.workflow import Subject, check_object_name, check_workflow

_SPEC = Place(("spec",), "spec")
_CRON_SCOPE = Scope(
    names=(
        *("cronworkflow.name", "cronworkflow.namespace", "cronworkflow.labels", "cronworkflow.labels.json"),
        *("cronworkflow.annotations", "cronworkflow.annotations.json", "cronworkflow.lastScheduledTime"),
        *("cronworkflow.failed", "cronworkflow.succeeded"),
    ),
    open_prefixes=("cronworkflow.labels.", "cronworkflow.annotations."),
)


def check_cron_workflow(found: CronWorkflow, library: Library, findings: Findings, *, strict: bool) -> None:
    """A schedule and the workflow it starts."""
    check_object_name(found.metadata, "cron workflow", findings, most=MAX_CRON_NAME)
    spec = found.spec
    if spec is None:
        findings.error(_SPEC, "is required")
        return
    _check_schedules(spec, findings)
    check_word(spec.concurrency_policy, ("Allow", "Forbid", "Replace"), _SPEC.field("concurrencyPolicy"), findings)
    for name, value in (
        ("startingDeadlineSeconds", spec.starting_deadline_seconds),
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ):
        check_whole(value, _SPEC.field(name), findings, least=0, what="must be positive")
    check_text(spec.when, _CRON_SCOPE, _SPEC.field("when"), findings)
    check_when(spec.when, _SPEC.field("when"), findings)
    if spec.stop_strategy is not None:
        at = _SPEC.field("stopStrategy", "expression")
        if not spec.stop_strategy.expression:
            findings.error(at, "is required")
        check_expression(spec.stop_strategy.expression, _CRON_SCOPE, at, findings)
    if spec.workflow_spec is None:
        findings.error(_SPEC.field("workflowSpec"), "is required")
        return
    subject = Subject(spec.workflow_spec, spec.workflow_metadata, _SPEC.field("workflowSpec"), complete=True)
    check_workflow(subject, library, findings, strict=strict)


def _check_schedules(spec: CronWorkflowSpec, findings: Findings) -> None:
    if not spec.schedules:
        findings.error(_SPEC.field("schedules"), "cron workflow must have at least one schedule")
    for number, schedule in enumerate(spec.schedules or ()):
        try:
            parse_schedule(schedule)
        except TiphysError as error:
            findings.error(_SPEC.item("schedules", number), f"cron schedule {schedule} is malformed: {error.message}")
    if spec.timezone:
        try:
            parse_schedule("@daily", spec.timezone)
        except TiphysError as error:
            findings.error(_SPEC.field("timezone"), f'invalid timezone "{spec.timezone}": {error.message}')


def check_event_binding(found: WorkflowEventBinding, library: Library, findings: Findings) -> None:
    """An event, and the stored template it starts."""
    check_object_name(found.metadata, "workflow event binding", findings)
    event = found.spec.event if found.spec else None
    selector = _SPEC.field("event", "selector")
    if event is None or not event.selector:
        findings.error(selector, "is required")
    else:
        check_expression(event.selector, Scope(), selector, findings)
    submit = found.spec.submit if found.spec else None
    if submit is None:
        return
    place, reference = _SPEC.field("submit"), submit.workflow_template_ref
    if reference is None or not reference.name:
        findings.error(place.field("workflowTemplateRef", "name"), "is required")
    elif library.complete:
        find = library.cluster_workflow_template if reference.cluster_scope else library.workflow_template
        if find(reference.name) is None:
            findings.error(place.field("workflowTemplateRef"), f"workflow template '{reference.name}' not found")
    at = place.field("arguments")
    check_arguments(submit.arguments, at, findings, empty_allowed=False)
    for number, parameter in enumerate((submit.arguments and submit.arguments.parameters) or ()):
        source = parameter.value_from
        if source is not None and source.event:
            here = at.item("parameters", number, parameter.name).field("valueFrom", "event")
            check_expression(source.event, Scope(), here, findings)
