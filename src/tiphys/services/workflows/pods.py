"""What a pod is told of its workflow, and the names by which its logs are found."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.engine.model import Node
from tiphys.ports.runner import Task
from tiphys.records.workflows import WorkflowRow
from tiphys.services.workflows.claims import claimed_volumes

#: Kubernetes' limit for names, less the hash that ends a pod's name.
_MAX_PREFIX = 242
_RESULT = re.compile(r"\bresult\b")


def pod_name(workflow: str, node_id: str, template: str) -> str:
    """A pod's name as Argo's second version makes it (workflow/util/pod_name.go): `<workflow>-<template>-<hash>`."""
    if node_id == workflow:
        return workflow
    hashed = node_id.removeprefix(f"{workflow}-")
    prefix = f"{workflow}-{template}" if template else workflow
    return f"{prefix[:_MAX_PREFIX]}-{hashed}"


def logs_folder(home: Path, uid: str) -> Path:
    """Where the logs of a workflow's containers are."""
    return home / "workflow-logs" / uid


def log_of(home: Path, uid: str, node_id: str, container: str = "main") -> Path:
    """The log of one container of one attempt."""
    suffix = "" if container == "main" else f".{container}"
    return logs_folder(home, uid) / f"{node_id}{suffix}"


class PodFacts:
    """What all pods of a workflow share; read once.

    Args:
        home: Folder under which logs are kept.
        row: The workflow.
    """

    def __init__(self, home: Path, row: WorkflowRow) -> None:
        manifest = json.loads(row.manifest)
        spec = (manifest.get("status") or {}).get("storedWorkflowTemplateSpec") or manifest.get("spec") or {}
        metadata = spec.get("podMetadata") or {}
        self._name = row.name
        self._logs = logs_folder(home, row.id)
        self._logs.mkdir(parents=True, exist_ok=True)
        self._labels = {
            "workflows.argoproj.io/workflow": row.name,
            "workflows.argoproj.io/completed": "false",
            **(metadata.get("labels") or {}),
        }
        self._annotations = metadata.get("annotations") or {}
        self._base = {
            "workflow": row.name,
            "namespace": row.workspace,
            "service_account": spec.get("serviceAccountName") or "default",
            "volumes": [*(spec.get("volumes") or []), *claimed_volumes(row.name, spec)],
            "archive_logs": bool(spec.get("archiveLogs")),
            "include_result": may_refer_to_results(row.manifest),
        }
        self._plugins = spec.get("executorPlugins") or []

    def context(self, task: Task) -> dict[str, Any]:
        """The context of one pod (its keys are those of `sdk.pods.context.PodContext`), or of a plugin's template."""
        template: Mapping[str, Any] = task.body
        metadata = template.get("metadata") or {}
        return {
            **self._base,
            "node_id": task.node_id,
            "pod_name": pod_name(self._name, task.node_id, str(template.get("name") or "")),
            "service_account": template.get("serviceAccountName") or self._base["service_account"],
            "labels": {**self._labels, **(metadata.get("labels") or {})},
            "annotations": {
                **self._annotations,
                **(metadata.get("annotations") or {}),
                "workflows.argoproj.io/node-id": task.node_id,
            },
            "log": f"{self._logs}/{task.node_id}",
            **({"executor_plugins": self._plugins} if "plugin" in template else {}),
        }


def may_refer_to_results(manifest: str) -> bool:
    """Whether a workflow may refer to `outputs.result` of a node; False only if it certainly does not.

    Standard output that is a result goes through the pod server, which costs, and stands in the status. As in Argo
    (workflow/controller/operator.go, hasOutputResultRef), but for the workflow as a whole.
    """
    return "outputs" in manifest and _RESULT.search(manifest) is not None


def pod_labels(
    workflow: str, spec: Mapping[str, Any], node: Node, templates: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Labels of a node's pod, as far as the specification tells them."""
    template = templates.get(node.template) or {}
    return {
        "workflows.argoproj.io/workflow": workflow,
        **((spec.get("podMetadata") or {}).get("labels") or {}),
        **((template.get("metadata") or {}).get("labels") or {}),
    }
