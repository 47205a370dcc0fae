"""Workflows that nobody carries out any more: told of at themselves, and at those who wait for their locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tiphys.ports.store import Reader
from tiphys.ports.workflows import Manifest
from tiphys.records.base import Query, Where
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import Run
from tiphys.records.synchronization import LockClaim
from tiphys.records.workflows import WorkflowSummary

_MESSAGE = "The process that carried it out died. Take it up again: tiphys argo controller"
#: Tells whether the process that `WorkflowSummary.owner` names still runs.
IsAlive = Callable[[str], bool]


def abandoned(reader: Reader, rows: Iterable[WorkflowSummary], is_alive: IsAlive) -> list[WorkflowSummary]:
    """Those that have not ended and that nobody carries out.

    But for those that wait in the queue, and for pipelines, as their next call takes them up. One that was sent to a
    server with its code has no such call.
    """
    dead = {row.id: row for row in rows if row.finished_at is None and not is_alive(row.owner)}
    for uid in waiting(reader, dead.values()):
        del dead[uid]
    runs = reader.find(Query.of(Run, workflow_uid=list(dead))) if dead else []
    return [dead[run.workflow_uid] for run in runs if run.pipeline_id is None or "code_tree" in run.config]


def waiting(reader: Reader, rows: Iterable[WorkflowSummary]) -> dict[str, str]:
    """Those of some workflows that wait in the queue, by uid, and what for, in words."""
    unowned = [row.id for row in rows if row.finished_at is None and not row.owner]
    found = reader.find(Query.of(QueuedWorkflow, workflow_uid=unowned, admitted=False)) if unowned else []
    return {queued.workflow_uid: queued.message for queued in found}


def with_messages(reader: Reader, rows: list[WorkflowSummary], is_alive: IsAlive) -> list[WorkflowSummary]:
    """The same, those that are abandoned or wait in the queue with a message that says so."""
    found = waiting(reader, rows) | {row.id: _MESSAGE for row in abandoned(reader, rows, is_alive)}
    return [replace(row, message=found[row.id]) if row.id in found else row for row in rows]


def tell(reader: Reader, row: WorkflowSummary, manifest: Manifest, is_alive: IsAlive) -> None:
    """Say in a workflow's status, which is changed, that it is abandoned or what it waits for in the queue.

    And which locks that it awaits others hold that are abandoned.
    """
    if row.finished_at is not None:
        return
    status = manifest["status"]
    (told,) = with_messages(reader, [row], is_alive)
    if told.message != row.message:
        status["message"] = told.message
    claims = reader.find(Query.of(LockClaim, workflow_uid=row.id, granted=False))
    if not claims:
        return
    keys = list({claim.key for claim in claims})
    held = reader.find(Query(LockClaim, (Where("key", keys, "in"), Where("granted", True))))
    holders = reader.find(Query.of(WorkflowSummary, id=list({claim.workflow_uid for claim in held})))
    dead = {holder.id: holder.name for holder in abandoned(reader, holders, is_alive)}
    names = {claim.key: dead[claim.workflow_uid] for claim in held if claim.workflow_uid in dead}
    nodes: dict[str, dict[str, Any]] = status.get("nodes") or {}
    for claim in claims:
        if claim.key in names:
            place: Any = nodes.get(claim.holder, status)
            said = f"{names[claim.key]} holds it, and its process died. Take it up again: tiphys argo controller"
            place["message"] = f"{place['message']}. {said}" if place.get("message") else said
