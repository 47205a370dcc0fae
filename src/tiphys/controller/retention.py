"""Removes ended workflows that the rules of retention keep no longer, the oldest first.

Runs of pipelines are not Argo's workflows, and stay: artifacts and models refer to them.

Semantics: argo-workflows 4.1, workflow/gccontroller/heap.go (retentionPolicy), persist/sqldb (archiveTTL).
"""

from __future__ import annotations

import logging
from datetime import timedelta

from tiphys._util.times import from_epoch
from tiphys.controller.cleaning import Cleaner
from tiphys.engine.model import Phase
from tiphys.errors import NotFoundError
from tiphys.ports.clock import Clock
from tiphys.ports.store import Reader
from tiphys.records.base import Query, Where
from tiphys.records.retention import Retention
from tiphys.records.workflows import POD_RUNNERS, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.retention import retention

_log = logging.getLogger("tiphys.controller")

#: So many workflows are removed in one round.
_BATCH = 200


def remove_what_is_not_kept(backend: LocalBackend, cleaner: Cleaner, clock: Clock) -> None:
    """Delete what the list keeps no longer, and then what the archive does not."""
    with backend.store.reader() as reader:
        rules = retention(reader)
        surplus = beyond(reader, rules, limit=_BATCH)
        expired = outlived(reader, rules, clock.now(), limit=_BATCH)
    for row in surplus:
        cleaner.delete(row)
    for row in expired:
        try:
            backend.workflows.in_namespace(row.workspace).delete(row.name, uid=row.id, archive=True)
        except NotFoundError:
            continue
        _log.info("workflow %s/%s: deleted from the archive", row.workspace, row.name)


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
            Where("runner", list(POD_RUNNERS), "in"),
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
