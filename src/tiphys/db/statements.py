"""SQL texts, each built once for a kind of record, a dialect and the shape of what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys.db.dialects import Dialect, bind, condition, shape
from tiphys.db.mapping import Convert, RecordMapping, encoder
from tiphys.db.schema import LABELS, LEASES, NODES, OUTBOX, RECORD_TABLES, Column, Table
from tiphys.db.workspaces import inside
from tiphys.errors import UsageError
from tiphys.records.base import Query, R, Record, Where
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.synchronization import LockClaim
from tiphys.records.workflows import WorkflowRequest, WorkflowRow

#: Records that belong to one workflow.
_REQUESTED = tuple(RECORD_TABLES[kind] for kind in (WorkflowRequest, LockClaim, QueuedWorkflow))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@dataclass(slots=True)
class KindStatements:
    """Everything that is prepared for one kind of record."""

    mapping: RecordMapping[Any]
    insert: str
    get: str
    get_many: str
    delete: str
    next_number: str
    #: Fields → statement and the fields' encoders.
    updates: dict[tuple[str, ...], tuple[str, tuple[Convert | None, ...]]] = field(default_factory=dict)
    #: Unique fields → statement.
    finds_by: dict[tuple[str, ...], tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    inserts_new: dict[tuple[str, ...], str] = field(default_factory=dict)
    puts: dict[tuple[str, ...], str] = field(default_factory=dict)
    #: Shape of a query → statement.
    selects: dict[Any, str] = field(default_factory=dict)


class Statements:
    """All statements of one dialect. Shared by threads: a text that two build at once is the same."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._kinds: dict[type[Record], KindStatements] = {}
        mark = dialect.mark
        columns = [column.name for column in NODES.columns if column.name != "seq"]
        # A node's id follows from its name.
        changing = [name for name in columns if name not in ("workflow_uid", "id", "name")]
        self.upsert_node = (
            f"{_insert(NODES, columns, mark)} ON CONFLICT (workflow_uid, id) DO UPDATE SET {_excluded(changing)}"
        )
        self.select_nodes = f"SELECT {_listed(columns)} FROM nodes WHERE workflow_uid = {mark} ORDER BY seq"
        columns = [column.name for column in OUTBOX.columns]
        self.insert_command = (
            f"{_insert(OUTBOX, columns, mark)} ON CONFLICT (workflow_uid, task_id, command) DO NOTHING"
        )
        self.delete_command = f"DELETE FROM outbox WHERE workflow_uid = {mark} AND task_id = {mark}"
        self.select_commands = f"SELECT command, task_id, node_id FROM outbox WHERE workflow_uid = {mark} ORDER BY seq"
        status = ("phase", "message", "shutdown", "suspended", "started_at", "finished_at")
        assignments = ", ".join(f'"{name}" = {mark}' for name in (*status, "started_epoch", "finished_epoch"))
        self.update_workflow = f"UPDATE workflows SET {assignments} WHERE id = {mark}"
        self.finish_workflow = f"UPDATE workflows SET {assignments}, owner = '' WHERE id = {mark}"
        self.claim_workflow = f"UPDATE workflows SET owner = {mark} WHERE id = {mark} AND owner = {mark}"
        self.hold_workflows = (
            f"SELECT id FROM workflows WHERE id {dialect.any_of} AND owner = {mark}{dialect.for_update}"
        )
        self.select_owned = f"SELECT id FROM workflows WHERE owner = {mark}"
        # Finished workflows have no owner, so the index holds few others.
        self.select_owners = "SELECT DISTINCT owner FROM workflows WHERE owner > ''"
        columns = [column.name for column in LEASES.columns]
        until = f"{dialect.now} + {mark}"
        self.renew_lease = (
            f"INSERT INTO leases ({_listed(columns)}) VALUES ({mark}, {mark}, {mark}, 1, {until}) "
            "ON CONFLICT (owner) DO UPDATE SET place = excluded.place, serving = excluded.serving, "
            "beat = leases.beat + 1, expires_at = excluded.expires_at"
        )
        self.select_leases = (
            f"SELECT owner, place, serving, beat, expires_at > {dialect.now} FROM leases ORDER BY owner"
        )
        self.delete_leases = f"DELETE FROM leases WHERE owner {dialect.any_of}"
        workflow_names = _listed([*self.of(WorkflowRow).mapping.names, "started_epoch", "finished_epoch"])
        self.select_workflow = f"SELECT {workflow_names} FROM workflows WHERE id = {mark}"
        #: What goes with a workflow that is removed.
        self.delete_with_workflow = tuple(
            f"DELETE FROM {table.name} WHERE workflow_uid {dialect.any_of}"
            for table in (NODES, OUTBOX, LABELS, *_REQUESTED)
        )
        self.insert_label = _insert(LABELS, [column.name for column in LABELS.columns], mark)
        self.delete_labels = f"DELETE FROM workflow_labels WHERE workflow_uid = {mark}"
        self.select_label_keys = 'SELECT DISTINCT "key" FROM workflow_labels'
        self.select_label_values = f'SELECT DISTINCT "value" FROM workflow_labels WHERE "key" = {mark}'

    def of(self, kind: type[Record]) -> KindStatements:
        """What is prepared for `kind`."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = self._prepare(kind)
        return found

    def _prepare(self, kind: type[Record]) -> KindStatements:
        mapping: RecordMapping[Any] = RecordMapping(kind)
        table, mark = mapping.table.name, self.dialect.mark
        select = f"SELECT {_listed(mapping.names)} FROM {table}"
        return KindStatements(
            mapping=mapping,
            insert=_insert(mapping.table, mapping.names, mark),
            get=f"{select} WHERE id = {mark}",
            get_many=f"{select} WHERE id {self.dialect.any_of}",
            delete=f"DELETE FROM {table} WHERE id {self.dialect.any_of}",
            next_number=f"UPDATE {table} SET last_number = last_number + {mark} WHERE id = {mark} "
            "RETURNING last_number",
        )

    def update(self, kind: type[Record], names: tuple[str, ...]) -> tuple[str, tuple[Convert | None, ...]]:
        """Sets the fields `names` of one record: the statement (the id is its last parameter) and their encoders."""
        prepared = self.of(kind)
        found = prepared.updates.get(names)
        if found is None:
            columns = [_column(prepared.mapping, name) for name in names]
            mark = self.dialect.mark
            assignments = ", ".join(f'"{name}" = {mark}' for name in names)
            text = f"UPDATE {prepared.mapping.table.name} SET {assignments} WHERE id = {mark}"
            found = prepared.updates[names] = (text, tuple(encoder(column) for column in columns))
        return found

    def find_by(self, kind: type[Record], unique: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
        """Selects by unique fields: the statement and the fields' places in a row."""
        prepared = self.of(kind)
        found = prepared.finds_by.get(unique)
        if found is None:
            mapping = prepared.mapping
            _check_unique(mapping, unique)
            wanted = " AND ".join(f'"{name}" = {self.dialect.mark}' for name in unique)
            text = f"SELECT {_listed(mapping.names)} FROM {mapping.table.name} WHERE {wanted}"
            found = prepared.finds_by[unique] = (text, tuple(mapping.names.index(name) for name in unique))
        return found

    def insert_new(self, kind: type[Record], unique: tuple[str, ...]) -> str:
        """Inserts unless the fields `unique` are taken; gives back the id if it did."""
        prepared = self.of(kind)
        found = prepared.inserts_new.get(unique)
        if found is None:
            _check_unique(prepared.mapping, unique)
            found = f"{prepared.insert} ON CONFLICT ({_listed(unique)}) DO NOTHING RETURNING id"
            prepared.inserts_new[unique] = found
        return found

    def put(self, kind: type[Record], unique: tuple[str, ...]) -> str:
        """Inserts, or replaces all but the id where the fields `unique` are taken."""
        prepared = self.of(kind)
        found = prepared.puts.get(unique)
        if found is None:
            _check_unique(prepared.mapping, unique)
            rest = [name for name in prepared.mapping.names if name != "id" and name not in unique]
            found = f"{prepared.insert} ON CONFLICT ({_listed(unique)}) DO UPDATE SET {_excluded(rest)}"
            prepared.puts[unique] = found
        return found

    def select(self, query: Query[R]) -> tuple[str, list[Any]]:
        """The statement of a query and its parameters."""
        prepared = self.of(query.kind)
        mapping = prepared.mapping
        _check_labels(mapping, query.where)
        descending = query.order.startswith("-")
        order = query.order[1:] if descending else query.order
        last = None if query.after is None or order == "id" else getattr(query.after, order, None)
        after_shape = None if query.after is None else (last is None,)
        shapes = tuple([shape(where) for where in query.where])
        key = (query.order, after_shape, query.limit is None, query.within is None, shapes)
        text = prepared.selects.get(key)
        if text is None:
            text = f"SELECT {_listed(mapping.names)} FROM {mapping.table.name}"
            conditions = self._conditions(mapping, query)
            if query.after is not None:
                conditions.append(self._after(_column(mapping, order), descending, last is None))
            text += f"{_where(conditions)}{self._order(_column(mapping, order), descending)}"
            if query.limit is not None:
                text += f" LIMIT {self.dialect.mark}"
            prepared.selects[key] = text
        parameters = self._bound(mapping, query)
        if query.after is not None:
            if last is not None:
                convert = encoder(mapping.columns[order])
                parameters.append(last if convert is None else convert(last))
            parameters.append(query.after.id)
        if query.limit is not None:
            parameters.append(query.limit)
        return text, parameters

    def count(self, query: Query[R]) -> tuple[str, list[Any]]:
        """Counts what obeys the conditions of a query."""
        return self._on_all("SELECT count(*) FROM {table}", query)

    def update_found(self, query: Query[R], changes: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Sets fields of what obeys the conditions of a query."""
        columns = {name: _column(self.of(query.kind).mapping, name) for name in changes}
        assignments = ", ".join(f'"{name}" = {self.dialect.mark}' for name in columns)
        text, conditions = self._on_all(f"UPDATE {{table}} SET {assignments}", query)
        values = [
            value if value is None or (convert := encoder(columns[name])) is None else convert(value)
            for name, value in changes.items()
        ]
        return text, [*values, *conditions]

    def delete_found(self, query: Query[R]) -> tuple[str, list[Any]]:
        """Removes what obeys the conditions of a query."""
        return self._on_all("DELETE FROM {table}", query)

    def _on_all(self, begin: str, query: Query[R]) -> tuple[str, list[Any]]:
        prepared = self.of(query.kind)
        mapping = prepared.mapping
        _check_labels(mapping, query.where)
        key = (begin, query.within is None, tuple([shape(where) for where in query.where]))
        text = prepared.selects.get(key)
        if text is None:
            text = f"{begin.format(table=mapping.table.name)}{_where(self._conditions(mapping, query))}"
            prepared.selects[key] = text
        return text, self._bound(mapping, query)

    def _conditions(self, mapping: RecordMapping[Any], query: Query[R]) -> list[str]:
        found = [condition(self.dialect, _column(mapping, where.field), where) for where in query.where]
        return found if query.within is None else [*found, inside(query.kind, self.dialect.mark)[0]]

    def _bound(self, mapping: RecordMapping[Any], query: Query[R]) -> list[Any]:
        parameters: list[Any] = []
        for where in query.where:
            bind(self.dialect, _column(mapping, where.field), where, parameters)
        if query.within is not None:
            parameters += [query.within] * inside(query.kind, self.dialect.mark)[1]
        return parameters

    def _order(self, column: Column, descending: bool) -> str:
        direction = "DESC" if descending else "ASC"
        nulls = ""
        if column.nullable:
            nulls = self.dialect.nulls_descending if descending else self.dialect.nulls_ascending
        tie_break = "" if column.name == "id" else f", id {direction}"
        return f' ORDER BY "{column.name}" {direction}{nulls}{tie_break}'

    def _after(self, column: Column, descending: bool, from_null: bool) -> str:
        """What comes after a record whose value is null (or not); nulls come first in ascending order."""
        mark, name, beyond = self.dialect.mark, f'"{column.name}"', "<" if descending else ">"
        if column.name == "id":
            return f"id {beyond} {mark}"
        if from_null:
            same = f"({name} IS NULL AND id {beyond} {mark})"
            return same if descending else f"({same} OR {name} IS NOT NULL)"
        rest = f"({name}, id) {beyond} ({mark}, {mark})"
        return f"({rest} OR {name} IS NULL)" if descending and column.nullable else rest


def _insert(table: Table, names: Sequence[str], mark: str) -> str:
    return f"INSERT INTO {table.name} ({_listed(names)}) VALUES ({', '.join([mark] * len(names))})"


def _excluded(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}" = excluded."{name}"' for name in names)


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _column(mapping: RecordMapping[Any], name: str) -> Column:
    try:
        return mapping.columns[name]
    except KeyError:
        raise UsageError(
            f"A {mapping.kind.__name__} has no field '{name}'.", hint=f"Its fields are: {', '.join(mapping.names)}."
        ) from None


def _check_labels(mapping: RecordMapping[Any], conditions: Sequence[Where]) -> None:
    for where in conditions:
        if where.op in ("has", "lacks") and (mapping.table.name != "workflows" or where.field != "labels"):
            raise UsageError(f"'{where.op}' asks for labels of workflows, not for '{where.field}' of others.")


def _check_unique(mapping: RecordMapping[Any], names: tuple[str, ...]) -> None:
    table = mapping.table
    if not any(set(names) == set(columns) for columns in (table.primary_key, *table.uniques)):
        raise UsageError(
            f"The fields ({', '.join(names)}) do not tell one {mapping.kind.__name__} from all others.",
            hint=f"Unique together: {'; '.join(', '.join(columns) for columns in table.uniques) or 'id'}.",
        )
