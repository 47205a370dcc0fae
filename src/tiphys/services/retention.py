"""The rules by which ended workflows are kept, as they stand in the database, and what they do not keep."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch
from tiphys.engine.model import Phase
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import Query, Where
from tiphys.records.retention import PREFIX, Retention
from tiphys.records.synchronization import LockLimit
from tiphys.records.workflows import WorkflowSummary


def retention(reader: Reader) -> Retention:
    """The rules that hold."""
    found = reader.find(Query(LockLimit, (Where("key", PREFIX, "prefix"),)))
    return Retention(**{rule.key.removeprefix(PREFIX): rule.limit_count for rule in found})


def set_retention(transaction: Transaction, rules: Retention) -> None:
    """Have these rules hold, and no others."""
    transaction.delete_found(Query(LockLimit, (Where("key", PREFIX, "prefix"),)))
    for name, value in asdict(rules).items():
        if value is not None:
            transaction.add(LockLimit(id=new_id(), key=f"{PREFIX}{name}", limit_count=value))


def beyond(reader: Reader, rules: Retention, *, limit: int | None = None) -> list[WorkflowSummary]:
    """Workflows that are more than the list keeps, the oldest first."""
    kept = ((Phase.SUCCEEDED, rules.completed), (Phase.FAILED, rules.failed), (Phase.ERROR, rules.errored))
    found: list[WorkflowSummary] = []
    for phase, most in kept:
        if most is None:
            continue
        where = (
            Where("phase", phase.value),
            Where("archived", value=False),
            Where("finished_at", None, "ne"),
            Where("pipeline", None),
        )
        surplus = reader.count(Query(WorkflowSummary, where)) - most
        if surplus > 0:
            many = surplus if limit is None else min(surplus, limit)
            found += reader.find(Query(WorkflowSummary, where, order="finished_at", limit=many))
    return found


def outlived(reader: Reader, rules: Retention, now: float, *, limit: int | None = None) -> list[WorkflowSummary]:
    """Workflows that the archive alone has, and has had for long enough.

    Args:
        reader: Of the database.
        rules: What is kept.
        now: Epoch seconds.
        limit: At most so many.
    """
    if not rules.archive:
        return []
    before = Where("finished_at", from_epoch(now) - timedelta(seconds=rules.archive), "lt")
    where = (Where("archived", value=True), before)
    return reader.find(Query(WorkflowSummary, where, order="finished_at", limit=limit))
