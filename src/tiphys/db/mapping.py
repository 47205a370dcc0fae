"""Records to rows and back. What has to be converted is worked out once a kind, not once a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic

from tiphys.db.schema import Column, ColumnType, table_of
from tiphys.errors import UsageError
from tiphys.records.base import R

Convert = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


# Escapes keep out of the text what databases refuse there: NUL and halves of surrogate pairs.
_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def to_json(value: Any) -> str:
    """Compact JSON (NaN and infinities as Python's json writes them)."""
    if not value and value.__class__ is dict:
        return "{}"
    try:
        return _encode(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"A value cannot be stored: {error}.", hint="Only JSON values can be stored.") from error


def from_json(text: str) -> Any:
    """What `to_json` wrote."""
    return {} if text == "{}" else json.loads(text)


def to_micros(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch."""
    try:
        passed = moment - _EPOCH
    except TypeError as error:
        raise UsageError(f"The time {moment!r} has no time zone, so it cannot be stored.") from error
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def from_micros(micros: int) -> datetime:
    """Microseconds since the epoch as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def holdable(text: str) -> str:
    """`text` with U+FFFD for what no database can hold in a text: NUL and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _enum_value(value: str) -> str:
    return str.__str__(value)


def encoder(column: Column) -> Convert | None:
    """What turns a value that is not None into one for the driver; None if nothing has to be done."""
    match column.data_type:
        case ColumnType.TIME:
            return to_micros
        case ColumnType.JSON:
            return to_json
        case ColumnType.ENUM:
            return _enum_value
        case ColumnType.FREE_TEXT:
            return holdable
        case _:
            return None


def _members(enum: type[StrEnum]) -> Convert:
    return {member.value: member for member in enum}.__getitem__


def decoder(column: Column) -> Convert | None:
    """The inverse of `encoder`."""
    match column.data_type:
        case ColumnType.TIME:
            return from_micros
        case ColumnType.JSON:
            return from_json
        case ColumnType.BOOLEAN:
            return bool
        case ColumnType.ENUM if column.enum is not None:
            return _members(column.enum)
        case _:
            return None


class RecordMapping(Generic[R]):
    """How records of one kind stand in their table. The columns of a row are in the order of the record's fields."""

    def __init__(self, kind: type[R]) -> None:
        self.kind = kind
        self.table = table_of(kind)
        self.columns: dict[str, Column] = {
            column.name: column for column in self.table.columns if column.name in kind.__dataclass_fields__
        }
        self.names: tuple[str, ...] = tuple(self.columns)
        self._values: Callable[[R], Sequence[Any]] = attrgetter(*self.names)
        columns = list(enumerate(self.columns.values()))
        self._encoders = [(i, convert) for i, column in columns if (convert := encoder(column))]
        self._decoders = [(i, convert) for i, column in columns if (convert := decoder(column))]

    def row(self, record: R) -> list[Any]:
        """A record as values for the driver."""
        values = list(self._values(record))
        for index, convert in self._encoders:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return values

    def record(self, row: Iterable[Any]) -> R:
        """A row of the driver as a record."""
        values = list(row)
        for index, convert in self._decoders:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return self.kind(**dict(zip(self.names, values, strict=True)))
