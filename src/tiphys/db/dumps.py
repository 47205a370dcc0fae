"""A database as one file and back: SQLite by its online backup, PostgreSQL by `pg_dump` and `pg_restore`.

Both read one moment of the database while others write on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiphys.db.database import needs_upgrade
from tiphys.db.schema import ALL_TABLES, VERSION_TABLE
from tiphys.errors import ConflictError, MissingExtraError, StoreError, UsageError
from tiphys.plugins.loading import load

#: Seconds to wait for writers.
_PATIENCE = 60.0
#: Seconds in which PostgreSQL notices the end of those who were connected.
_ENDING = 2.0
#: Who else is connected; a vacuum that PostgreSQL began by itself makes way.
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
#: Of what a process carried out nothing runs where a copy of it is put.
_DISOWN = "UPDATE workflows SET owner = '' WHERE finished_at IS NULL"


class Dumps(ABC):
    """Writes a database to a file, and makes it anew from one."""

    #: "sqlite" or "postgresql": a dump is put back into a database of the same kind.
    kind: str

    @abstractmethod
    def write(self, file: Path) -> dict[str, int]:
        """Write the database as it is now; returns the rows of each table.

        Raises:
            StoreError: it cannot be read, or the file is not a whole database.
        """

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Rows of each table that has some; nothing if there is no database yet."""

    @abstractmethod
    def replace(self, file: Path) -> None:
        """Make the database what was written, whatever there was before.

        Raises:
            ConflictError: somebody uses the database.
            StoreError: the file cannot be put back; what was there stays.
        """


def dumps_of(url: str) -> Dumps:
    """What writes and makes anew the database at a URL.

    Raises:
        UsageError: it is of no kind that is known.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return SqliteDumps(Path(rest.partition("?")[0].removeprefix("/")))
    if scheme.partition("+")[0] in ("postgresql", "postgres"):
        try:
            load("psycopg:connect")
        except ModuleNotFoundError as error:
            raise MissingExtraError("postgresql", "psycopg") from error
        return PostgresqlDumps(f"postgresql://{rest}")
    raise UsageError(f"'{scheme}' is not a kind of database that Tiphys can use.")


class SqliteDumps(Dumps):
    """A database file.

    Args:
        path: Where it is.
    """

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, file: Path) -> dict[str, int]:
        """Copy the file in one step: writers go on, and do not have it begin anew."""
        if not self._path.exists():
            raise StoreError(f"There is no database '{self._path}'.")
        try:
            with _opened(self._path) as source, _opened(file) as target:
                source.backup(target)
                _check(target, file)
                return _rows(target)
        except sqlite3.Error as error:
            raise StoreError(f"The database '{self._path}' cannot be copied: {error}.") from error

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        if not self._path.exists():
            return {}
        try:
            with _opened(self._path) as connection:
                return _rows(connection)
        except sqlite3.Error as error:
            raise StoreError(f"The database '{self._path}' cannot be read: {error}.") from error

    def replace(self, file: Path) -> None:
        """Put a copy of the file in the place of the database."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        made = self._path.with_name(f"{self._path.name}.restored")
        shutil.copyfile(file, made)
        try:
            with _opened(made) as connection:
                _check(connection, file)
                with connection:
                    connection.execute(_DISOWN)
            with self._alone():
                made.replace(self._path)
        except sqlite3.Error as error:
            raise StoreError(f"'{file.name}' cannot be put back: {error}.") from error
        finally:
            for left in ("", "-wal", "-shm"):
                made.with_name(made.name + left).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else has the present database open; nothing of it is left in its write-ahead log."""
        if not self._path.exists():
            yield
            return
        with contextlib.closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise ConflictError(
                    f"The database '{self._path}' is in use.", hint="End the server and all else that uses it first."
                ) from error
            # The lock is kept beyond the transaction.
            connection.execute("ROLLBACK")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for left in ("-wal", "-shm"):
                self._path.with_name(self._path.name + left).unlink(missing_ok=True)
            yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
        yield connection


def _check(connection: sqlite3.Connection, file: Path) -> None:
    """See that a copy is a whole database of ours."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreError(f"The copy '{file.name}' is damaged: {found}.")
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    needs_upgrade(row[0] if row else None)


def _rows(connection: Any) -> dict[str, int]:
    """Rows of those tables that there are and that are not empty; of an older revision some are missing."""
    found = {}
    for table in ALL_TABLES:
        with contextlib.suppress(sqlite3.OperationalError):
            (count,) = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            if count:
                found[table.name] = count
    return found


class PostgresqlDumps(Dumps):
    """A database on a server, by PostgreSQL's own programs.

    Args:
        url: `postgresql://…`.
    """

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = url

    def write(self, file: Path) -> dict[str, int]:
        """Run `pg_dump`; the rows are counted in the moment that it reads."""
        with self._connection() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone()
            self._run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={file}")
            return self._rows(connection)

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        with self._connection() as connection:
            return self._rows(connection)

    def replace(self, file: Path) -> None:
        """Run `pg_restore`, in one transaction."""
        until = time.monotonic() + _ENDING
        with self._connection() as connection:
            while connection.execute(_OTHERS).fetchone()[0]:
                if time.monotonic() > until:
                    hint = "End the servers and all else that uses it first."
                    raise ConflictError("The database is in use.", hint=hint)
                time.sleep(0.05)
        options = ("--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges")
        self._run("pg_restore", *options, f"--dbname={self._settings()['PGDATABASE']}", str(file))
        with self._connection() as connection:
            connection.execute(_DISOWN)

    def _connection(self) -> Any:
        try:
            return load("psycopg:connect")(self._url, autocommit=True)
        except load("psycopg:Error") as error:
            raise StoreError(f"The database cannot be reached: {str(error).partition(chr(10))[0]}.") from error

    def _rows(self, connection: Any) -> dict[str, int]:
        there = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        tables = [table.name for table in ALL_TABLES if table.name in there]
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        return {name: count for name, count in counts.items() if count}

    def _settings(self) -> dict[str, str]:
        """How libpq finds the database: in the environment, as arguments can be seen by everybody."""
        names = {"dbname": "PGDATABASE", "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        found: dict[str, Any] = load("psycopg.conninfo:conninfo_to_dict")(self._url)
        others = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}
        return {variable: str(found[name]) for name, variable in (names | others).items() if found.get(name)}

    def _run(self, program: str, *arguments: str) -> None:
        path = shutil.which(program)
        if path is None:
            raise UsageError(
                f"The program '{program}' is not installed.", hint="It comes with PostgreSQL's client programs."
            )
        done = subprocess.run(  # noqa: S603  # the program and its arguments are ours
            [path, *arguments], env={**os.environ, **self._settings()}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StoreError(f"{program} failed: {done.stderr.strip()[-500:]}")
