"""The queue of workflows, in the database: who is admitted is decided in one transaction at a time.

Where no limit is set nobody waits, and a submission asks for the limits and no more. A workflow runs, as far as limits
are concerned, while it has an owner; one that was given back in the middle keeps its place. Pipelines that are carried
out by the program that calls them count, and do not wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from tiphys._util.ids import new_id
from tiphys.controller.turns import Turn, next_turns
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query, Where
from tiphys.records.queue import PREFIX, QueuedWorkflow
from tiphys.records.runs import Run
from tiphys.records.synchronization import LockLimit
from tiphys.records.workflows import WorkflowRow, WorkflowSummary

#: What transactions that admit workflows wait for.
_NAME = "tiphys queue"


def limits_of(reader: Reader) -> dict[str, int]:
    """All limits of the queue, by key."""
    found = reader.find(Query(LockLimit, (Where("key", PREFIX, "prefix"),), order="key"))
    return {limit.key: limit.limit_count for limit in found}


def admit(transaction: Transaction, row: WorkflowRow, pipeline: str | None, *, owner: str) -> WorkflowRow:
    """A workflow that is to be stored: with its owner if it is its turn, else without, and in the queue.

    Args:
        transaction: The one that stores it.
        row: The workflow.
        pipeline: Name of the pipeline that it is a run of.
        owner: Who is going to carry it out if it need not wait; empty for one that has yet to come.
    """
    limits = limits_of(transaction)
    if not limits:
        return replace(row, owner=owner)
    transaction.serialize(_NAME)
    queued = QueuedWorkflow(
        id=new_id(),
        workflow_uid=row.id,
        workspace=row.workspace,
        pipeline=pipeline,
        labels=row.labels,
        priority=row.priority,
        created_at=row.created_at,
    )
    others = transaction.find(Query.of(QueuedWorkflow, order="id"))
    chosen, reasons = next_turns(
        [_turn_of(each) for each in (*others, queued) if not each.admitted],
        _running(transaction, limits, others),
        limits,
    )
    if owner and row.id in chosen:
        return replace(row, owner=owner)
    transaction.add(replace(queued, message=reasons.get(row.id, "Waiting in the queue: its turn has come.")))
    return replace(row, owner="")


def claim(
    transaction: Transaction, owner: str, *, only: Collection[str] | None = None, of: int = 1
) -> list[QueuedWorkflow]:
    """Take workflows of the queue whose turn it is; returns them, in order.

    Args:
        transaction: It has done nothing yet.
        owner: Who is going to carry them out.
        only: The uids of those that it would take; None for all. Those before them do not keep them from their turn.
        of: How many processes take workflows: this one takes its share.
    """
    transaction.serialize(_NAME)
    queue = transaction.find(Query.of(QueuedWorkflow, order="id"))
    wanted = [each for each in queue if only is None or each.workflow_uid in only]
    if not wanted:
        return []
    limits = limits_of(transaction)
    turns = [_turn_of(each) for each in wanted if not each.admitted]
    chosen, reasons = next_turns(turns, _running(transaction, limits, queue), limits)
    by_uid = {each.workflow_uid: each for each in wanted}
    ready = [each for each in wanted if each.admitted] + [by_uid[uid] for uid in chosen]
    taken = [each for each in ready[: -(-len(ready) // of)] if transaction.claim(each.workflow_uid, owner, expected="")]
    # What ended meanwhile, or was claimed by other means, is in the queue no longer.
    gone = [] if len(taken) == len(ready) else _ended(transaction, ready)
    transaction.delete(QueuedWorkflow, [each.id for each in (*taken, *gone)])
    for uid, reason in reasons.items():
        if by_uid[uid].message != reason:
            transaction.update(QueuedWorkflow, by_uid[uid].id, message=reason)
    return taken


def is_waiting(reader: Reader, uid: str) -> bool:
    """Whether a workflow's turn has not come yet."""
    return bool(reader.count(Query.of(QueuedWorkflow, workflow_uid=uid, admitted=False)))


def take(transaction: Transaction, uid: str, owner: str, *, expected: str) -> bool:
    """Take over a workflow whether or not it is its turn; False if someone else was quicker."""
    taken = transaction.claim(uid, owner, expected=expected)
    if taken and not expected:
        transaction.delete_found(Query.of(QueuedWorkflow, workflow_uid=uid))
    return taken


def give_back(transaction: Transaction, owner: str, uids: Iterable[str]) -> None:
    """Let others carry on with workflows that this process has begun."""
    rows = transaction.get_many(WorkflowSummary, uids)
    pipelines = _pipelines_of(transaction, rows)
    for uid in sorted(rows):
        row = rows[uid]
        if transaction.claim(uid, "", expected=owner):
            place = QueuedWorkflow(
                id=new_id(),
                workflow_uid=uid,
                workspace=row.workspace,
                pipeline=pipelines.get(uid),
                labels=row.labels,
                priority=row.priority,
                admitted=True,
                created_at=row.created_at,
            )
            transaction.put(place, "workflow_uid")


def _ended(reader: Reader, queued: Iterable[QueuedWorkflow]) -> list[QueuedWorkflow]:
    queued = list(queued)
    rows = reader.get_many(WorkflowSummary, [each.workflow_uid for each in queued])
    return [
        each
        for each in queued
        if (row := rows.get(each.workflow_uid)) is None or row.owner or row.finished_at is not None
    ]


def _running(reader: Reader, limits: dict[str, int], queue: Iterable[QueuedWorkflow]) -> list[Turn]:
    """What counts against the limits: what somebody carries out, and what was given back."""
    if not limits:
        return []
    rows = reader.find(Query(WorkflowSummary, (Where("owner", "", "gt"),), order="id"))
    pipelines: dict[str, str | None] = {}
    if any(key.startswith(f"{PREFIX}pipeline/") for key in limits):
        pipelines = _pipelines_of(reader, [row.id for row in rows])
    return [
        *(
            Turn(
                uid=row.id,
                workspace=row.workspace,
                pipeline=pipelines.get(row.id),
                labels=row.labels,
                created_at=row.created_at,
            )
            for row in rows
        ),
        *(_turn_of(each) for each in queue if each.admitted),
    ]


def _pipelines_of(reader: Reader, uids: Iterable[str]) -> dict[str, str | None]:
    """Of workflows that are runs of pipelines: the pipelines' names."""
    return {run.workflow_uid: run.pipeline_name for run in reader.find(Query.of(Run, workflow_uid=list(uids)))}


def _turn_of(queued: QueuedWorkflow) -> Turn:
    return Turn(
        uid=queued.workflow_uid,
        workspace=queued.workspace,
        pipeline=queued.pipeline,
        labels=queued.labels,
        priority=queued.priority,
        created_at=queued.created_at,
    )
