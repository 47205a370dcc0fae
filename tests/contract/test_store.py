"""The store's contract on SQLite and PostgreSQL, and what is particular to each."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tiphys.db.store import SqlStore, open_store
from tiphys.errors import AlreadyExistsError, StoreError, UsageError
from tiphys.records.artifacts import Artifact
from tiphys.records.base import Query
from tiphys.records.runs import Pipeline
from tiphys.testing.postgres import PostgresServer
from tiphys.testing.store_contract import StoreContract
from tiphys.testing.store_samples import a_pipeline, an_artifact

Open = Callable[[str], SqlStore]


class TestSqlite(StoreContract):
    @pytest.fixture
    def make_store(self, sqlite_url: str, open_and_close: Open) -> Callable[[], SqlStore]:
        return lambda: open_and_close(sqlite_url)


class TestPostgresql(StoreContract):
    @pytest.fixture
    def make_store(self, postgres_url: str, open_and_close: Open) -> Callable[[], SqlStore]:
        return lambda: open_and_close(postgres_url)


def processes(number: int, program: str, *arguments: str) -> list[str]:
    """The outputs of a program that several processes run at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments, str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(number)
    ]
    ended = [(process.communicate(), process.returncode) for process in started]
    for (_, errors), code in ended:
        assert code == 0, errors
    return [output for (output, _), _ in ended]


TAKE_NUMBERS = """
import sys
from tiphys.db.store import open_store
from tiphys.records.artifacts import Artifact
store = open_store(sys.argv[1])
for _ in range(50):
    with store.transaction() as tx:
        print(tx.next_number(Artifact, sys.argv[2]))
store.close()
"""

OPEN_AND_ADD = """
import sys
from datetime import UTC, datetime
from tiphys.db.store import open_store
from tiphys.records.runs import Pipeline
store = open_store(sys.argv[1])
with store.transaction() as tx:
    tx.add(Pipeline(id=sys.argv[2], name=sys.argv[2], created_at=datetime.now(UTC)))
store.close()
"""


def check_numbers_of_processes(url: str, open_and_close: Open) -> None:
    artifact = an_artifact("a")
    with open_and_close(url).transaction() as tx:
        tx.add(artifact)
    outputs = processes(4, TAKE_NUMBERS, url, artifact.id)
    assert sorted(int(line) for output in outputs for line in output.split()) == list(range(1, 201))


def check_opening_at_once(url: str, open_and_close: Open) -> None:
    processes(4, OPEN_AND_ADD, url)
    with open_and_close(url).reader() as reader:
        assert [found.name for found in reader.find(Query.of(Pipeline, order="name"))] == ["0", "1", "2", "3"]


class TestSqliteFiles:
    def test_processes_share_a_file(self, sqlite_url: str, open_and_close: Open) -> None:
        check_numbers_of_processes(sqlite_url, open_and_close)

    def test_processes_create_a_file_at_once(self, tmp_path: Path, open_and_close: Open) -> None:
        check_opening_at_once(f"sqlite:///{tmp_path}/new/folder/t.db", open_and_close)

    def test_a_fresh_file_needs_neither_sqlalchemy_nor_alembic(self, tmp_path: Path) -> None:
        program = (
            "import sys; from tiphys.db.store import open_store\n"
            "for _ in range(2): open_store(sys.argv[1]).close()\n"
            "print(sorted({'sqlalchemy', 'alembic', 'psycopg', 'pydantic'} & set(sys.modules)))"
        )
        assert processes(1, program, f"sqlite:///{tmp_path}/t.db") == ["[]\n"]

    def test_relative_and_absolute_paths(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_and_close: Open
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with open_and_close("sqlite:///sub/t.db").transaction() as tx:
            tx.add(a_pipeline("p"))
        with open_and_close(f"sqlite:///{tmp_path}/sub/t.db").reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 1

    def test_a_store_works_in_a_forked_process(self, sqlite_url: str, open_and_close: Open) -> None:
        program = """
import os, sys
from datetime import UTC, datetime
from tiphys.db.store import open_store
from tiphys.records.base import Query
from tiphys.records.runs import Pipeline
store = open_store(sys.argv[1])
def add(name):
    with store.transaction() as tx:
        tx.add(Pipeline(id=name, name=name, created_at=datetime.now(UTC)))
    with store.reader() as reader:
        return reader.count(Query.of(Pipeline))
add("before")
child = os.fork()
if child == 0:
    assert add("child") >= 2
    os._exit(0)
add("parent")
assert os.waitpid(child, 0)[1] == 0
print(add("after"))
"""
        assert processes(1, program, sqlite_url) == ["4\n"]

    def test_a_lock_that_stays_is_an_error(
        self, sqlite_url: str, open_and_close: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tiphys.db.sqlite._PATIENCE", 0.05)
        store = open_and_close(sqlite_url)
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="stayed locked") as caught, store.transaction():
            pass
        assert "Try again" in str(caught.value)
        other.execute("ROLLBACK")
        other.close()
        with store.transaction() as tx:
            tx.add(a_pipeline("p"))

    def test_a_file_of_something_else_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "other.txt"
        path.write_text("not a database, though it is long enough to look like one " * 100)
        with pytest.raises(StoreError, match="not a database") as caught:
            open_store(f"sqlite:///{path}")
        assert caught.value.hint
        assert path.read_text().startswith("not a database")

    def test_a_database_of_another_program_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
        with pytest.raises(StoreError, match=r"another program .* 'theirs'"):
            open_store(f"sqlite:///{path}")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match=r"t\.db"):
            open_store(f"sqlite:///{tmp_path}/file/t.db")

    @pytest.mark.parametrize(
        "url",
        ["", "t.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://t.db", "mysql://h/d", "postgresql"],
    )
    def test_urls_that_are_not_understood(self, url: str) -> None:
        with pytest.raises(UsageError) as caught:
            open_store(url)
        assert "sqlite:///path/to/file.db" in str(caught.value)

    def test_a_store_that_is_closed_during_a_transaction(self, sqlite_url: str, open_and_close: Open) -> None:
        store = open_and_close(sqlite_url)
        with store.transaction() as tx, store.reader() as reader:
            tx.add(a_pipeline("p"))
            store.close()
            assert reader.count(Query.of(Pipeline)) == 0
        with open_and_close(sqlite_url).reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 1


