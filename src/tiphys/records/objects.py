"""Objects that workflows refer to: templates, schedules, event bindings, ConfigMaps, Secrets, volume claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Query, Record, Where

#: The namespace of objects that belong to none.
CLUSTER = ""


class ObjectKind(StrEnum):
    """Kinds of objects that are stored, as manifests name them."""

    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CLUSTER_WORKFLOW_TEMPLATE = "ClusterWorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"
    WORKFLOW_EVENT_BINDING = "WorkflowEventBinding"
    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105  # the name of a kind
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"

    @property
    def is_cluster_scoped(self) -> bool:
        """Whether its objects stand outside of all namespaces."""
        return self is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject(Record):
    """One object; its id is the object's uid. Unique by kind, namespace and name."""

    kind: ObjectKind
    namespace: str = DEFAULT_WORKSPACE
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    #: The whole object as JSON. A Secret's values are base64 text, as in Kubernetes.
    manifest: Mapping[str, Any]
    #: Raised by each change.
    resource_version: int = 1
    created_at: datetime
    updated_at: datetime


def objects_of(kind: ObjectKind, *, namespace: str | None = None, name: str | None = None) -> Query[StoredObject]:
    """Objects of a kind by name, of one namespace or of all."""
    where = [Where("kind", kind)]
    if namespace is not None:
        where.append(Where("namespace", namespace))
    if name is not None:
        where.append(Where("name", name))
    return Query(StoredObject, tuple(where), order="name")
