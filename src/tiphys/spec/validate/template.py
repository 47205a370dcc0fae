"""One template: its kind, its inputs, its body, its outputs and its policies, each in the right scope."""

from __future__ import annotations

from tiphys.spec.template import Template
from tiphys.spec.validate.artifacts import check_location
from tiphys.spec.validate.context import Body, Context
from tiphys.spec.validate.dag import check_dag
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.kinds import BODIES, Kind, bodies, kind_of
from tiphys.spec.validate.leaf import check_leaf
from tiphys.spec.validate.policies import (
    RETRY_VARIABLES,
    check_memoize,
    check_metrics,
    check_pod_resources,
    check_retry,
    check_synchronization,
)
from tiphys.spec.validate.ports import check_inputs, check_outputs, input_names
from tiphys.spec.validate.references import check_texts
from tiphys.spec.validate.scope import Scope
from tiphys.spec.validate.steps import check_steps
from tiphys.spec.validate.values import check_duration, check_whole

_METRIC_VARIABLES = ("status", "duration", "exitCode", "retries")
_METRIC_PREFIXES = ("outputs.", "resourcesDuration.")


def check_template(template: Template, place: Place, context: Context, scope: Scope | None = None) -> None:
    """Check a template, and the templates that stand in its steps and tasks.

    Args:
        template: The template.
        place: Where it stands.
        context: Where names are looked up.
        scope: What it may refer to besides its own inputs; the workflow's variables unless it stands in a step or task.
    """
    findings = context.findings
    kind = _check_kind(template, place, findings)
    check_inputs(template, kind, place, findings)
    scope = _template_scope(template, kind, context, scope or context.variables)
    _check_limits(template, kind, place, findings)
    _check_policies(template, scope, place, findings)
    skip = {"steps", "dag", "outputs", "metrics"}
    if kind is Kind.PYTHON_STEP:
        skip.add("plugin")
    check_texts(template, scope, place, findings, skip=skip)
    body = Body(scope, [])
    if kind is Kind.STEPS:
        body = check_steps(template, scope, place, context)
    elif kind is Kind.DAG:
        body = check_dag(template, scope, place, context)
    else:
        check_leaf(template, context.base.defaults, scope, place, findings)
    check_outputs(template, kind, body.scope, place, findings)
    for inline in body.inlines:
        check_template(inline.template, inline.place, context, inline.scope)


def _check_kind(template: Template, place: Place, findings: Findings) -> Kind:
    given = bodies(template)
    choices = f"choose one of: {', '.join(BODIES)}"
    if not given:
        findings.error(place, f"template type unspecified. {choices}")
    elif len(given) > 1:
        findings.error(place, f"multiple template types specified: {', '.join(given)}. {choices}")
    return kind_of(template)


def _template_scope(template: Template, kind: Kind, context: Context, around: Scope) -> Scope:
    names = input_names(template, kind)
    if kind.is_pod:
        names.add("pod.name")
    defaults, spec = context.base.defaults, context.base.spec
    if template.retry_strategy or defaults.retry_strategy or spec.retry_strategy:
        names.update(RETRY_VARIABLES)
    return Scope(around, names=names)


def _check_limits(template: Template, kind: Kind, place: Place, findings: Findings) -> None:
    """Bounds in time and number, and where they may be set."""
    composed = kind in (Kind.STEPS, Kind.DAG)
    deadline = place.field("activeDeadlineSeconds")
    if template.active_deadline_seconds is not None and composed:
        findings.error(deadline, "is only valid for leaf templates")
    check_whole(
        template.active_deadline_seconds,
        deadline,
        findings,
        least=0,
        what="must be a positive integer > 0 or an argo variable",
    )
    for name, text in (("timeout", template.timeout), ("pendingTimeout", template.pending_timeout)):
        if text and not kind.is_leaf and kind is not Kind.UNKNOWN:
            findings.error(place, f"{kind} template doesn't support {name} field")
        check_duration(text, place.field(name), findings, unit=name == "timeout")
    if template.parallelism is not None:
        at = place.field("parallelism")
        if not composed and kind is not Kind.UNKNOWN:
            findings.error(at, "is only valid for steps and dag templates")
        check_whole(template.parallelism, at, findings, least=1)


def _check_policies(template: Template, scope: Scope, place: Place, findings: Findings) -> None:
    kind = kind_of(template)
    check_retry(template.retry_strategy, scope, place.field("retryStrategy"), findings)
    check_synchronization(template.synchronization, place.field("synchronization"), findings)
    check_memoize(template.memoize, place.field("memoize"), findings)
    if template.archive_location is not None:
        check_location(template.archive_location, place.field("archiveLocation"), findings)
    if template.metrics is not None:
        at = place.field("metrics")
        check_metrics(template.metrics, at, findings)
        measured = Scope(scope, names=_METRIC_VARIABLES, open_prefixes=_METRIC_PREFIXES)
        check_texts(template.metrics, measured, at, findings)
    if template.pod_resources is not None:
        at = place.field("podResources")
        if kind in (Kind.HTTP, Kind.PLUGIN):
            findings.error(at, f"is not supported for {kind} templates")
        else:
            check_pod_resources(template.pod_resources, at, findings)
    if template.resource_claims and not kind.is_pod and kind is not Kind.UNKNOWN:
        findings.error(
            place.field("resourceClaims"), f"is not supported for {kind} templates, which do not create a pod"
        )
