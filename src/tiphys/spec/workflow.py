"""Workflows: the object that is submitted, and its parts."""

from __future__ import annotations

from tiphys.spec.artifacts import ArtifactRepositoryRef, Metadata
from tiphys.spec.base import Loose, Spec
from tiphys.spec.kubernetes import Container, LocalObjectReference, ObjectMeta, Volume
from tiphys.spec.status import (
    ArtGCStatus,
    ArtifactRepositoryRefStatus,
    Condition,
    NodeStatus,
    SynchronizationStatus,
)
from tiphys.spec.template import (
    Arguments,
    ExecutorConfig,
    LifecycleHook,
    Metrics,
    Outputs,
    RetryStrategy,
    Synchronization,
    Template,
)


class WorkflowTemplateRef(Spec):
    """A stored template to run."""

    name: str | None = None
    cluster_scope: bool | None = None


class PodGC(Spec):
    """When pods are deleted."""

    delete_delay_duration: str | None = None
    label_selector: Loose | None = None
    strategy: str | None = None


class TTLStrategy(Spec):
    """When a finished workflow is deleted."""

    seconds_after_completion: int | None = None
    seconds_after_failure: int | None = None
    seconds_after_success: int | None = None


class VolumeClaimGC(Spec):
    """When volume claims are deleted."""

    strategy: str | None = None


class WorkflowLevelArtifactGC(Spec):
    """When artifacts of a workflow are deleted."""

    force_finalizer_removal: bool | None = None
    pod_metadata: Metadata | None = None
    pod_spec_patch: str | None = None
    service_account_name: str | None = None
    strategy: str | None = None


class LabelValueFrom(Spec):
    """An expression for a label's value."""

    expression: str | None = None


class WorkflowMetadata(Spec):
    """Labels and annotations that the workflow is given when it starts."""

    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    labels_from: dict[str, LabelValueFrom] | None = None


class ExecutorPluginSidecar(Spec):
    """The container of an executor plugin."""

    automount_service_account_token: bool | None = None
    container: Container | None = None


class ExecutorPluginSpec(Spec):
    """What an executor plugin is made of."""

    sidecar: ExecutorPluginSidecar | None = None


class ExecutorPlugin(Spec):
    """A plugin beside the agent."""

    metadata: ObjectMeta | None = None
    spec: ExecutorPluginSpec | None = None


class ExecutorPluginManifest(ExecutorPlugin):
    """A plugin as an object of its own: what its author writes."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "ExecutorPlugin"


class WorkflowSpec(Spec):
    """Definition of a workflow."""

    entrypoint: str | None = None
    arguments: Arguments | None = None
    templates: list[Template] | None = None
    on_exit: str | None = None
    hooks: dict[str, LifecycleHook] | None = None
    parallelism: int | None = None
    active_deadline_seconds: int | None = None
    affinity: Loose | None = None
    archive_logs: bool | None = None
    artifact_gc: WorkflowLevelArtifactGC | None = None
    artifact_repository_ref: ArtifactRepositoryRef | None = None
    automount_service_account_token: bool | None = None
    dns_config: Loose | None = None
    dns_policy: str | None = None
    executor: ExecutorConfig | None = None
    executor_plugins: list[ExecutorPlugin] | None = None
    host_aliases: list[Loose] | None = None
    host_network: bool | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    metrics: Metrics | None = None
    node_selector: dict[str, str] | None = None
    pod_disruption_budget: Loose | None = None
    pod_gc: PodGC | None = None
    pod_metadata: Metadata | None = None
    pod_priority_class_name: str | None = None
    pod_resources: Loose | None = None
    pod_spec_patch: str | None = None
    priority: int | None = None
    resource_claims: list[Loose] | None = None
    retry_strategy: RetryStrategy | None = None
    scheduler_name: str | None = None
    security_context: Loose | None = None
    service_account_name: str | None = None
    shutdown: str | None = None
    suspend: bool | None = None
    synchronization: Synchronization | None = None
    template_defaults: Template | None = None
    tolerations: list[Loose] | None = None
    ttl_strategy: TTLStrategy | None = None
    volume_claim_gc: VolumeClaimGC | None = None
    volume_claim_templates: list[Loose] | None = None
    volumes: list[Volume] | None = None
    workflow_metadata: WorkflowMetadata | None = None
    workflow_template_ref: WorkflowTemplateRef | None = None


class WorkflowStatus(Spec):
    """Status of a workflow."""

    phase: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    progress: str | None = None
    nodes: dict[str, NodeStatus] | None = None
    artifact_gc_status: ArtGCStatus | None = None
    artifact_repository_ref: ArtifactRepositoryRefStatus | None = None
    compressed_nodes: str | None = None
    conditions: list[Condition] | None = None
    estimated_duration: int | None = None
    offload_node_status_version: str | None = None
    outputs: Outputs | None = None
    persistent_volume_claims: list[Volume] | None = None
    resources_duration: dict[str, int] | None = None
    stored_templates: dict[str, Template] | None = None
    stored_workflow_template_spec: WorkflowSpec | None = None
    synchronization: SynchronizationStatus | None = None
    task_results_completion_status: dict[str, bool] | None = None


class Workflow(Spec):
    """One run: definition and status."""

    api_version: str | None = "argoproj.io/v1alpha1"
    kind: str | None = "Workflow"
    metadata: ObjectMeta | None = None
    spec: WorkflowSpec | None = None
    status: WorkflowStatus | None = None
