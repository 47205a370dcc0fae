"""Replicas, and their PostgreSQL, are killed at random moments under load: nothing is lost, nothing is committed twice.

`TIPHYS_KILLS=20 pytest tests/e2e/test_kill_replicas.py -s` prints how long it took each time until all went on.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.replicas import Fleet, fleet
from tests.needs import lacking
from tiphys.records.base import Query
from tiphys.records.runs import Run
from tiphys.testing.postgres import PostgresServer, PostgresUnavailableError, start_postgres

KILLS = int(os.environ.get("TIPHYS_KILLS", "1"))
#: Workflows that are submitted for each kill.
COUNT = 40 if KILLS > 1 else 16


class Killable:
    """A PostgreSQL server that may be killed: what it has committed is with the system, unlike in other tests."""

    def __init__(self) -> None:
        self.server: PostgresServer = start_postgres()
        self.url = self.server.create_database("replicas")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE replicas SET synchronous_commit = on")

    def kill_and_restart(self) -> None:
        self.server.kill()
        time.sleep(1)  # it is away for a while
        self.server = self.server.restart()


@pytest.fixture
def database() -> Iterator[Killable]:
    try:
        made = Killable()
    except PostgresUnavailableError as error:
        lacking(str(error))
    yield made
    made.server.stop()


def finished(found: Fleet) -> int:
    return sum(row.finished_at is not None for row in found.rows())


def check(found: Fleet, count: int) -> str:
    """All have ended well and once; returns how often containers were begun twice."""
    found.wait_for_all()
    rows = found.rows()
    assert [row.phase for row in rows] == ["Succeeded"] * count
    with found.store.reader() as reader:
        assert [str(node.phase) for row in rows for node in reader.load_nodes(row.id)] == ["Succeeded"] * count
        runs = reader.find(Query.of(Run))
        assert sorted(str(run.status) for run in runs) == ["completed"] * count
        assert reader.owners() == set()
    begun = found.noted("begin")
    assert set(begun) == set(found.noted("end")) == {row.id for row in rows}
    return f"{sum(number > 1 for number in begun.values())} of {count} containers were begun more than once"


def report(what: str, seconds: list[float], more: str) -> None:
    shown = sorted(seconds)
    print(
        f"\n{what}: {len(shown)} kills, seconds until all went on: "
        f"least {shown[0]:.1f}, median {shown[len(shown) // 2]:.1f}, most {shown[-1]:.1f}; {more}"
    )


@pytest.mark.parametrize("shared_home", [False, True] if KILLS > 1 else [True])
def test_replicas_are_killed_under_load(database: Killable, tmp_path: Path, shared_home: bool) -> None:
    chance, took = random.Random(7), []
    with fleet(database.url, tmp_path / "f", shared_home=shared_home) as found:
        found.start()
        found.start()
        for _ in range(KILLS):
            victim = found.running[0]
            found.submit(found.running[1], COUNT // 2, seconds=1)
            found.submit(victim, COUNT // 2, seconds=1)
            time.sleep(chance.uniform(0, 0.5))
            left = {row.id for row in found.owned_by(victim)}
            found.kill(victim)
            dead = {row.owner for row in found.rows() if row.id in left}
            took.append(
                found.wait(lambda dead=dead: not any(row.owner in dead - {""} for row in found.rows()), "its successor")
            )
            found.start()
        report(f"replicas ({'one home' if shared_home else 'own homes'})", took, check(found, KILLS * COUNT))


def test_postgresql_is_killed_under_load(database: Killable, tmp_path: Path) -> None:
    chance, took = random.Random(7), []
    with fleet(database.url, tmp_path / "f", shared_home=True) as found:
        found.start()
        found.start()
        for number in range(KILLS):
            for server in found.running:
                found.submit(server, COUNT // 2, seconds=chance.uniform(2, 3))  # some go on after the kill
            time.sleep(chance.uniform(0, 1))
            before = finished(found)
            began = time.monotonic()
            database.kill_and_restart()
            found.wait(lambda least=before: finished(found) > least, f"it to go on after kill {number}")
            took.append(time.monotonic() - began)
            found.wait_for_all()
        report("PostgreSQL (away for 1 s)", took, check(found, KILLS * COUNT))
        for server in found.running:
            assert "Traceback" not in server.end()
