"""Port: the metadata database. Records and workflow state share one database and one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.commands import Cancel, Launch
from tiphys.engine.model import Node, WorkflowState
from tiphys.records.base import Query, R, Record
from tiphys.records.workflows import WorkflowRow


@dataclass(slots=True)
class WorkflowBatch:
    """What the engine changed for one workflow since the last commit."""

    uid: str
    #: New or changed nodes, whole.
    nodes: Sequence[Node] = ()
    #: Set if the workflow's own status changed.
    state: WorkflowState | None = None
    #: Commands to write down.
    outbox: Sequence[Launch | Cancel] = ()
    #: Task ids whose commands of earlier batches are done with.
    acknowledged: Sequence[str] = ()


@dataclass(slots=True)
class StoredWorkflow:
    """All that is needed to take a workflow up again."""

    row: WorkflowRow
    state: WorkflowState
    nodes: list[Node] = field(default_factory=list)
    #: Commands that were not acknowledged, in the order they were written.
    outbox: list[Launch | Cancel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who carries workflows out, as the database knows it."""

    #: As `WorkflowRow.owner`.
    owner: str
    #: Machine and home: who is at the same place can take up the processes that the other one started.
    place: str = ""
    #: Whether it also carries out what others leave.
    serving: bool = False
    #: Grows each time the lease is renewed.
    beat: int = 0
    #: Whether it holds, by the database's clock.
    holds: bool = True


class Reader(ABC):
    """A consistent view. Not to be used by two threads at once."""

    @abstractmethod
    def get(self, kind: type[R], id: str) -> R | None:
        """The record of that id, or None."""

    @abstractmethod
    def get_many(self, kind: type[R], ids: Iterable[str]) -> dict[str, R]:
        """The records of those ids that exist (any number of ids)."""

    @abstractmethod
    def find(self, query: Query[R]) -> list[R]:
        """Records that obey the query, in its order."""

    @abstractmethod
    def count(self, query: Query[R]) -> int:
        """How many records obey the query's conditions."""

    @abstractmethod
    def load_workflow(self, uid: str) -> StoredWorkflow | None:
        """A workflow with its nodes and outbox."""

    @abstractmethod
    def load_nodes(self, uid: str) -> list[Node]:
        """The nodes of a workflow, in the order they were first written."""

    @abstractmethod
    def leases(self) -> list[Lease]:
        """Who carries workflows out, by owner; those whose lease has lapsed, too."""

    @abstractmethod
    def owners(self) -> set[str]:
        """All who have workflows that have not ended."""

    @abstractmethod
    def owned(self, owner: str) -> set[str]:
        """The workflows of an owner that have not ended, by uid."""

    @abstractmethod
    def label_keys(self, workspace: str | None) -> list[str]:
        """Keys of the labels that workflows of a workspace have, or those of all; sorted."""

    @abstractmethod
    def label_values(self, key: str, workspace: str | None) -> list[str]:
        """Values that workflows of a workspace, or all, have of one label; sorted."""


class Transaction(Reader):
    """A unit of work: all of it is kept, or nothing."""

    @abstractmethod
    def add(self, *records: Record) -> None:
        """Insert records (of any kinds; those of one kind are inserted together).

        Raises:
            AlreadyExistsError: an id or a unique name is taken.
        """

    @abstractmethod
    def update(self, kind: type[Record], id: str, **changes: Any) -> None:
        """Set fields of one record.

        Raises:
            NotFoundError: no such record.
            AlreadyExistsError: the new name is taken.
        """

    @abstractmethod
    def update_found(self, query: Query[Any], **changes: Any) -> int:
        """Set fields of the records that obey the query's conditions; returns how many there were.

        Of several transactions that do so at once, each sees what those before it have set: a condition on a field that
        is changed lets one of them alone have the record.
        """

    @abstractmethod
    def delete(self, kind: type[Record], ids: Iterable[str]) -> int:
        """Remove records by id; returns how many there were."""

    @abstractmethod
    def delete_found(self, query: Query[Any]) -> int:
        """Remove the records that obey the query's conditions; returns how many there were."""

    @abstractmethod
    def ensure(self, record: R, *unique: str) -> R:
        """The record that has the same values in the fields `unique`: `record` itself, inserted, if there was none.

        Safe against other transactions that do the same.
        """

    @abstractmethod
    def put(self, record: Record, *unique: str) -> None:
        """Insert, or replace everything but the id of the record with the same values in the fields `unique`."""

    @abstractmethod
    def next_number(self, kind: type[Record], id: str, count: int = 1) -> int:
        """Raise `last_number` of a record by `count` and return the first number given out. Other transactions wait."""

    @abstractmethod
    def save(self, batch: WorkflowBatch) -> None:
        """Write what the engine changed: nodes, status, outbox."""

    @abstractmethod
    def hold(self, uids: Iterable[str], owner: str) -> set[str]:
        """Those of some workflows that `owner` has; nobody can claim them before this transaction has ended."""

    @abstractmethod
    def renew(self, owner: str, *, place: str, serving: bool, seconds: float) -> None:
        """Let an owner's lease hold for some seconds from now on, by the database's clock; the first time make it."""

    @abstractmethod
    def end_leases(self, owners: Iterable[str]) -> None:
        """Remove leases."""

    @abstractmethod
    def serialize(self, name: str) -> None:
        """Go on when all other transactions that asked for the same name have ended; later ones wait for this one."""

    @abstractmethod
    def claim(self, uid: str, owner: str, *, expected: str) -> bool:
        """Take over a workflow from `expected`; False if someone else was quicker."""


class Store(ABC):
    """A database of metadata. Thread-safe."""

    #: Whether processes of several machines may use it: whether one of them lives is told by its lease then.
    shared: bool = False

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """Read and write; commits at the end, rolls back on an exception.

        Raises:
            StoreError: the database cannot be reached or stays locked.
        """

    @abstractmethod
    def reader(self) -> AbstractContextManager[Reader]:
        """Read only."""

    @abstractmethod
    def close(self) -> None:
        """Give connections back."""
