"""PostgreSQL: the server's database. SQLAlchemy keeps the pool of connections, psycopg carries statements out."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from psycopg.errors import (
    CheckViolation,
    DataError,
    DeadlockDetected,
    DiskFull,
    LockNotAvailable,
    NotNullViolation,
    SerializationFailure,
    UndefinedTable,
    UniqueViolation,
)
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tiphys.db.database import Database, Unit, constrained_columns, needs_upgrade, taken
from tiphys.db.dialects import POSTGRESQL
from tiphys.db.schema import VERSION_TABLE
from tiphys.db.statements import Statements
from tiphys.errors import DiskFullError, StoreError, TiphysError, UsageError
from tiphys.plugins.loading import load

#: Connections kept open, and how many more may be opened for a while.
_POOL_SIZE, _POOL_OVERFLOW = 10, 20
#: Seconds to wait for a free connection.
_PATIENCE = 60.0


_BEGIN_WRITE = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresqlDatabase(Database):
    """A database on a PostgreSQL server.

    Args:
        url: With the scheme `postgresql+psycopg`.
    """

    driver_errors = (psycopg.Error, OverflowError, UnicodeEncodeError)

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise UsageError("The URL of the PostgreSQL database cannot be read.") from error
        self._where = _without_password(parsed)
        self.statements = Statements(POSTGRESQL)
        self._closed = False
        self._engine = create_engine(
            parsed, pool_size=_POOL_SIZE, max_overflow=_POOL_OVERFLOW, pool_timeout=_PATIENCE, pool_use_lifo=True
        )
        try:
            if needs_upgrade(self._version()):
                load("tiphys.db.upgrade:upgrade")(self._engine)
        except (SQLAlchemyError, psycopg.Error) as error:
            self.close()
            cause = getattr(error, "orig", None) or error
            raise (
                self._unreachable(error) if isinstance(cause, psycopg.OperationalError) else self.translate(cause)
            ) from error
        except BaseException:
            self.close()
            raise

    def begin(self, *, write: bool) -> Unit:
        """Begin a transaction: a reader sees one moment, a writer what others have committed."""
        if self._closed:
            raise StoreError(f"The database {self._where} was closed.")
        for _ in range(_POOL_SIZE):
            with contextlib.suppress(psycopg.Error):
                return self._begun(write=write)
            # It was lost while it lay in the pool, as others there may have been: the server was restarted.
        try:
            return self._begun(write=write)
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _begun(self, *, write: bool) -> Unit:
        """A transaction, which was begun on the server: the driver would do it, too, just before the first statement.

        Raises:
            psycopg.Error: the connection is lost. Nothing was asked for yet.
        """
        try:
            pooled = self._engine.raw_connection()
        except (SQLAlchemyError, psycopg.Error) as error:
            raise self._unreachable(error) from error
        connection: Any = pooled.driver_connection
        try:
            if not connection.autocommit:
                connection.autocommit = True  # else the driver would begin one itself
            cursor = connection.cursor()
            cursor.execute(_BEGIN_WRITE if write else _BEGIN_READ, prepare=False)
        except psycopg.Error:
            pooled.invalidate()
            raise
        return Unit(pooled, cursor, write)

    def end(self, unit: Unit, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back."""
        pooled = unit.connection
        connection = pooled.driver_connection
        try:
            if commit:
                connection.commit()
            elif not connection.closed:
                connection.rollback()
        except psycopg.Error as error:
            raise self.translate(error) from error
        finally:
            if connection.closed:
                pooled.invalidate()
            else:
                pooled.close()

    def translate(self, error: Exception) -> TiphysError:
        """An error of the driver in our words."""
        if isinstance(error, UniqueViolation):
            table = error.diag.table_name or ""
            return taken(table, constrained_columns(table, error.diag.constraint_name or ""))
        if isinstance(error, NotNullViolation):
            return UsageError(f"The field '{error.diag.column_name}' of '{error.diag.table_name}' must not be None.")
        if isinstance(error, (OverflowError, UnicodeEncodeError, DataError, CheckViolation)):
            return UsageError(f"A value cannot be stored: {_first_line(error)}.")
        if isinstance(error, (DeadlockDetected, SerializationFailure, LockNotAvailable)):
            return StoreError(
                f"Another transaction on {self._where} held what this one needed: {_first_line(error)}.",
                hint="Try again.",
            )
        if isinstance(error, DiskFull):
            return DiskFullError(
                f"The disk of the database {self._where} is full: {_first_line(error)}.",
                hint="Make room there and try again.",
            )
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return self._lost(error)
        return StoreError(f"The database {self._where} failed: {_first_line(error)}.")

    def close(self) -> None:
        """Close all idle connections."""
        self._closed = True
        self._engine.dispose()

    def _version(self) -> str | None:
        pooled = self._engine.raw_connection()
        with contextlib.closing(pooled):
            try:
                row = pooled.cursor().execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
            except UndefinedTable:
                return None
            return None if row is None else str(row[0])

    def _unreachable(self, error: Exception) -> StoreError:
        return StoreError(
            f"The database {self._where} cannot be reached: {_first_line(error)}.",
            hint="Check that the server runs, and the address, the user and the password in TIPHYS_DB_URL.",
        )

    def _lost(self, error: Exception) -> StoreError:
        return StoreError(
            f"The connection to the database {self._where} was lost: {_first_line(error)}.",
            hint="Try again: the next transaction connects anew.",
        )


def _without_password(url: URL) -> str:
    return f"'{url.set(drivername='postgresql').render_as_string(hide_password=True)}'"


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return text.partition("\n")[0].rstrip(".") or type(error).__name__
