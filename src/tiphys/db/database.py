"""What a store needs of a database: units of work on connections, and its errors in our words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tiphys.db.schema import ALL_TABLES, HEAD, RECORD_TABLES, REVISIONS
from tiphys.db.statements import Statements
from tiphys.errors import AlreadyExistsError, StoreError, TiphysError


class Cursor(Protocol):
    """What is used of a driver's cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any:
        """Carry out a statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        """Carry out a statement for each set of parameters."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """The remaining rows."""


@dataclass(slots=True)
class Unit:
    """A begun transaction on one connection."""

    connection: Any
    cursor: Cursor
    write: bool


class Database(ABC):
    """A database that can be reached. Thread-safe."""

    #: Errors of the driver that `translate` understands.
    driver_errors: tuple[type[Exception], ...]
    statements: Statements

    @abstractmethod
    def begin(self, *, write: bool) -> Unit:
        """Begin a transaction; every unit is to be given to `end` once."""

    @abstractmethod
    def end(self, unit: Unit, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back.

        Raises:
            StoreError: the commit failed; nothing of the unit is kept (or, where the connection was lost meanwhile, it
                is unknown whether it is).
        """

    @abstractmethod
    def translate(self, error: Exception) -> TiphysError:
        """An error of the driver in our words."""

    @abstractmethod
    def close(self) -> None:
        """Close all idle connections; nothing can begin after it."""


_KIND_NAMES = {table.name: kind.__name__ for kind, table in RECORD_TABLES.items()}
_TABLES = {table.name: table for table in ALL_TABLES}


def taken(table: str, columns: Sequence[str]) -> AlreadyExistsError:
    """The error for unique columns whose values are in use."""
    kind = _KIND_NAMES.get(table, f"row of '{table}'")
    return AlreadyExistsError(f"A {kind} with the same {' and '.join(columns)} exists already.")


def constrained_columns(table: str, constraint: str) -> tuple[str, ...]:
    """Columns of a named constraint; the name itself if it is not one of ours."""
    described = _TABLES.get(table)
    return (described.key_columns(constraint) if described else ()) or (constraint,)


def needs_upgrade(version: str | None) -> bool:
    """Whether a database at `version` (None: no tables yet) has to be migrated before use.

    Raises:
        StoreError: the database is newer than this code.
    """
    if version == HEAD:
        return False
    if version is None or version in REVISIONS:
        return True
    raise StoreError(
        f"The database has the schema revision {version}, which this Tiphys does not know (its own is {HEAD}): "
        "a newer Tiphys has used it.",
        hint="Upgrade this installation (pip install --upgrade tiphys), or use another TIPHYS_HOME or TIPHYS_DB_URL.",
    )
