"""Workflows that nobody carries out any more: told of at themselves, and at those who wait for their locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tiphys.ports.store import Reader
from tiphys.ports.workflows import Manifest
from tiphys.records.base import Query, Where
from tiphys.records.runs import Run
from tiphys.records.synchronization import LockClaim
from tiphys.records.workflows import WorkflowSummary

_MESSAGE = "The process that carried it out died. Take it up again: tiphys argo controller"
#: Tells whether the process that `WorkflowSummary.owner` names still runs.
IsAlive = Callable[[str], bool]


def abandoned(reader: Reader, rows: Iterable[WorkflowSummary], is_alive: IsAlive) -> list[WorkflowSummary]:
    """Those that have not ended and that nobody carries out, but for pipelines: their next call takes them up."""
    dead = {row.id: row for row in rows if row.finished_at is None and not is_alive(row.owner)}
    runs = reader.find(Query.of(Run, workflow_uid=list(dead), pipeline_id=None)) if dead else []
    return [dead[run.workflow_uid] for run in runs]


def with_messages(reader: Reader, rows: list[WorkflowSummary], is_alive: IsAlive) -> list[WorkflowSummary]:
    """The same, those that are abandoned with a message that says so."""
    found = {row.id for row in abandoned(reader, rows, is_alive)}
    return [replace(row, message=_MESSAGE) if row.id in found else row for row in rows]


def tell(reader: Reader, row: WorkflowSummary, manifest: Manifest, is_alive: IsAlive) -> None:
    """Say in a workflow's status, which is changed, that it is abandoned, and which locks it awaits others are."""
    if row.finished_at is not None:
        return
    status = manifest["status"]
    if abandoned(reader, [row], is_alive):
        status["message"] = _MESSAGE
    waiting = reader.find(Query.of(LockClaim, workflow_uid=row.id, granted=False))
    if not waiting:
        return
    keys = list({claim.key for claim in waiting})
    held = reader.find(Query(LockClaim, (Where("key", keys, "in"), Where("granted", True))))
    holders = reader.find(Query.of(WorkflowSummary, id=list({claim.workflow_uid for claim in held})))
    dead = {holder.id: holder.name for holder in abandoned(reader, holders, is_alive)}
    names = {claim.key: dead[claim.workflow_uid] for claim in held if claim.workflow_uid in dead}
    nodes: dict[str, dict[str, Any]] = status.get("nodes") or {}
    for claim in waiting:
        if claim.key in names:
            place: Any = nodes.get(claim.holder, status)
            said = f"{names[claim.key]} holds it, and its process died. Take it up again: tiphys argo controller"
            place["message"] = f"{place['message']}. {said}" if place.get("message") else said
