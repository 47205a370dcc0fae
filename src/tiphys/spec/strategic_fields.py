"""Which lists of Argo's and Kubernetes' objects a strategic merge joins by a key; all other lists are replaced.

Facts: the tags `patchStrategy` and `patchMergeKey` in argo-workflows v4.1, pkg/apis/workflow/v1alpha1, and in
k8s.io/api v0.35, core/v1, apps/v1, batch/v1, policy/v1, autoscaling/v2 and admissionregistration/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """How one field of an object is merged."""

    #: Of the object, or of each object of the list; empty where nothing below is special.
    type: str = ""
    #: The field that tells the objects of a list apart; None for lists that are not lists of objects.
    key: str | None = None
    #: Of a list: its elements are joined. Else the list of the patch takes the place of the other one.
    joined: bool = False
    #: Of an object: the one of the patch takes the place of the other one.
    replaced: bool = False


Fields = Mapping[str, Mapping[str, Field]]


def _object(type: str) -> Field:
    return Field(type=type)


def _list(key: str, type: str = "") -> Field:
    return Field(type=type, key=key, joined=True)


_SET = Field(joined=True)
_META = {"metadata": _object("ObjectMeta")}
_CONDITIONS = {"conditions": _list("type")}
_VALUES = {"parameters": _list("name"), "artifacts": _list("name")}
_WITH_POD_TEMPLATE = {**_META, "spec": _object("PodOwnerSpec"), "status": _object("Conditions")}
_WITH_CONDITIONS = {**_META, "status": _object("Conditions")}
_WITH_HOOKS = {**_META, "webhooks": _list("name", "Webhook")}
_POLICY = {**_META, "spec": _object("AdmissionPolicySpec")}

#: Type → field → how it is merged. A kind is a type of the same name.
FIELDS: Fields = {
    # Argo
    "WorkflowSpec": {
        "arguments": _object("Values"),
        "hostAliases": _list("ip"),
        "imagePullSecrets": _list("name"),
        "templateDefaults": _object("Template"),
        "templates": _list("name", "Template"),
        "tolerations": _list("key"),
        "volumes": _list("name"),
    },
    "Template": {
        "container": _object("Container"),
        "dag": _object("DAG"),
        "hostAliases": _list("ip"),
        "initContainers": _list("name", "Container"),
        "inputs": _object("Values"),
        "outputs": _object("Values"),
        "script": _object("Container"),
        "sidecars": _list("name", "Container"),
        "tolerations": _list("key"),
        "volumes": _list("name"),
    },
    "DAG": {"tasks": _list("name", "DAGTask")},
    "DAGTask": {"arguments": _object("Values"), "inline": _object("Template")},
    "Values": _VALUES,
    # Kubernetes
    "ObjectMeta": {"finalizers": _SET, "ownerReferences": _list("uid")},
    "Conditions": _CONDITIONS,
    "Container": {
        "env": _list("name"),
        "ports": _list("containerPort"),
        "volumeDevices": _list("devicePath"),
        "volumeMounts": _list("mountPath"),
    },
    "PodSpec": {
        "containers": _list("name", "Container"),
        "ephemeralContainers": _list("name", "Container"),
        "hostAliases": _list("ip"),
        "imagePullSecrets": _list("name"),
        "initContainers": _list("name", "Container"),
        "resourceClaims": _list("name"),
        "schedulingGates": _list("name"),
        "topologySpreadConstraints": _list("topologyKey"),
        "volumes": _list("name"),
    },
    "PodStatus": {
        **_CONDITIONS,
        "hostIPs": _list("ip"),
        "podIPs": _list("ip"),
        "resourceClaimStatuses": _list("name"),
    },
    "PodTemplateSpec": {**_META, "spec": _object("PodSpec")},
    "PodOwnerSpec": {"template": _object("PodTemplateSpec")},
    "JobTemplateSpec": {**_META, "spec": _object("PodOwnerSpec")},
    "CronJobSpec": {"jobTemplate": _object("JobTemplateSpec")},
    "ServiceSpec": {"ports": _list("port")},
    "NodeSpec": {"podCIDRs": _SET},
    "NodeStatus": {**_CONDITIONS, "addresses": _list("type")},
    "PodDisruptionBudgetSpec": {"selector": Field(replaced=True)},
    "Webhook": {"matchConditions": _list("name")},
    "AdmissionPolicySpec": {"matchConditions": _list("name"), "variables": _list("name")},
    "CronJob": {**_META, "spec": _object("CronJobSpec")},
    "DaemonSet": _WITH_POD_TEMPLATE,
    "Deployment": _WITH_POD_TEMPLATE,
    "HorizontalPodAutoscaler": _WITH_CONDITIONS,
    "Job": _WITH_POD_TEMPLATE,
    "MutatingWebhookConfiguration": _WITH_HOOKS,
    "Namespace": _WITH_CONDITIONS,
    "Node": {**_META, "spec": _object("NodeSpec"), "status": _object("NodeStatus")},
    "PersistentVolumeClaim": _WITH_CONDITIONS,
    "Pod": {**_META, "spec": _object("PodSpec"), "status": _object("PodStatus")},
    "PodDisruptionBudget": {**_WITH_CONDITIONS, "spec": _object("PodDisruptionBudgetSpec")},
    "PodTemplate": {**_META, "template": _object("PodTemplateSpec")},
    "ReplicaSet": _WITH_POD_TEMPLATE,
    "ReplicationController": _WITH_POD_TEMPLATE,
    "Service": {**_WITH_CONDITIONS, "spec": _object("ServiceSpec")},
    "ServiceAccount": {**_META, "secrets": _list("name")},
    "ServiceCIDR": _WITH_CONDITIONS,
    "StatefulSet": _WITH_POD_TEMPLATE,
    "ValidatingAdmissionPolicy": _POLICY,
    "MutatingAdmissionPolicy": _POLICY,
    "ValidatingWebhookConfiguration": _WITH_HOOKS,
}


def fields_of_kind(kind: str) -> str:
    """The type that an object of this kind has: its own, or the one of objects with nothing but metadata."""
    return kind if kind in FIELDS and "metadata" in FIELDS[kind] else "PlainObject"
