"""The metadata store on an SQL database: `open_store` is the way in."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from tiphys.db.database import Database, Unit
from tiphys.db.session import SqlReader, SqlTransaction
from tiphys.db.sqlite import SqliteDatabase
from tiphys.errors import MissingExtraError, StoreError, UsageError
from tiphys.plugins.loading import load
from tiphys.ports.store import Reader, Store, Transaction

S = TypeVar("S", bound=SqlReader)

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


class SqlStore(Store):
    """A store on SQLite or PostgreSQL.

    The tables are created, or migrated if an older Tiphys made them, when it is opened.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user:password@host:port/database`.

    Raises:
        UsageError: the URL is not understood.
        MissingExtraError: PostgreSQL's driver is not installed.
        StoreError: the database cannot be reached, or a newer Tiphys has used it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = _database(url)
        self.shared = not isinstance(self._database, SqliteDatabase)
        self._writing = threading.local()

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Read and write; commits at the end, rolls back on an exception."""
        return _Work(self._database, SqlTransaction, self._writing)

    def reader(self) -> AbstractContextManager[Reader]:
        """Read only, all from one moment."""
        return _Work(self._database, SqlReader, None)

    def close(self) -> None:
        """Give connections back."""
        self._database.close()


def open_store(url: str) -> SqlStore:
    """Open the store at `url`; see `SqlStore`."""
    return SqlStore(url)


class _Work(Generic[S]):
    """One transaction as a context manager (a class, as it is entered for every step)."""

    __slots__ = ("_database", "_kind", "_session", "_unit", "_writing")

    def __init__(self, database: Database, kind: type[S], writing: threading.local | None) -> None:
        self._database = database
        self._kind = kind
        self._writing = writing

    def __enter__(self) -> S:
        writing = self._writing
        if writing is not None and getattr(writing, "active", False):
            raise StoreError(
                "A transaction was begun inside another one of the same thread: the inner one would wait for ever.",
                hint="Hand the outer transaction on.",
            )
        self._unit: Unit = self._database.begin(write=writing is not None)
        self._session = self._kind(self._database, self._unit)
        if writing is not None:
            writing.active = True
        return self._session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        writing = self._writing
        if writing is not None:
            writing.active = False
        failure = self._session.failure
        self._database.end(self._unit, commit=kind is None and failure is None)
        if kind is None and failure is not None:
            raise StoreError(f"Nothing of the transaction was kept: {failure.message}") from failure


def _database(url: str) -> Database:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise UsageError(f"'{url}' is not the URL of a database.", hint=_URL_HINT)
    if scheme == "sqlite":
        path = rest.partition("?")[0].removeprefix("/")
        if rest[:1] != "/" or not path or path == ":memory:":
            raise UsageError(f"'{url}' names no file.", hint=_URL_HINT)
        return SqliteDatabase(Path(path))
    if scheme in _POSTGRESQL:
        try:
            database: Database = load("tiphys.db.postgresql:PostgresqlDatabase")(f"postgresql+psycopg://{rest}")
        except ModuleNotFoundError as error:
            if error.name != "psycopg":
                raise
            raise MissingExtraError("postgresql", "psycopg") from error
        return database
    raise UsageError(f"'{scheme}' is not a kind of database that Tiphys can use.", hint=_URL_HINT)


_URL_HINT = "Write sqlite:///path/to/file.db or postgresql://user:password@host:5432/database."
