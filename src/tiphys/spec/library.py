"""The other kinds of objects: stored templates, schedules, event bindings."""

from __future__ import annotations

from tiphys.spec.base import Loose, Spec
from tiphys.spec.kubernetes import ObjectMeta
from tiphys.spec.status import Condition
from tiphys.spec.template import Arguments
from tiphys.spec.workflow import WorkflowSpec, WorkflowTemplateRef


class WorkflowTemplate(Spec):
    """A stored workflow definition of one namespace."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "WorkflowTemplate"
    metadata: ObjectMeta | None = None
    spec: WorkflowSpec | None = None


class ClusterWorkflowTemplate(Spec):
    """A stored workflow definition of all namespaces."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "ClusterWorkflowTemplate"
    metadata: ObjectMeta | None = None
    spec: WorkflowSpec | None = None


class StopStrategy(Spec):
    """When a schedule ends."""

    expression: str | None = None


class CronWorkflowSpec(Spec):
    """When to run which workflow."""

    concurrency_policy: str | None = None
    failed_jobs_history_limit: int | None = None
    schedules: list[str] | None = None
    starting_deadline_seconds: int | None = None
    stop_strategy: StopStrategy | None = None
    successful_jobs_history_limit: int | None = None
    suspend: bool | None = None
    timezone: str | None = None
    when: str | None = None
    workflow_metadata: ObjectMeta | None = None
    workflow_spec: WorkflowSpec | None = None


class CronWorkflowStatus(Spec):
    """What a schedule has done."""

    active: list[Loose] | None = None
    conditions: list[Condition] | None = None
    failed: int | None = None
    last_scheduled_time: str | None = None
    phase: str | None = None
    succeeded: int | None = None


class CronWorkflow(Spec):
    """A schedule."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "CronWorkflow"
    metadata: ObjectMeta | None = None
    spec: CronWorkflowSpec | None = None
    status: CronWorkflowStatus | None = None


class Event(Spec):
    """Which events are meant."""

    selector: str | None = None


class Submit(Spec):
    """What an event starts."""

    arguments: Arguments | None = None
    metadata: ObjectMeta | None = None
    workflow_template_ref: WorkflowTemplateRef | None = None


class WorkflowEventBindingSpec(Spec):
    """An event and what it starts."""

    event: Event | None = None
    submit: Submit | None = None


class WorkflowEventBinding(Spec):
    """Starts a workflow at an event."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "WorkflowEventBinding"
    metadata: ObjectMeta | None = None
    spec: WorkflowEventBindingSpec | None = None
