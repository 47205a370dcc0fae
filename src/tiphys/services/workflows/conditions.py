"""Conditions that are written into a stored manifest: what has no effect here, and metrics that cannot be evaluated."""

from __future__ import annotations

import json

from tiphys.engine.status.conditions import METRICS_ERROR, SPEC_WARNING, with_condition
from tiphys.engine.status.ignored import ignored_fields
from tiphys.ports.store import Transaction
from tiphys.ports.workflows import Manifest
from tiphys.records.workflows import WorkflowRow


def warn_of_ignored(workflow: Manifest, runner: str) -> None:
    """Name in the workflow's status, which is changed, all fields that have no effect on this machine."""
    status = workflow.get("status") or {}
    spec = status.get("storedWorkflowTemplateSpec") or workflow.get("spec") or {}
    fields = ignored_fields(spec, status.get("storedTemplates"), runner=runner)
    message = f"without effect on this machine (runner {runner}): {', '.join(fields)}" if fields else ""
    found = with_condition(status.get("conditions"), SPEC_WARNING, message)
    if found or status.get("conditions"):
        workflow["status"] = {**status, "conditions": found}


def note_metrics_errors(transaction: Transaction, uid: str, messages: list[str]) -> None:
    """Say in the stored workflow's status which metrics could not be evaluated."""
    row = transaction.get(WorkflowRow, uid)
    if row is None:
        return
    manifest = json.loads(row.manifest)
    status = manifest.setdefault("status", {})
    status["conditions"] = with_condition(status.get("conditions"), METRICS_ERROR, ", ".join(messages))
    transaction.update(WorkflowRow, uid, manifest=json.dumps(manifest, separators=(",", ":"), ensure_ascii=False))
