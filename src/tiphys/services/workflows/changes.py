"""What happens to workflows, found by looking again and comparing with what was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tiphys.engine.model import Node, WorkflowState
from tiphys.ports.store import Reader, Store, StoredWorkflow
from tiphys.ports.workflows import ChangeType, Manifest, WorkflowChange, WorkflowFilter
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.workflows.listing import find_workflows, labels_of


@dataclass(frozen=True, slots=True)
class _Seen:
    """A workflow as it was at the last look."""

    row: WorkflowSummary
    #: Of one that had not ended.
    state: WorkflowState | None = None
    nodes: tuple[Node, ...] = ()


class ChangeReader:
    """Looks for changes of workflows.

    Args:
        store: The database.
        wanted: Which workflows are watched.
        namespace: Where they are.
        since: What did not change after this moment is not told of at the first look; None to be told of all.
        show: Makes a workflow's manifest.
    """

    def __init__(
        self,
        store: Store,
        wanted: WorkflowFilter,
        namespace: str,
        *,
        since: datetime | None,
        show: Callable[[StoredWorkflow], Manifest],
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._namespace = namespace
        self._since = since
        self._show = show
        self._seen: dict[str, _Seen] = {}
        self._is_first = True

    def batches(self) -> Iterator[list[WorkflowChange]]:
        """A list for each look, without end."""
        while True:
            yield self._look()

    def _look(self) -> list[WorkflowChange]:
        changes: list[WorkflowChange] = []
        with self._store.reader() as reader:
            rows = find_workflows(reader, self._wanted, self._namespace, limit=0, after="").items
            for row in reversed(rows):
                changes += self._change_of(reader, row)
        there = {row.id for row in rows}
        for uid in [uid for uid in self._seen if uid not in there]:
            changes.append(WorkflowChange(ChangeType.DELETED, _gone(self._seen.pop(uid).row)))
        self._is_first = False
        return changes

    def _change_of(self, reader: Reader, row: WorkflowSummary) -> list[WorkflowChange]:
        before = self._seen.get(row.id)
        if before is not None and before.row == row and row.finished_at is not None:
            return []
        stored = None if self._is_old_news(row) else reader.load_workflow(row.id)
        if stored is None:
            self._seen[row.id] = _Seen(row)
            return []
        now = _Seen(row) if row.finished_at is not None else _Seen(row, stored.state, tuple(stored.nodes))
        self._seen[row.id] = now
        if now == before:
            return []
        since = self._since if self._is_first else None
        known = before is not None or (since is not None and row.created_at <= since)
        return [WorkflowChange(ChangeType.MODIFIED if known else ChangeType.ADDED, self._show(stored))]

    def _is_old_news(self, row: WorkflowSummary) -> bool:
        """Whether all that happened to a workflow was before the moment that one asks from."""
        ended = row.finished_at
        return self._is_first and self._since is not None and ended is not None and ended <= self._since


def _gone(row: WorkflowSummary) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": row.name, "namespace": row.workspace, "uid": row.id, "labels": labels_of(row)},
        "spec": {},
        "status": {"phase": row.phase},
    }
