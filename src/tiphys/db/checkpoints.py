"""Works SQLite's write-ahead log into its file, in a thread beside the writers.

SQLite would do it in the commit that made the log long enough, which then waits tens of milliseconds for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

#: Commits between two checkpoints: a step's are about 16 pages, so the log stays below what SQLite itself waits for.
COMMITS = 200
#: Seconds to wait for the writers of this process to pause.
_PATIENCE = 1.0


class Checkpoints:
    """Checkpoints of one file, one at a time.

    Args:
        connect: Opens a connection to the file.
        write_lock: Held by whoever writes in this process.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], write_lock: threading.Lock) -> None:
        self._connect = connect
        self._write_lock = write_lock
        self._commits = 0
        self._thread: threading.Thread | None = None

    def count(self) -> None:
        """Note a commit; the caller holds the write lock."""
        self._commits += 1
        if self._commits >= COMMITS and (self._thread is None or not self._thread.is_alive()):
            self._commits = 0
            thread = threading.Thread(target=self._carry_out, name="tiphys-checkpoint", daemon=True)
            # While the interpreter ends there are no more threads: whoever opens the file next works the log in.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def wait(self) -> None:
        """Wait for the end of the one that is carried out."""
        if self._thread is not None:
            self._thread.join()

    def _carry_out(self) -> None:
        try:
            connection = self._connect()
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._finish(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            # Nothing is lost: the log goes on, and SQLite works it in with a later commit.
            _log.warning("The write-ahead log could not be worked into the database: %s", error)

    def _finish(self, connection: sqlite3.Connection) -> None:
        """Work in what was written meanwhile; the log begins anew only if a writer finds nothing left in it."""
        if self._write_lock.acquire(timeout=_PATIENCE):
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                self._write_lock.release()
