"""What SQLite and PostgreSQL write differently, and how a query's conditions are written and bound."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiphys.db.mapping import encoder
from tiphys.db.schema import Column, ColumnType
from tiphys.errors import UsageError
from tiphys.records.base import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The few words that differ."""

    name: str
    #: Placeholder of a parameter.
    mark: str
    #: Inequality for which null is a value like others.
    differs: str
    #: Function (text, part) → position, from 1; 0 if it does not occur.
    position: str
    #: After `{column} `: one of a list that is given as one parameter, however long.
    any_of: str
    #: PostgreSQL would sort nulls as the greatest, SQLite does as the smallest; both are made to do as SQLite.
    nulls_ascending: str
    nulls_descending: str
    #: Whether a list is bound as JSON text.
    json_lists: bool
    #: The database's own time, in microseconds since the epoch.
    now: str
    #: After a SELECT: the rows are kept from others until the transaction ends. SQLite has one writer at a time anyway.
    for_update: str
    #: Statement that waits for all transactions with the same number, as its parameter; empty where there are none.
    serialize: str

    def list_parameter(self, values: Iterable[Any]) -> Any:
        """A list as the one parameter of `any_of`."""
        return json.dumps(list(values)) if self.json_lists else list(values)


SQLITE = Dialect(
    name="sqlite",
    mark="?",
    differs="IS NOT",
    position="instr",
    any_of="IN (SELECT value FROM json_each(?))",
    nulls_ascending="",
    nulls_descending="",
    json_lists=True,
    now="CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    for_update="",
    serialize="",
)
POSTGRESQL = Dialect(
    name="postgresql",
    mark="%s",
    differs="IS DISTINCT FROM",
    position="strpos",
    any_of="= ANY(%s)",
    nulls_ascending=" NULLS FIRST",
    nulls_descending=" NULLS LAST",
    json_lists=False,
    now="CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
    for_update=" ORDER BY id FOR NO KEY UPDATE",
    serialize="SELECT pg_advisory_xact_lock(%s)",
)

_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TEXTS = (ColumnType.TEXT, ColumnType.FREE_TEXT)
_PYTHON_TYPES: dict[ColumnType, tuple[type, ...]] = {
    ColumnType.TEXT: (str,),
    ColumnType.FREE_TEXT: (str,),
    ColumnType.ENUM: (str,),
    ColumnType.INTEGER: (int,),
    ColumnType.BOOLEAN: (bool,),
    ColumnType.TIME: (datetime,),
}


def condition(dialect: Dialect, column: Column, where: Where) -> str:
    """The SQL of one condition; depends on `shape(where)` and the column only."""
    name = f'"{column.name}"'
    match where.op:
        case "eq":
            return f"{name} IS NULL" if where.value is None else f"{name} = {dialect.mark}"
        case "ne":
            return f"{name} IS NOT NULL" if where.value is None else f"{name} {dialect.differs} {dialect.mark}"
        case "in":
            one_of = f"{name} {dialect.any_of}"
            return f"({one_of} OR {name} IS NULL)" if None in where.value else one_of
        case "prefix":
            upper = "" if after_prefix(where.value) is None else f" AND {name} < {dialect.mark}"
            return f"{name} >= {dialect.mark}{upper}"
        case "contains":
            return f"{dialect.position}({name}, {dialect.mark}) > 0"
        case "has" | "lacks":
            one_of = "" if where.value[1] is None else f' AND "value" {dialect.any_of}'
            labelled = f'SELECT workflow_uid FROM workflow_labels WHERE "key" = {dialect.mark}{one_of}'
            return f"id {'IN' if where.op == 'has' else 'NOT IN'} ({labelled})"
        case "lt" | "le" | "gt" | "ge":
            return f"{name} {_COMPARISONS[where.op]} {dialect.mark}"
    raise UsageError(f"'{where.op}' is not an operator of a condition (on the field '{where.field}').")


def shape(where: Where) -> tuple[Any, ...]:
    """What of a condition decides its SQL."""
    value = where.value
    match where.op:
        case "in":
            return (where.field, "in", None in value)
        case "prefix":
            return (where.field, "prefix", after_prefix(value) is None)
        case "has" | "lacks":
            return (where.field, where.op, value[1] is None)
        case _:
            return (where.field, where.op, value is None)


def bind(dialect: Dialect, column: Column, where: Where, parameters: list[Any]) -> None:
    """Append the parameters of one condition, in the order of its marks."""
    value = where.value
    if where.op == "in":
        values = [_parameter(column, where, item) for item in value if item is not None]
        parameters.append(dialect.list_parameter(values))
        return
    if where.op in ("has", "lacks"):
        key, values = value
        parameters.append(key)
        if values is not None:
            parameters.append(dialect.list_parameter(values))
        return
    if value is None:
        if where.op not in ("eq", "ne"):
            raise UsageError(f"The field '{where.field}' cannot be compared with None by '{where.op}'.")
        return
    if (
        where.op in ("prefix", "contains")
        and column.data_type not in _TEXTS
        and column.data_type is not ColumnType.ENUM
    ):
        raise UsageError(f"'{where.op}' asks for a part of a text, and the field '{where.field}' is none.")
    if where.op in _COMPARISONS and column.data_type is ColumnType.JSON:
        raise UsageError(f"The field '{where.field}' is JSON, which has no order.")
    parameters.append(_parameter(column, where, value))
    if where.op == "prefix" and (upper := after_prefix(value)) is not None:
        parameters.append(upper)


def after_prefix(prefix: Any) -> str | None:
    """The smallest text after all that begin with `prefix`; None if there is none (an empty prefix)."""
    text = str(prefix)
    while text:
        point = ord(text[-1]) + 1
        if point <= 0x10FFFF:
            # The halves of surrogate pairs are no characters of their own.
            return text[:-1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
        text = text[:-1]
    return None


def _parameter(column: Column, where: Where, value: Any) -> Any:
    expected = _PYTHON_TYPES.get(column.data_type)
    if expected is not None and not isinstance(value, expected):
        raise UsageError(
            f"The field '{where.field}' holds {column.data_type.value} and was compared with "
            f"{value!r} ({type(value).__name__})."
        )
    convert = encoder(column)
    return value if convert is None else convert(value)
