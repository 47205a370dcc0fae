"""The write-ahead log is worked into the file beside the writers."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.db import checkpoints
from tiphys.db.checkpoints import Checkpoints

Connect = Callable[[], sqlite3.Connection]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    opened: list[sqlite3.Connection] = []

    def make() -> sqlite3.Connection:
        connection = sqlite3.connect(tmp_path / "t.db", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture(autouse=True)
def _few_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "COMMITS", 3)


def in_the_file_alone(folder: Path) -> int:
    """Rows that are seen without the log."""
    copy = folder / "copy.db"
    shutil.copy(folder / "t.db", copy)
    with sqlite3.connect(copy) as connection:
        (count,) = connection.execute("SELECT count(*) FROM t").fetchone()
    connection.close()
    return int(count)


def test_the_log_is_worked_in_after_some_commits(tmp_path: Path, connect: Connect) -> None:
    writer, lock = connect(), threading.Lock()
    tested = Checkpoints(connect, lock)
    writer.execute("CREATE TABLE t (x)")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    seen = []
    for number in range(6):
        with lock:
            writer.execute("INSERT INTO t VALUES (?)", [number])
            tested.count()
        tested.wait()
        seen.append(in_the_file_alone(tmp_path))
    assert seen == [0, 0, 3, 3, 3, 6]


def test_what_is_written_meanwhile_is_worked_in_so_that_the_log_begins_anew(tmp_path: Path, connect: Connect) -> None:
    writer = connect()
    writer.execute("CREATE TABLE t (x)")
    late = ["late"]

    class Slow(sqlite3.Connection):
        """Another writer is quick while this one works the log in."""

        def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
            done = super().execute(sql, parameters)
            while late:
                writer.execute("INSERT INTO t VALUES (?)", [late.pop()])
            return done

    tested = Checkpoints(
        lambda: sqlite3.connect(tmp_path / "t.db", isolation_level=None, factory=Slow), threading.Lock()
    )
    for _ in range(3):
        tested.count()
    tested.wait()
    assert late == []
    assert in_the_file_alone(tmp_path) == 1
    size = (tmp_path / "t.db-wal").stat().st_size
    writer.execute("INSERT INTO t VALUES ('next')")
    assert (tmp_path / "t.db-wal").stat().st_size == size


def test_a_failure_is_told_and_tried_again(tmp_path: Path, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    writer = connect()
    writer.execute("CREATE TABLE t (x)")
    ways: list[Connect] = [fail, connect]
    tested = Checkpoints(lambda: ways.pop(0)(), threading.Lock())
    with caplog.at_level(logging.WARNING, logger="tiphys"):
        for _ in range(6):
            writer.execute("INSERT INTO t VALUES (1)")
            tested.count()
            tested.wait()
    assert "the disk is gone" in caplog.text
    assert in_the_file_alone(tmp_path) == 6


def fail() -> sqlite3.Connection:
    raise sqlite3.OperationalError("the disk is gone")
