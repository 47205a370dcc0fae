"""Templates: what can be run, with which inputs, outputs and policies."""

from __future__ import annotations

from typing import Any

from tiphys.spec.artifacts import Artifact, ArtifactLocation, ArtifactPaths, Metadata
from tiphys.spec.base import AnyString, IntOrString, Loose, Spec
from tiphys.spec.kubernetes import (
    ConfigMapKeySelector,
    Container,
    LocalObjectReference,
    SecretKeySelector,
    Volume,
    VolumeMount,
)


class SuppliedValueFrom(Spec):
    """The value is supplied when the node is resumed."""


class ValueFrom(Spec):
    """Where a parameter's value comes from; exactly one source."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    default: AnyString | None = None
    event: str | None = None
    expression: str | None = None
    jq_filter: str | None = None
    json_path: str | None = None
    parameter: str | None = None
    path: str | None = None
    supplied: SuppliedValueFrom | None = None


class Parameter(Spec):
    """A named text."""

    name: str | None = None
    value: AnyString | None = None
    default: AnyString | None = None
    enum: list[AnyString] | None = None
    value_from: ValueFrom | None = None
    description: str | None = None
    global_name: str | None = None


class Arguments(Spec):
    """What a template is called with."""

    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Inputs(Spec):
    """What a template takes."""

    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Outputs(Spec):
    """What a template or node gives."""

    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None
    exit_code: str | None = None
    result: str | None = None


class TemplateRef(Spec):
    """A template of a WorkflowTemplate."""

    name: str | None = None
    cluster_scope: bool | None = None
    template: str | None = None


class ContinueOn(Spec):
    """Failures of a step that its successors do not mind."""

    error: bool | None = None
    failed: bool | None = None


class LifecycleHook(Spec):
    """A template that is run at a moment of a node or workflow."""

    template: str | None = None
    template_ref: TemplateRef | None = None
    arguments: Arguments | None = None
    expression: str | None = None


class Sequence(Spec):
    """A loop over numbers."""

    count: IntOrString | None = None
    start: IntOrString | None = None
    end: IntOrString | None = None
    format: str | None = None


class WorkflowStep(Spec):
    """A step of a steps template."""

    name: str | None = None
    template: str | None = None
    template_ref: TemplateRef | None = None
    inline: Template | None = None
    arguments: Arguments | None = None
    when: str | None = None
    with_items: list[Any] | None = None
    with_param: str | None = None
    with_sequence: Sequence | None = None
    continue_on: ContinueOn | None = None
    hooks: dict[str, LifecycleHook] | None = None
    on_exit: str | None = None


class DAGTask(Spec):
    """A task of a DAG template."""

    name: str | None = None
    template: str | None = None
    template_ref: TemplateRef | None = None
    inline: Template | None = None
    arguments: Arguments | None = None
    depends: str | None = None
    dependencies: list[str] | None = None
    when: str | None = None
    with_items: list[Any] | None = None
    with_param: str | None = None
    with_sequence: Sequence | None = None
    continue_on: ContinueOn | None = None
    hooks: dict[str, LifecycleHook] | None = None
    on_exit: str | None = None


class DAGTemplate(Spec):
    """Tasks that start as soon as what they depend on is done."""

    fail_fast: bool | None = None
    target: str | None = None
    tasks: list[DAGTask] | None = None


class SuspendTemplate(Spec):
    """Waits for a resume, or for a duration."""

    duration: str | None = None


class ScriptTemplate(Container):
    """A container whose program is given as text."""

    source: str | None = None


class ContainerNode(Container):
    """A container of a container set."""

    dependencies: list[str] | None = None


class ContainerSetRetryStrategy(Spec):
    """How often a container of a set is executed again."""

    duration: str | None = None
    retries: IntOrString | None = None


class ContainerSetTemplate(Spec):
    """Several containers of one pod, in an order."""

    containers: list[ContainerNode] | None = None
    retry_strategy: ContainerSetRetryStrategy | None = None
    volume_mounts: list[VolumeMount] | None = None


class UserContainer(Container):
    """A sidecar or init container."""

    mirror_volume_mounts: bool | None = None


class HTTPHeaderSource(Spec):
    """Where a header's value comes from."""

    secret_key_ref: SecretKeySelector | None = None


class HTTPHeader(Spec):
    """A header of an HTTP request."""

    name: str | None = None
    value: str | None = None
    value_from: HTTPHeaderSource | None = None


class HTTPBodySource(Spec):
    """The body of an HTTP request as bytes."""

    bytes: str | None = None


class HTTP(Spec):
    """An HTTP request."""

    body: str | None = None
    body_from: HTTPBodySource | None = None
    headers: list[HTTPHeader] | None = None
    insecure_skip_verify: bool | None = None
    method: str | None = None
    success_condition: str | None = None
    timeout_seconds: int | None = None
    url: str | None = None