class TestPostgresqlServers:
    def test_processes_share_a_database(self, postgres_url: str, open_and_close: Open) -> None:
        check_numbers_of_processes(postgres_url, open_and_close)

    def test_processes_migrate_a_database_at_once(self, empty_postgres_url: str, open_and_close: Open) -> None:
        check_opening_at_once(empty_postgres_url, open_and_close)

    def test_tables_of_other_programs_are_left_alone(
        self, postgres: PostgresServer, empty_postgres_url: str, open_and_close: Open
    ) -> None:
        with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num text)")
            connection.execute("INSERT INTO alembic_version VALUES ('theirs')")
            with open_and_close(empty_postgres_url).transaction() as tx:
                tx.add(a_pipeline("p"))
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("theirs",)]

    def test_a_lost_connection_costs_one_transaction(
        self, postgres: PostgresServer, postgres_url: str, open_and_close: Open
    ) -> None:
        store = open_and_close(postgres_url)
        with store.transaction() as tx, store.reader() as reader:  # two connections that wait in the pool
            tx.add(a_pipeline("kept"))
            reader.count(Query.of(Pipeline))
        with pytest.raises(StoreError, match="was lost") as caught, store.transaction() as tx:  # noqa: PT012
            tx.add(a_pipeline("lost"))
            postgres.end_connections(postgres_url.rpartition("/")[2])
            tx.add(a_pipeline("never"))
        assert "Try again" in str(caught.value)
        with store.transaction() as tx:
            assert [found.name for found in tx.find(Query.of(Pipeline))] == ["kept"]
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 1

    def test_connections_lost_while_they_waited_are_replaced(
        self, postgres: PostgresServer, postgres_url: str, open_and_close: Open
    ) -> None:
        store = open_and_close(postgres_url)
        with store.transaction() as tx, store.reader() as reader:  # two connections that wait in the pool
            tx.add(a_pipeline("p"))
            reader.count(Query.of(Pipeline))
        postgres.end_connections(postgres_url.rpartition("/")[2])
        with store.reader() as reader, store.transaction() as tx:
            assert reader.count(Query.of(Pipeline)) == 1
            tx.add(a_pipeline("q"))
        postgres.end_connections(postgres_url.rpartition("/")[2])
        with store.transaction() as tx:
            assert tx.count(Query.of(Pipeline)) == 2

    def test_transactions_that_wait_for_each_other(self, postgres_url: str, open_and_close: Open) -> None:
        store = open_and_close(postgres_url)
        one, two = an_artifact("one"), an_artifact("two")
        with store.transaction() as tx:
            tx.add(one, two)
        both = threading.Barrier(2)
        outcomes: list[str] = []

        def take(first: str, second: str) -> None:
            try:
                with store.transaction() as tx:
                    tx.next_number(Artifact, first)
                    both.wait()
                    tx.next_number(Artifact, second)
                outcomes.append("done")
            except StoreError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=take, args=pair) for pair in ((one.id, two.id), (two.id, one.id))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failure, success = sorted(outcomes)
        assert success == "done"
        assert "held what this one needed" in failure
        with store.reader() as reader:
            assert {found.last_number for found in reader.find(Query.of(Artifact))} == {1}

    def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            open_store("postgresql://someone:secret@127.0.0.1:1/none")
        assert "secret" not in str(caught.value)
        assert "TIPHYS_DB_URL" in str(caught.value)

    def test_a_url_that_cannot_be_read(self) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            open_store("postgresql://h:port/d")

    def test_text_that_it_cannot_hold_is_refused(self, postgres_url: str, open_and_close: Open) -> None:
        store = open_and_close(postgres_url)
        for name in ("a\0b", "a\ud800b"):
            with pytest.raises(UsageError, match="cannot be stored"), store.transaction() as tx:
                tx.add(a_pipeline(name))

    def test_a_taken_name_is_not_a_lost_connection(self, postgres_url: str, open_and_close: Open) -> None:
        store = open_and_close(postgres_url)
        with store.transaction() as tx:
            tx.add(a_pipeline("p"))
        with pytest.raises(AlreadyExistsError, match="workspace and name"), store.transaction() as tx:
            tx.add(*(a_pipeline(name) for name in ("o", "p", "q")))


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "tiphys.db.postgresql", raising=False)
    with pytest.raises(UsageError, match="psycopg") as caught:
        open_store("postgresql://127.0.0.1/none")
    assert "pip install 'tiphys[postgresql]'" in str(caught.value)
