"""What happens to workflows, found by looking again and comparing with what was there before.

One look serves all who watch: it reads the workflows that have not ended, those that ended lately, and what was
removed, each by an index. Nodes are read of those alone that may have changed and that somebody watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from weakref import WeakSet

from tiphys._util.times import utc_now
from tiphys.ports.store import Reader, Store, StoredWorkflow
from tiphys.ports.workflows import ChangeType, Manifest, WorkflowChange, WorkflowFilter
from tiphys.records.base import Query, Where
from tiphys.records.workflows import WorkflowRemoval, WorkflowSummary
from tiphys.services.workflows.listing import find_workflows, labels_of, matcher

#: How long before it can be read an end may be dated: transactions take a while, and clocks differ.
_OVERLAP = timedelta(seconds=5)
#: Workflows that a watcher is told of at once in the beginning.
_CHUNK = 100
#: Makes a workflow's manifest.
Show = Callable[[StoredWorkflow], Manifest]


class _News:
    """A workflow as a look found it; made a manifest once for all who are told."""

    def __init__(self, row: WorkflowSummary, stored: StoredWorkflow | None, show: Show) -> None:
        self.row = row
        #: None if it is gone.
        self.stored = stored
        self._show = show

    @cached_property
    def manifest(self) -> Manifest:
        return _gone(self.row) if self.stored is None else self._show(self.stored)


@dataclass(slots=True)
class _Seen:
    """A workflow that had not ended at the last look."""

    row: WorkflowSummary
    revision: int | None
    #: None if nobody watched it.
    stored: StoredWorkflow | None


class ChangeReader:
    """Someone who watches.

    Args:
        hub: Looks.
        wanted: Which workflows are watched.
        namespace: Where they are.
        since: What did not change after this moment is not told of in the beginning; None to be told of all.

    Raises:
        UsageError: a selector cannot be read.
    """

    def __init__(self, hub: ChangeHub, wanted: WorkflowFilter, namespace: str, *, since: datetime | None) -> None:
        self._hub = hub
        self._since = since
        self._wanted = wanted
        self._namespace = namespace
        #: Workflows that were told of and not taken back.
        self._told: set[str] = set()
        self.matches = matcher(wanted, namespace)
        #: By workflow; a later one takes the place of an earlier one that was not told yet.
        self.news: dict[str, _News] = {}
        #: The look up to which this one knows all.
        self.look = 0

    def batches(self) -> Iterator[list[WorkflowChange]]:
        """A list for each look, without end; in the beginning as many as it takes to tell of what is there."""
        there = self._hub.join(self)
        for start in range(0, max(len(there), 1), _CHUNK):
            yield self._first(there[start : start + _CHUNK])
        while True:
            yield [change for one in self._hub.news_for(self) if (change := self._told_of(one)) is not None]

    def is_concerned(self, row: WorkflowSummary) -> bool:
        """Whether this one is to hear of a workflow."""
        return row.id in self._told or self.matches(row)

    def present(self, reader: Reader) -> list[WorkflowSummary]:
        """What is to be told of in the beginning, oldest first."""
        if self._since is None:
            rows = find_workflows(reader, self._wanted, self._namespace, limit=0, after="").items
            return rows[::-1]
        going = reader.find(Query.of(WorkflowSummary, finished_at=None))
        ended = reader.find(Query(WorkflowSummary, (Where("finished_at", self._since, "gt"),)))
        return sorted(filter(self.matches, (*going, *ended)), key=lambda row: row.id)

    def removed(self, reader: Reader) -> list[WorkflowRemoval]:
        """What was removed while this one was away, as long as that is known."""
        if self._since is None:
            return []
        return reader.find(Query(WorkflowRemoval, (Where("removed_at", self._since, "gt"),), order="id"))

    def _first(self, rows: Sequence[WorkflowSummary]) -> list[WorkflowChange]:
        changes = [self._told_of(one) for one in self._hub.read(rows)]
        return [change for change in changes if change is not None]

    def _told_of(self, news: _News) -> WorkflowChange | None:
        uid = news.row.id
        known = uid in self._told or (self._since is not None and news.row.created_at <= self._since)
        if news.stored is not None and self.matches(news.row):
            self._told.add(uid)
            return WorkflowChange(ChangeType.MODIFIED if known else ChangeType.ADDED, news.manifest)
        # One that does not match any more is gone for those alone who saw it match.
        is_told = uid in self._told or (known and news.stored is None and self.matches(news.row))
        self._told.discard(uid)
        return WorkflowChange(ChangeType.DELETED, _gone(news.row)) if is_told else None


class ChangeHub:
    """Looks at the workflows of all namespaces, for all who watch.

    Args:
        store: The database.
        show: Makes a workflow's manifest.
        revisions: Numbers that tell of workflows that this process carries out whether they have changed
            (`EngineHost.revisions`); the nodes of others are read at each look.
    """

    def __init__(self, store: Store, *, show: Show, revisions: Callable[[], Mapping[str, int]]) -> None:
        self._store = store
        self._show = show
        self._revisions = revisions
        self._lock = threading.Lock()
        self._readers: WeakSet[ChangeReader] = WeakSet()
        self._looks = 0
        self._looked_at = utc_now()
        self._going: dict[str, _Seen] = {}
        #: Of the last few seconds.
        self._ended: dict[str, WorkflowSummary] = {}
        self._removed: dict[str, WorkflowRemoval] = {}

    def join(self, watcher: ChangeReader) -> list[WorkflowSummary]:
        """From now on note news for a watcher; returns what is to be told first."""
        with self._lock:
            if not self._readers:
                self._going, self._ended, self._removed, self._looked_at = {}, {}, {}, utc_now()
            self._readers.add(watcher)
            revisions = self._revisions()
            with self._store.reader() as reader:
                self._look(reader, revisions)
                found, removed = watcher.present(reader), watcher.removed(reader)
            watcher.look = self._looks
            # All else is in what is told first.
            watcher.news = {one.workflow_uid: _News(_as_it_was(one), None, self._show) for one in removed}
        return found

    def news_for(self, watcher: ChangeReader) -> list[_News]:
        """What is new for a watcher, by a look of its own unless there was one since it last asked."""
        with self._lock:
            if watcher.look == self._looks:
                revisions = self._revisions()
                with self._store.reader() as reader:
                    self._look(reader, revisions)
            watcher.look = self._looks
            news, watcher.news = watcher.news, {}
        return list(news.values())

    def read(self, rows: Sequence[WorkflowSummary]) -> list[_News]:
        """Workflows as they are now, those that are gone left out."""
        with self._store.reader() as reader:
            loaded = [reader.load_workflow(row.id) for row in rows]
        return [_News(stored.row, stored, self._show) for stored in loaded if stored is not None]

    def _look(self, reader: Reader, revisions: Mapping[str, int]) -> None:
        """Note what happened since the last look; the revisions are older than what the reader sees."""
        since, self._looked_at = self._looked_at - _OVERLAP, utc_now()
        going = {row.id: row for row in reader.find(Query.of(WorkflowSummary, finished_at=None, order="id"))}
        ended = reader.find(Query(WorkflowSummary, (Where("finished_at", since, "ge"),), order="id"))
        removed = reader.find(Query(WorkflowRemoval, (Where("removed_at", since, "ge"),), order="id"))
        lately = {row.id for row in ended}
        missed = [uid for uid in self._going if uid not in going and uid not in lately]
        for row in (*reader.get_many(WorkflowSummary, missed).values(), *ended):
            if self._ended.get(row.id) != row:
                self._note_ended(reader, row)
        for row in going.values():
            self._note_going(reader, row, revisions.get(row.id))
        self._going = {uid: seen for uid, seen in self._going.items() if uid in going}
        self._ended = {row.id: row for row in ended}
        for removal in removed:
            if removal.id not in self._removed:
                self._publish(_News(_as_it_was(removal), None, self._show))
        self._removed = {removal.id: removal for removal in removed}
        self._looks += 1

    def _note_ended(self, reader: Reader, row: WorkflowSummary) -> None:
        if self._is_watched(row):
            stored = reader.load_workflow(row.id)
            if stored is not None:
                self._publish(_News(row, stored, self._show))

    def _note_going(self, reader: Reader, row: WorkflowSummary, revision: int | None) -> None:
        before = self._going.get(row.id)
        is_same = before is not None and before.row == row
        if not self._is_watched(row):
            self._going[row.id] = _Seen(row, revision, None)
            return
        if is_same and before is not None and before.stored and revision is not None and before.revision == revision:
            return
        stored = reader.load_workflow(row.id)
        self._going[row.id] = _Seen(row, revision, stored)
        if stored is None:
            return
        known = before.stored if before is not None else None
        if not is_same or known is None or (known.state, known.nodes) != (stored.state, stored.nodes):
            self._publish(_News(row, stored, self._show))

    def _is_watched(self, row: WorkflowSummary) -> bool:
        return any(watcher.is_concerned(row) for watcher in self._readers)

    def _publish(self, news: _News) -> None:
        for watcher in self._readers:
            if news.stored is None or watcher.is_concerned(news.row):
                # It comes last, as it happened last.
                watcher.news.pop(news.row.id, None)
                watcher.news[news.row.id] = news


def _as_it_was(removal: WorkflowRemoval) -> WorkflowSummary:
    return WorkflowSummary(
        id=removal.workflow_uid,
        name=removal.name,
        workspace=removal.workspace,
        labels=removal.labels,
        phase=removal.phase,
        created_at=removal.created_at,
        finished_at=removal.removed_at,
    )


def _gone(row: WorkflowSummary) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": row.name, "namespace": row.workspace, "uid": row.id, "labels": labels_of(row)},
        "spec": {},
        "status": {"phase": row.phase},
    }
