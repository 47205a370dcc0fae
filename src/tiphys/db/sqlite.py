"""SQLite: the embedded database. One writing connection, taken in turns by the threads; readers have their own.

The standard library's driver is used as it is: a step of a pipeline is a dozen statements, and opening a home should
import nothing large.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
import time
from pathlib import Path

from tiphys.db.checkpoints import Checkpoints
from tiphys.db.database import Database, Unit, needs_upgrade, taken
from tiphys.db.ddl import create_statements
from tiphys.db.dialects import SQLITE
from tiphys.db.schema import VERSION_TABLE
from tiphys.db.statements import Statements
from tiphys.errors import DiskFullError, StoreError, TiphysError, UsageError
from tiphys.plugins.loading import load

#: Upserts, RETURNING and JSON functions.
_OLDEST_SQLITE = (3, 35)
#: Seconds to wait for other writers, in this process and in others.
_PATIENCE = 60.0
#: Bytes of a page in a new file: half of SQLite's default. A step's commit writes some fifteen pages of which little
#: changed, so smaller ones make it a tenth quicker; still smaller ones gained nothing more.
_PAGE_SIZE = 2048
#: Kilobytes of pages that connections keep. Readers are many, as many as threads read at once, and what they read stays
#: in the system's memory anyhow.
_WRITER_CACHE, _READER_CACHE = 16_000, 2_000
#: Pages of the write-ahead log before a commit works it into the file and waits for the disk (about 32 MB); usually
#: `Checkpoints` was quicker.
_CHECKPOINT_PAGES = 16_000
#: Bytes on a disk below which an unexplained failure is taken for want of room.
_SCANT = 1_000_000
_CONSTRAINT = re.compile(r"(UNIQUE|NOT NULL) constraint failed: (\w+)\.(.*)")
#: Connections that a forked process inherited: closing them there could damage the file, so they are only kept.
_inherited: list[sqlite3.Connection] = []


class SqliteDatabase(Database):
    """A database file."""

    driver_errors = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError)

    def __init__(self, path: Path) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(
                f"Python's SQLite is {sqlite3.sqlite_version}; 3.35 or newer is needed.",
                hint="Use a Python with a newer SQLite, or PostgreSQL (TIPHYS_DB_URL).",
            )
        self.path = path
        self.statements = Statements(SQLITE)
        self._closed = False
        self._process = os.getpid()
        self._write_lock = threading.Lock()
        self._checkpoints = Checkpoints(self._connect, self._write_lock)
        self._pool_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = connection = self._connect(write=True)
            self._prepare(connection)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise self.translate(error) from error
        except BaseException:
            self.close()
            raise

    def begin(self, *, write: bool) -> Unit:
        """Begin a transaction; writers of this process wait for each other."""
        if self._process != os.getpid():
            self._leave_parent()
        if self._closed:
            raise StoreError(f"The database '{self.path}' was closed.")
        if not write:
            return self._begin_reading()
        if not self._write_lock.acquire(timeout=_PATIENCE):
            raise self._locked()
        try:
            connection = self._writer = self._writer or self._connect(write=True)
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._write_lock.release()
            if isinstance(error, sqlite3.Error):
                raise self.translate(error) from error
            raise
        return Unit(connection, cursor, write)

    def end(self, unit: Unit, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back."""
        connection: sqlite3.Connection = unit.connection
        try:
            if commit:
                connection.execute("COMMIT")
                if unit.write and not self._closed:
                    self._checkpoints.count()
        except sqlite3.Error as error:
            raise self.translate(error) from error
        finally:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                if unit.write:
                    if self._closed:
                        self._close_writer()
                    self._write_lock.release()
                else:
                    self._give_back(connection)

    def translate(self, error: Exception) -> TiphysError:
        """An error of the driver in our words."""
        text = str(error)
        if isinstance(error, sqlite3.IntegrityError) and (match := _CONSTRAINT.match(text)):
            what, table, rest = match.groups()
            columns = [column.rpartition(".")[2] for column in rest.split(", ")]
            if what == "UNIQUE":
                return taken(table, columns)
            return UsageError(f"The field '{columns[0]}' of '{table}' must not be None.")
        if isinstance(error, (OverflowError, UnicodeEncodeError, sqlite3.InterfaceError, sqlite3.ProgrammingError)):
            return UsageError(f"A value cannot be stored: {text}.")
        if "locked" in text or "busy" in text:
            return self._locked()
        # What SQLite shares between processes needs room, too, and says no more than "I/O error".
        if "full" in text or ("I/O" in text and _is_scant(self.path.parent)):
            return DiskFullError(
                f"The database '{self.path}' failed: {text}.", hint="The disk is full: make room and try again."
            )
        return StoreError(f"The database '{self.path}' failed: {text}.", hint=_hint(text))

    def close(self) -> None:
        """Close all idle connections."""
        self._closed = True
        self._checkpoints.wait()
        with self._pool_lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        # A transaction that still runs closes the connection at its end.
        if self._write_lock.acquire(blocking=False):
            self._close_writer()
            self._write_lock.release()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _leave_parent(self) -> None:
        _inherited.extend(self._idle)
        if self._writer is not None:
            _inherited.append(self._writer)
        self._process = os.getpid()
        self._write_lock = threading.Lock()
        self._checkpoints = Checkpoints(self._connect, self._write_lock)
        self._pool_lock = threading.Lock()
        self._writer = None
        self._idle = []

    def _connect(self, *, write: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            _use_write_ahead_log(connection)
            # In this mode a crash of the process loses nothing; one of the machine at most the last transactions.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE if write else _READER_CACHE}")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_reading(self) -> Unit:
        try:
            with self._pool_lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
            cursor = connection.cursor()
            cursor.execute("BEGIN")
        except sqlite3.Error as error:
            raise self.translate(error) from error
        return Unit(connection, cursor, False)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the tables of an empty file; migrate those of an older one."""
        version = self._version(connection)
        if not needs_upgrade(version):
            return
        if version is None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                version = self._version(connection)  # another process may have been quicker
                if version is None:
                    self._refuse_foreign(connection)
                    for statement in create_statements():
                        connection.execute(statement)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        if version is not None and needs_upgrade(version):
            load("tiphys.db.upgrade:upgrade_sqlite")(self.path, _PATIENCE)

    def _version(self, connection: sqlite3.Connection) -> str | None:
        try:
            row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
        return None if row is None else str(row[0])

    def _refuse_foreign(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> ? LIMIT 1", [VERSION_TABLE]
        ).fetchone()
        if found is not None:
            raise StoreError(
                f"The file '{self.path}' is a database of another program (it has a table '{found[0]}').",
                hint="Name a file that does not exist yet.",
            )

    def _locked(self) -> StoreError:
        return StoreError(
            f"The database '{self.path}' stayed locked for {_PATIENCE:.0f} seconds by another writer.",
            hint="Try again; if it goes on, look for a process that holds the file open (and is stopped, perhaps).",
        )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Unlike other statements this one does not wait for locks by itself.
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _is_scant(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _SCANT
    except OSError:
        return False


def _hint(text: str) -> str | None:
    if "unable to open" in text or "readonly" in text or "ermission" in text:
        return "Check that the file's folder exists and may be written to."
    if "not a database" in text or "malformed" in text:
        return "The file is damaged or no SQLite database; restore it from a backup, or name another one."
    return None
