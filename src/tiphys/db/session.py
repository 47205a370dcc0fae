"""Readers and transactions: the port's words as statements on one connection. The same for all databases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tiphys._util.ids import next_tick
from tiphys._util.times import from_epoch, to_epoch
from tiphys.db.database import Database, Unit
from tiphys.db.mapping import holdable, to_micros
from tiphys.db.nodes import node_from, node_row
from tiphys.engine.commands import Cancel, Launch
from tiphys.engine.model import Node, Phase, WorkflowState
from tiphys.errors import NotFoundError, StoreError, TiphysError, UsageError
from tiphys.ports.store import Lease, Reader, StoredWorkflow, Transaction, WorkflowBatch
from tiphys.records.base import Query, R, Record
from tiphys.records.workflows import WorkflowRow

_COMMANDS: dict[str, type[Launch | Cancel]] = {"launch": Launch, "cancel": Cancel}
#: How often `ensure` looks again for a record that another transaction added and removed meanwhile.
_ENSURE_ATTEMPTS = 10


class SqlReader(Reader):
    """A view of one transaction."""

    def __init__(self, database: Database, unit: Unit) -> None:
        self._database = database
        self._statements = database.statements
        self._dialect = database.statements.dialect
        self._cursor = unit.cursor
        self._errors = database.driver_errors
        #: The first error of the database: it ended the transaction, whatever the caller makes of it.
        self.failure: TiphysError | None = None

    def get(self, kind: type[R], id: str) -> R | None:
        """The record of that id, or None."""
        prepared = self._statements.of(kind)
        row = self._one(prepared.get, (id,))
        return None if row is None else prepared.mapping.record(row)

    def get_many(self, kind: type[R], ids: Iterable[str]) -> dict[str, R]:
        """The records of those ids that exist."""
        prepared = self._statements.of(kind)
        record = prepared.mapping.record
        rows = self._all(prepared.get_many, (self._dialect.list_parameter(ids),))
        return {found.id: found for found in map(record, rows)}

    def find(self, query: Query[R]) -> list[R]:
        """Records that obey the query, in its order."""
        sql, parameters = self._statements.select(query)
        record = self._statements.of(query.kind).mapping.record
        return [record(row) for row in self._all(sql, parameters)]

    def count(self, query: Query[R]) -> int:
        """How many records obey the query's conditions."""
        sql, parameters = self._statements.count(query)
        number: int = self._one(sql, parameters)[0]
        return number

    def load_workflow(self, uid: str) -> StoredWorkflow | None:
        """A workflow with its nodes and outbox."""
        found = self._one(self._statements.select_workflow, (uid,))
        if found is None:
            return None
        row: WorkflowRow = self._statements.of(WorkflowRow).mapping.record(found[:-2])
        started, finished = found[-2:]
        state = WorkflowState(
            uid=uid,
            name=row.name,
            phase=Phase(row.phase),
            message=row.message,
            started_at=to_epoch(row.started_at) if started is None and row.started_at else started,
            finished_at=to_epoch(row.finished_at) if finished is None and row.finished_at else finished,
            shutdown=row.shutdown,
            suspended=row.suspended,
        )
        commands = self._all(self._statements.select_commands, (uid,))
        outbox = [_COMMANDS[command](task_id, node_id) for command, task_id, node_id in commands]
        return StoredWorkflow(row, state, self.load_nodes(uid), outbox)

    def load_nodes(self, uid: str) -> list[Node]:
        """The nodes of a workflow, in the order they were first written."""
        return list(map(node_from, self._all(self._statements.select_nodes, (uid,))))

    def leases(self) -> list[Lease]:
        """Who carries workflows out, by owner."""
        return [
            Lease(owner, place=place, serving=bool(serving), beat=beat, holds=bool(holds))
            for owner, place, serving, beat, holds in self._all(self._statements.select_leases, ())
        ]

    def owners(self) -> set[str]:
        """All who have workflows that have not ended."""
        return {owner for (owner,) in self._all(self._statements.select_owners, ())}

    def owned(self, owner: str) -> set[str]:
        """The workflows of an owner, by uid."""
        return {uid for (uid,) in self._all(self._statements.select_owned, (owner,))}

    def label_keys(self, workspace: str | None) -> list[str]:
        """Keys of the labels that workflows have."""
        return self._distinct(self._statements.select_label_keys, [], workspace)

    def label_values(self, key: str, workspace: str | None) -> list[str]:
        """Values that workflows have of one label."""
        return self._distinct(self._statements.select_label_values, [key], workspace)

    def _distinct(self, sql: str, parameters: list[str], workspace: str | None) -> list[str]:
        if workspace is not None:
            sql += f"{' AND' if parameters else ' WHERE'} workspace = {self._dialect.mark}"
            parameters.append(workspace)
        return sorted(row[0] for row in self._all(sql, parameters))

    def _one(self, sql: str, parameters: Sequence[Any]) -> Any:
        try:
            self._cursor.execute(sql, parameters)
            return self._cursor.fetchone()
        except self._errors as error:
            raise self._failed(error) from error

    def _all(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            self._cursor.execute(sql, parameters)
            return self._cursor.fetchall()
        except self._errors as error:
            raise self._failed(error) from error

    def _run(self, sql: str, parameters: Sequence[Any]) -> int:
        try:
            self._cursor.execute(sql, parameters)
            return self._cursor.rowcount
        except self._errors as error:
            raise self._failed(error) from error

    def _run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            if len(rows) == 1:
                self._cursor.execute(sql, rows[0])
            else:
                self._cursor.executemany(sql, rows)
        except self._errors as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> TiphysError:
        if self.failure is not None:
            return StoreError(f"This transaction ended with an earlier error: {self.failure.message}")
        self.failure = self._database.translate(error)
        return self.failure


class SqlTransaction(SqlReader, Transaction):
    """A unit of work."""

    def add(self, *records: Record) -> None:
        """Insert records."""
        rows: dict[type[Record], list[Sequence[Any]]] = {}
        for record in records:
            kind = record.__class__
            row = self._statements.of(kind).mapping.row(record)
            if kind in rows:
                rows[kind].append(row)
            else:
                rows[kind] = [row]
        for kind, of_kind in rows.items():
            self._run_many(self._statements.of(kind).insert, of_kind)
        if WorkflowRow in rows:
            self._add_labels(record for record in records if isinstance(record, WorkflowRow) and record.labels)

    def update(self, kind: type[Record], id: str, **changes: Any) -> None:
        """Set fields of one record."""
        if changes:
            sql, encoders = self._statements.update(kind, tuple(changes))
            parameters = [
                value if convert is None or value is None else convert(value)
                for value, convert in zip(changes.values(), encoders, strict=True)
            ]
            parameters.append(id)
            known = self._run(sql, parameters) > 0
        else:
            known = self.get(kind, id) is not None
        if not known:
            raise _unknown(kind, id)
        if kind is WorkflowRow and "labels" in changes:
            row = self.get(WorkflowRow, id)
            self._run(self._statements.delete_labels, (id,))
            self._add_labels([row] if row is not None else ())

    def update_found(self, query: Query[Any], **changes: Any) -> int:
        """Set fields of the records that obey the query's conditions."""
        sql, parameters = self._statements.update_found(query, changes)
        return self._run(sql, parameters)

    def delete(self, kind: type[Record], ids: Iterable[str]) -> int:
        """Remove records by id; a workflow's nodes and commands go with it."""
        parameters = (self._dialect.list_parameter(ids),)
        if kind is WorkflowRow:
            for sql in self._statements.delete_with_workflow:
                self._run(sql, parameters)
        return self._run(self._statements.of(kind).delete, parameters)

    def delete_found(self, query: Query[Any]) -> int:
        """Remove the records that obey the query's conditions; a workflow's nodes and commands go with it."""
        if query.kind is WorkflowRow:
            return self.delete(WorkflowRow, [row.id for row in self.find(query)])
        return self._run(*self._statements.delete_found(query))

    def ensure(self, record: R, *unique: str) -> R:
        """The record with the same values in `unique`, which is `record` itself, inserted, if none did."""
        kind = record.__class__
        mapping = self._statements.of(kind).mapping
        find, places = self._statements.find_by(kind, unique)
        row = mapping.row(record)
        key = [row[place] for place in places]
        for _ in range(_ENSURE_ATTEMPTS):
            found = self._one(find, key)
            if found is not None:
                present: R = mapping.record(found)
                return present
            if self._one(self._statements.insert_new(kind, unique), row) is not None:
                return record
        raise StoreError(
            f"A {kind.__name__} with the same {' and '.join(unique)} is added and removed by others all the time.",
            hint="Try again.",
        )

    def put(self, record: Record, *unique: str) -> None:
        """Insert, or replace everything but the id of the record with the same values in `unique`."""
        kind = record.__class__
        self._run(self._statements.put(kind, unique), self._statements.of(kind).mapping.row(record))

    def next_number(self, kind: type[Record], id: str, count: int = 1) -> int:
        """Raise `last_number` of a record by `count` and return the first number given out."""
        prepared = self._statements.of(kind)
        if "last_number" not in prepared.mapping.columns:
            raise UsageError(f"A {kind.__name__} gives out no numbers.")
        row = self._one(prepared.next_number, (count, id))
        if row is None:
            raise _unknown(kind, id)
        last: int = row[0]
        return last - count + 1

    def save(self, batch: WorkflowBatch) -> None:
        """Write what the engine changed: nodes, status, outbox."""
        uid = batch.uid
        if batch.nodes:
            self._run_many(self._statements.upsert_node, [node_row(uid, node) for node in batch.nodes])
        if batch.state is not None:
            self._save_state(batch.state)
        # First what earlier batches wrote is taken out: a command of this batch may concern the same task.
        if batch.acknowledged:
            self._run_many(self._statements.delete_command, [(uid, task_id) for task_id in batch.acknowledged])
        if batch.outbox:
            rows = [
                (uid, command.task_id, _command_name(command), command.node_id, next_tick()) for command in batch.outbox
            ]
            self._run_many(self._statements.insert_command, rows)

    def claim(self, uid: str, owner: str, *, expected: str) -> bool:
        """Take over a workflow from `expected`."""
        return self._run(self._statements.claim_workflow, (owner, uid, expected)) == 1

    def hold(self, uids: Iterable[str], owner: str) -> set[str]:
        """Those of some workflows that an owner has, kept for it until the transaction ends."""
        parameters = (self._dialect.list_parameter(uids), owner)
        return {uid for (uid,) in self._all(self._statements.hold_workflows, parameters)}

    def renew(self, owner: str, *, place: str, serving: bool, seconds: float) -> None:
        """Let an owner's lease hold for some seconds from now on, by the database's clock."""
        self._run(self._statements.renew_lease, (owner, place, serving, int(seconds * 1_000_000)))

    def end_leases(self, owners: Iterable[str]) -> None:
        """Remove leases."""
        self._run(self._statements.delete_leases, (self._dialect.list_parameter(owners),))

    def serialize(self, name: str) -> None:
        """Wait for other transactions that do the same thing, and have them wait for this one."""
        if self._dialect.serialize:
            number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            self._one(self._dialect.serialize, (number,))

    def _add_labels(self, rows: Iterable[WorkflowRow]) -> None:
        found: list[Sequence[Any]] = []
        for row in rows:
            # No selector can name what is no text, and two keys may be the same once they can be held.
            texts: Mapping[str, object] = row.labels
            labels = {holdable(key): holdable(value) for key, value in texts.items() if isinstance(value, str)}
            found += [(row.id, key, value, row.workspace) for key, value in labels.items()]
        if found:
            self._run_many(self._statements.insert_label, found)

    def _save_state(self, state: WorkflowState) -> None:
        started, finished = state.started_at, state.finished_at
        sql = self._statements.finish_workflow if state.phase.fulfilled else self._statements.update_workflow
        parameters = (
            str.__str__(state.phase),
            holdable(state.message),
            state.shutdown,
            state.suspended,
            None if started is None else to_micros(from_epoch(started)),
            None if finished is None else to_micros(from_epoch(finished)),
            started,
            finished,
            state.uid,
        )
        if self._run(sql, parameters) == 0:
            raise _unknown(WorkflowRow, state.uid)


def _command_name(command: Launch | Cancel) -> str:
    return "launch" if isinstance(command, Launch) else "cancel"


def _unknown(kind: type[Record], id: str) -> NotFoundError:
    return NotFoundError(f"There is no {kind.__name__} with the id '{id}'.")
