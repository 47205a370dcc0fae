"""Removes ended workflows that the rules of retention keep no longer, the oldest first.

Runs of pipelines are not Argo's workflows, and stay: artifacts and models refer to them.

Semantics: argo-workflows 4.1, workflow/gccontroller/heap.go (retentionPolicy), persist/sqldb (archiveTTL).
"""

from __future__ import annotations

import logging

from tiphys.controller.cleaning import Cleaner
from tiphys.errors import NotFoundError
from tiphys.ports.clock import Clock
from tiphys.services.backend import LocalBackend
from tiphys.services.retention import beyond, outlived, retention

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