class ManifestFrom(Spec):
    """A manifest that an artifact holds."""

    artifact: Artifact | None = None


class ResourceTemplate(Spec):
    """An operation on a Kubernetes object."""

    action: str | None = None
    failure_condition: str | None = None
    flags: list[str] | None = None
    manifest: str | None = None
    manifest_from: ManifestFrom | None = None
    merge_strategy: str | None = None
    set_owner_reference: bool | None = None
    success_condition: str | None = None


class DataSource(Spec):
    """What a data template reads."""

    artifact_paths: ArtifactPaths | None = None


class TransformationStep(Spec):
    """An expression over `data`."""

    expression: str | None = None


class Data(Spec):
    """Lists and transforms data."""

    source: DataSource | None = None
    transformation: list[TransformationStep] | None = None


class Backoff(Spec):
    """How long to wait before the next attempt."""

    duration: str | None = None
    factor: IntOrString | None = None
    cap: str | None = None
    max_duration: str | None = None


class RetryNodeAntiAffinity(Spec):
    """Not on the node that failed."""


class RetryAffinity(Spec):
    """Where the next attempt may run."""

    node_anti_affinity: RetryNodeAntiAffinity | None = None


class RetryStrategy(Spec):
    """Whether and when a failed node is tried again."""

    limit: IntOrString | None = None
    retry_policy: str | None = None
    backoff: Backoff | None = None
    affinity: RetryAffinity | None = None
    expression: str | None = None


class SyncDatabaseRef(Spec):
    """A limit that stands in a database."""

    key: str | None = None


class Mutex(Spec):
    """A lock with one holder."""

    name: str | None = None
    database: bool | None = None
    namespace: str | None = None


class SemaphoreRef(Spec):
    """A lock with several holders."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    database: SyncDatabaseRef | None = None
    namespace: str | None = None


class Synchronization(Spec):
    """Locks that a node takes."""

    mutexes: list[Mutex] | None = None
    semaphores: list[SemaphoreRef] | None = None


class Cache(Spec):
    """Where memoized outputs are kept."""

    config_map: LocalObjectReference | None = None


class Memoize(Spec):
    """Skip the node if its key's outputs are known."""

    cache: Cache | None = None
    key: str | None = None
    max_age: str | None = None


class MetricLabel(Spec):
    """A label of a metric."""

    key: str | None = None
    value: str | None = None


class Gauge(Spec):
    """A metric with a present value."""

    operation: str | None = None
    realtime: bool | None = None
    value: str | None = None


class Counter(Spec):
    """A metric that only rises."""

    value: str | None = None


class Histogram(Spec):
    """A metric of a distribution."""

    buckets: list[float] | None = None
    value: str | None = None


class Prometheus(Spec):
    """A custom metric."""

    name: str | None = None
    counter: Counter | None = None
    gauge: Gauge | None = None
    help: str | None = None
    histogram: Histogram | None = None
    labels: list[MetricLabel] | None = None
    when: str | None = None


class Metrics(Spec):
    """Custom metrics."""

    prometheus: list[Prometheus] | None = None


class ExecutorConfig(Spec):
    """Settings of the pod's executor."""

    service_account_name: str | None = None


class Template(Spec):
    """A definition that can be run; exactly one of the bodies is set."""

    name: str | None = None
    inputs: Inputs | None = None
    outputs: Outputs | None = None
    dag: DAGTemplate | None = None
    steps: list[list[WorkflowStep]] | None = None
    container: Container | None = None
    script: ScriptTemplate | None = None
    plugin: Loose | None = None
    suspend: SuspendTemplate | None = None
    container_set: ContainerSetTemplate | None = None
    http: HTTP | None = None
    resource: ResourceTemplate | None = None
    data: Data | None = None
    retry_strategy: RetryStrategy | None = None
    timeout: str | None = None
    active_deadline_seconds: IntOrString | None = None
    affinity: Loose | None = None
    annotations: dict[str, str] | None = None
    archive_location: ArtifactLocation | None = None
    automount_service_account_token: bool | None = None
    daemon: bool | None = None
    executor: ExecutorConfig | None = None
    fail_fast: bool | None = None
    host_aliases: list[Loose] | None = None
    init_containers: list[UserContainer] | None = None
    memoize: Memoize | None = None
    metadata: Metadata | None = None
    metrics: Metrics | None = None
    node_selector: dict[str, str] | None = None
    parallelism: int | None = None
    pending_timeout: str | None = None
    pod_resources: Loose | None = None
    pod_spec_patch: str | None = None
    priority_class_name: str | None = None
    resource_claims: list[Loose] | None = None
    scheduler_name: str | None = None
    security_context: Loose | None = None
    service_account_name: str | None = None
    sidecars: list[UserContainer] | None = None
    synchronization: Synchronization | None = None
    tolerations: list[Loose] | None = None
    volumes: list[Volume] | None = None
