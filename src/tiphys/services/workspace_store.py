"""A store as one workspace sees it: what belongs to others is not there, and cannot be referred to.

The services of a workspace work on it, so that no use case has to think of the others. What all workspaces share
(stacks, components, services) is passed through, and so are workflows' nodes: their uids stand in records that were
seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from tiphys.engine.model import Node
from tiphys.errors import InvariantError, NotFoundError
from tiphys.ports.store import Lease, Reader, Store, StoredWorkflow, Transaction, WorkflowBatch
from tiphys.records.base import Query, R, Record, Where
from tiphys.records.ownership import OWNERS, REFERENCES, SHARED, Reference, workspace_field


class WorkspaceReader(Reader):
    """What a workspace sees of a view.

    Args:
        inner: The view of everything.
        workspace: Whose records are there.
    """

    def __init__(self, inner: Reader, workspace: str) -> None:
        self._reader = inner
        self._workspace = workspace

    def get(self, kind: type[R], id: str) -> R | None:
        """The record of that id, or None."""
        return self._reader.get(kind, id) if kind in SHARED else self.get_many(kind, [id]).get(id)

    def get_many(self, kind: type[R], ids: Iterable[str]) -> dict[str, R]:
        """The records of those ids that exist."""
        if kind in SHARED:
            return self._reader.get_many(kind, ids)
        return {one.id: one for one in self.find(Query(kind, (Where("id", list(ids), "in"),), order="id"))}

    def find(self, query: Query[R]) -> list[R]:
        """Records that obey the query."""
        return self._reader.find(self._inside(query))

    def count(self, query: Query[R]) -> int:
        """How many records obey the query's conditions."""
        return self._reader.count(self._inside(query))

    def load_workflow(self, uid: str) -> StoredWorkflow | None:
        """A workflow with its nodes and outbox."""
        return self._reader.load_workflow(uid)

    def load_nodes(self, uid: str) -> list[Node]:
        """The nodes of a workflow."""
        return self._reader.load_nodes(uid)

    def leases(self) -> list[Lease]:
        """Who carries workflows out: the same for all workspaces."""
        return self._reader.leases()

    def owners(self) -> set[str]:
        """All who have workflows that have not ended."""
        return self._reader.owners()

    def owned(self, owner: str) -> set[str]:
        """The workflows of an owner that have not ended."""
        return self._reader.owned(owner)

    def label_keys(self, workspace: str | None) -> list[str]:
        """Keys of the labels that the workspace's workflows have."""
        return self._reader.label_keys(self._workspace) if workspace in (None, self._workspace) else []

    def label_values(self, key: str, workspace: str | None) -> list[str]:
        """Values that the workspace's workflows have of one label."""
        return self._reader.label_values(key, self._workspace) if workspace in (None, self._workspace) else []

    def _inside(self, query: Query[R]) -> Query[R]:
        return query if query.kind in SHARED else replace(query, within=self._workspace)


class WorkspaceTransaction(WorkspaceReader, Transaction):
    """What a workspace sees and changes in a unit of work."""

    def __init__(self, inner: Transaction, workspace: str) -> None:
        super().__init__(inner, workspace)
        #: What sees everything.
        self.whole = inner

    def add(self, *records: Record) -> None:
        """Insert records."""
        fresh = {record.id for record in records}
        for record in records:
            self._check(record, fresh)
        self.whole.add(*records)

    def update(self, kind: type[Record], id: str, **changes: Any) -> None:
        """Set fields of one record."""
        if self.get(kind, id) is None:
            raise _unknown(kind, id)
        self.whole.update(kind, id, **changes)

    def update_found(self, query: Query[Any], **changes: Any) -> int:
        """Set fields of the records that obey the query's conditions."""
        return self.whole.update_found(self._inside(query), **changes)

    def delete(self, kind: type[Record], ids: Iterable[str]) -> int:
        """Remove records by id; returns how many there were."""
        return self.whole.delete(kind, list(self.get_many(kind, ids)))

    def delete_found(self, query: Query[Any]) -> int:
        """Remove the records that obey the query's conditions."""
        return self.whole.delete_found(self._inside(query))

    def ensure(self, record: R, *unique: str) -> R:
        """The record that has the same values in the fields `unique`."""
        self._check(record)
        return self.whole.ensure(record, *unique)

    def put(self, record: Record, *unique: str) -> None:
        """Insert, or replace everything but the id."""
        self._check(record)
        self.whole.put(record, *unique)

    def next_number(self, kind: type[Record], id: str, count: int = 1) -> int:
        """Raise `last_number` of a record."""
        if self.get(kind, id) is None:
            raise _unknown(kind, id)
        return self.whole.next_number(kind, id, count)

    def save(self, batch: WorkflowBatch) -> None:
        """Write what the engine changed."""
        self.whole.save(batch)

    def claim(self, uid: str, owner: str, *, expected: str) -> bool:
        """Take over a workflow."""
        return self.whole.claim(uid, owner, expected=expected)

    def hold(self, uids: Iterable[str], owner: str) -> set[str]:
        """Those of some workflows that an owner has."""
        return self.whole.hold(uids, owner)

    def renew(self, owner: str, *, place: str, serving: bool, seconds: float) -> None:
        """Let an owner's lease hold."""
        self.whole.renew(owner, place=place, serving=serving, seconds=seconds)

    def end_leases(self, owners: Iterable[str]) -> None:
        """Remove leases."""
        self.whole.end_leases(owners)

    def serialize(self, name: str) -> None:
        """Wait for other transactions that do the same thing."""
        self.whole.serialize(name)

    def _check(self, record: Record, fresh: Iterable[str] = ()) -> None:
        """Refuse a record of another workspace, or one that refers to what is not of this one."""
        kind = record.__class__
        if kind in SHARED:
            return
        field = workspace_field(kind)
        if field is not None and getattr(record, field) != self._workspace:
            raise InvariantError(f"A {kind.__name__} of another workspace was about to be written.")
        for reference in (*OWNERS.get(kind, ()), *REFERENCES.get(kind, ())):
            other = self._referred(record, reference)
            if other is not None and other not in fresh and self.get(reference.kind, other) is None:
                raise _unknown(reference.kind, other)

    def _referred(self, record: Record, reference: Reference) -> str | None:
        if reference.type_field and getattr(record, reference.type_field) != reference.entity:
            return None
        found: str | None = getattr(record, reference.field)
        return found


class WorkspaceStore(Store):
    """A store as one workspace sees it.

    Args:
        whole: The store of everything; closing it is its owner's.
        workspace: The workspace.
    """

    def __init__(self, whole: Store, workspace: str) -> None:
        self._whole = whole
        self._workspace = workspace

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Read and write."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._whole.transaction() as transaction:
            yield WorkspaceTransaction(transaction, self._workspace)

    def reader(self) -> AbstractContextManager[Reader]:
        """Read only."""
        return self._reader()

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with self._whole.reader() as reader:
            yield WorkspaceReader(reader, self._workspace)

    def close(self) -> None:
        """Nothing: the store of everything goes on."""


def of_all_workspaces(transaction: Transaction) -> Transaction:
    """A unit of work as it sees everything: for the queue, in which all workspaces wait for each other."""
    return transaction.whole if isinstance(transaction, WorkspaceTransaction) else transaction


def _unknown(kind: type[Record], id: str) -> NotFoundError:
    return NotFoundError(f"There is no {kind.__name__} with the id '{id}'.")
