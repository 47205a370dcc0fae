"""Status of workflows and nodes, as Argo's API shows it."""

from __future__ import annotations

from tiphys.spec.artifact_repository import ArtifactRepository
from tiphys.spec.base import Spec
from tiphys.spec.template import Inputs, Outputs, TemplateRef


class NodeFlag(Spec):
    """Marks of a node."""

    hooked: bool | None = None
    retried: bool | None = None


class MemoizationStatus(Spec):
    """Whether memoized outputs were used."""

    cache_name: str | None = None
    hit: bool | None = None
    key: str | None = None


class NodeSynchronizationStatus(Spec):
    """The lock a node waits for."""

    waiting: str | None = None


class NodeStatus(Spec):
    """Status of a node."""

    id: str | None = None
    name: str | None = None
    display_name: str | None = None
    type: str | None = None
    phase: str | None = None
    template_name: str | None = None
    template_ref: TemplateRef | None = None
    template_scope: str | None = None
    boundary_id: str | None = None
    message: str | None = None
    children: list[str] | None = None
    daemoned: bool | None = None
    estimated_duration: int | None = None
    failed_pod_restarts: int | None = None
    finished_at: str | None = None
    host_node_name: str | None = None
    inputs: Inputs | None = None
    memoization_status: MemoizationStatus | None = None
    node_flag: NodeFlag | None = None
    outbound_nodes: list[str] | None = None
    outputs: Outputs | None = None
    pod_ip: str | None = None
    progress: str | None = None
    resources_duration: dict[str, int] | None = None
    restarting_pod_uid: str | None = None
    started_at: str | None = None
    synchronization_status: NodeSynchronizationStatus | None = None
    task_result_synced: bool | None = None


class Condition(Spec):
    """A remark about an object."""

    message: str | None = None
    status: str | None = None
    type: str | None = None


class MutexHolding(Spec):
    """Holders of a mutex."""

    holder: str | None = None
    mutex: str | None = None


class MutexStatus(Spec):
    """Mutexes of a workflow."""

    holding: list[MutexHolding] | None = None
    waiting: list[MutexHolding] | None = None


class SemaphoreHolding(Spec):
    """Holders of a semaphore."""

    holders: list[str] | None = None
    semaphore: str | None = None


class SemaphoreStatus(Spec):
    """Semaphores of a workflow."""

    holding: list[SemaphoreHolding] | None = None
    waiting: list[SemaphoreHolding] | None = None


class SynchronizationStatus(Spec):
    """Locks of a workflow."""

    mutex: MutexStatus | None = None
    semaphore: SemaphoreStatus | None = None


class ArtGCStatus(Spec):
    """State of the deletion of artifacts."""

    not_specified: bool | None = None
    pods_recouped: dict[str, bool] | None = None
    strategies_processed: dict[str, bool] | None = None


class ArtifactRepositoryRefStatus(Spec):
    """The artifact repository in use."""

    artifact_repository: ArtifactRepository | None = None
    config_map: str | None = None
    default: bool | None = None
    key: str | None = None
    namespace: str | None = None
