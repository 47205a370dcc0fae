"""Lists of workflows in Argo's API: the query that a filter makes, and what of an answer's items a list shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tiphys.ports.workflows import Manifest, WorkflowFilter
from tiphys.records.base import DEFAULT_WORKSPACE
from tiphys.records.workflows import RUNNER_ANNOTATION, WorkflowSummary

_LABELS = "workflows.argoproj.io/"
#: Labels that tell how a workflow stands.
_OF_STATUS = (f"{_LABELS}phase", f"{_LABELS}completed")
_SHOWN = (
    "metadata",
    "spec.priority",
    "spec.suspend",
    "spec.shutdown",
    "status.phase",
    "status.message",
    "status.startedAt",
    "status.finishedAt",
    "status.storedWorkflowTemplateSpec.priority",
)
#: What is asked for of the items of a list, and of the object of an event.
OF_LISTS = ",".join(("metadata", *(f"items.{path}" for path in _SHOWN)))
OF_EVENTS = ",".join(("result.type", *(f"result.object.{path}" for path in _SHOWN)))


def list_query(wanted: WorkflowFilter, *, limit: int = 0, after: str = "") -> dict[str, str]:
    """The query of a list, or of events, of the workflows that a filter means."""
    how, name = _name_filter(wanted)
    fields = [wanted.fields, f"metadata.name={name}" if name else ""]
    if len(wanted.names) > 1:
        fields.append(f"metadata.name in ({','.join(wanted.names)})")
    labels = [wanted.labels]
    if wanted.phases:
        labels.append(f"{_LABELS}phase in ({','.join(wanted.phases)})")
    if wanted.completed is not None:
        labels.append(f"{_LABELS}completed{'=' if wanted.completed else '!='}true")
    if wanted.resubmitted:
        labels.append(f"{_LABELS}resubmitted-from-workflow")
    query = {
        "listOptions.labelSelector": ",".join(filter(None, labels)),
        "listOptions.fieldSelector": ",".join(filter(None, fields)),
        "nameFilter": how,
        "createdAfter": _moment(wanted.created_after),
        "finishedBefore": _moment(wanted.finished_before),
        "listOptions.limit": str(limit) if limit else "",
        "listOptions.continue": after,
    }
    return {key: value for key, value in query.items() if value}


def is_meant(name: str, wanted: WorkflowFilter) -> bool:
    """Whether a name is as the filter wants it: of several conditions, a query tells only one."""
    return name.startswith(wanted.prefix) and wanted.contains in name


def summary_of(manifest: Manifest) -> WorkflowSummary:
    """What lists show of a workflow."""
    metadata, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
    stored = status.get("storedWorkflowTemplateSpec") or {}
    created = read_moment(metadata.get("creationTimestamp"))
    return WorkflowSummary(
        id=metadata.get("uid") or "",
        name=metadata["name"],
        workspace=metadata.get("namespace") or DEFAULT_WORKSPACE,
        labels={key: value for key, value in (metadata.get("labels") or {}).items() if key not in _OF_STATUS},
        priority=spec.get("priority") or stored.get("priority") or 0,
        phase=status.get("phase") or "Pending",
        message=status.get("message") or "",
        shutdown=spec.get("shutdown") or "",
        suspended=bool(spec.get("suspend")),
        runner=(metadata.get("annotations") or {}).get(RUNNER_ANNOTATION) or "",
        created_at=created or datetime.fromtimestamp(0, UTC),
        started_at=read_moment(status.get("startedAt")),
        finished_at=finished_at(manifest),
    )


def finished_at(manifest: Mapping[str, Any]) -> datetime | None:
    """When a workflow ended; None if it has not."""
    return read_moment((manifest.get("status") or {}).get("finishedAt"))


def read_moment(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text) if text else None


def _name_filter(wanted: WorkflowFilter) -> tuple[str, str]:
    """How a name is meant, and the name; the query has one place for it, which the filter's own selector may need."""
    if len(wanted.names) == 1:
        return "", wanted.names[0]
    if wanted.names or "metadata.name" in wanted.fields:
        return "", ""
    return (
        ("Prefix", wanted.prefix) if wanted.prefix else ("Contains", wanted.contains) if wanted.contains else ("", "")
    )


def _moment(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
