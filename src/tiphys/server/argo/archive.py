"""Argo's API over archived workflows: all that have ended, also those that nothing else shows any more."""

from __future__ import annotations

from typing import Any

from tiphys.errors import UsageError
from tiphys.ports.workflows import Manifest
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
    return {"items": _labels(call)}


def label_values(call: Call) -> dict[str, Any]:
    """GET /archived-workflows-label-values: of the one label that the selector names."""
    label = call.query.text("listOptions.labelSelector")
    if not label:
        raise UsageError("listOptions.labelSelector must name a label.")
    return {"items": _labels(call, label)}


def _labels(call: Call, key: str | None = None) -> list[str]:
    namespace, visible = call.query.text("namespace"), call.visible
    call.expect_allowed(namespace)
    among = [namespace] if namespace or visible is None else sorted(visible)
    service = call.backend.workflows
    return sorted({found for one in among for found in service.in_namespace(one).archived_labels(key)})
