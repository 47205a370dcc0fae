"""Argo's API over archived workflows: all that have ended, also those that nothing else shows any more."""

from __future__ import annotations

from typing import Any

from tiphys.errors import UsageError
from tiphys.ports.workflows import Manifest, WorkflowFilter
from tiphys.records.workflows import WorkflowSummary
from tiphys.server.argo.workflows import page
from tiphys.server.call import Call


def find(call: Call) -> dict[str, Any]:
    """GET /archived-workflows."""
    return page(call, call.query.text("namespace"), archive=True)


def get(call: Call) -> Manifest:
    """GET /archived-workflows/{uid}."""
    return call.workflows.get("", uid=call.path["uid"], archive=True)


def delete(call: Call) -> dict[str, Any]:
    """DELETE /archived-workflows/{uid}."""
    call.workflows.delete("", uid=call.path["uid"], archive=True)
    return {}


def label_keys(call: Call) -> dict[str, Any]:
    """GET /archived-workflows-label-keys."""
    return {"items": sorted({key for row in _rows(call) for key in row.labels})}


def label_values(call: Call) -> dict[str, Any]:
    """GET /archived-workflows-label-values: of the one label that the selector names."""
    label = call.query.text("listOptions.labelSelector")
    if not label:
        raise UsageError("listOptions.labelSelector must name a label.")
    return {"items": sorted({row.labels[label] for row in _rows(call) if label in row.labels})}


def _rows(call: Call) -> list[WorkflowSummary]:
    namespace, visible = call.query.text("namespace"), call.visible
    call.expect_allowed(namespace)
    service = call.backend.workflows
    among = None if visible is None else tuple(sorted(visible))
    wanted = WorkflowFilter(archive=True, all_namespaces=not namespace, among=among)
    return (service.in_namespace(namespace) if namespace else service).find(wanted).items
