"""The database keeps a transaction, and its answer is lost with the connection: what was stored is carried out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.contract.conftest import postgres, postgres_template, postgres_url
from tests.e2e.programs import wait_until
from tests.integration.server_desk import workflow

from tiphys import pipeline, step
from tiphys._util.ids import new_id
from tiphys.bootstrap import Settings, make_backend
from tiphys.db.database import Unit
from tiphys.db.store import SqlStore
from tiphys.errors import StoreError
from tiphys.ports.workflows import SubmitOptions
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowSummary
from tiphys.sdk.compiler.run import request_of
from tiphys.services.backend import LocalBackend
from tiphys.testing.postgres import PostgresServer

__all__ = ["postgres", "postgres_template", "postgres_url"]
OPTIONS = SubmitOptions(runner="process")
Lose = Callable[[Callable[[], Any]], None]


@step(enable_cache=False)
def work() -> int:
    return 1


@pipeline
def p() -> None:
    work()


@pytest.fixture
def backend(tmp_path: Path, postgres_url: str) -> Iterator[LocalBackend]:
    made = make_backend(Settings(tmp_path, postgres_url))
    made.serve()
    yield made
    made.close()


@pytest.fixture
def lose_the_answer(
    backend: LocalBackend, postgres: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Any]], None]:
    """Does what is a transaction: it is committed, and then all connections to the database are cut."""
    assert isinstance(backend.store, SqlStore)
    database = backend.store._database
    end, here = database.end, threading.get_ident()

    def cut(unit: Unit, *, commit: bool) -> None:
        if threading.get_ident() != here or not (unit.write and commit):
            end(unit, commit=commit)
            return
        unit.connection.driver_connection.commit()
        postgres.end_connections(postgres_url.rpartition("/")[2])
        try:
            unit.cursor.execute("SELECT 1")
        except psycopg.Error as error:
            raise database.translate(error) from error
        finally:
            unit.connection.invalidate()

    def lose(do: Callable[[], Any]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(database, "end", cut)
            with pytest.raises(StoreError, match="was lost"):
                do()

    return lose


def rows(backend: LocalBackend) -> list[WorkflowSummary]:
    return backend.find(Query.of(WorkflowSummary, order="id"))


def all_ended(backend: LocalBackend, count: int) -> bool:
    found = rows(backend)
    return len(found) == count and all(row.finished_at is not None for row in found)


def test_what_was_stored_is_carried_out(backend: LocalBackend, lose_the_answer: Lose) -> None:
    lose_the_answer(lambda: backend.workflows.submit(workflow("true"), OPTIONS))
    wait_until(lambda: all_ended(backend, 1), "the workflow that was submitted")
    (row,) = rows(backend)
    assert row.phase == "Succeeded"
    lose_the_answer(lambda: backend.workflows.resubmit(row.name))
    wait_until(lambda: all_ended(backend, 2), "the workflow that was submitted again")
    assert [row.phase for row in rows(backend)] == ["Succeeded", "Succeeded"]


def test_what_was_to_be_tried_again_is(backend: LocalBackend, lose_the_answer: Lose, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    backend.workflows.submit(workflow("sh", "-c", f"echo x >> {notes}; test $(wc -l < {notes}) = 2"), OPTIONS)
    wait_until(lambda: all_ended(backend, 1), "the workflow")
    (row,) = rows(backend)
    assert row.phase == "Failed"
    lose_the_answer(lambda: backend.workflows.retry(row.name))
    wait_until(lambda: rows(backend)[0].phase == "Succeeded", "its second attempt")
    assert notes.read_text() == "x\n" * 2


def test_a_run_of_a_client_that_asks_again(backend: LocalBackend, lose_the_answer: Lose) -> None:
    request = replace(request_of(p.compile()), id=new_id(), runner="process")
    lose_the_answer(lambda: backend.runs.submit(request))
    run = backend.runs.submit(request)
    wait_until(lambda: backend.runs.get(run.id).status.is_finished, "the run")
    assert str(backend.runs.get(run.id).status) == "completed"
    assert len(rows(backend)) == 1
