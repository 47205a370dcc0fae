"""The backend's contract: the services on SQLite and PostgreSQL, and a client that asks them by our API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.served import served
from tiphys.client.backend import ClientBackend
from tiphys.client.connection import Connection
from tiphys.client.run_records import RunReader
from tiphys.db.store import SqlStore, open_store
from tiphys.ports.backend import Backend, Observer, RunRequest
from tiphys.records.runs import Run
from tiphys.services.backend import LocalBackend, WorkspaceBackend
from tiphys.testing.backend_contract import BackendContract
from tiphys.testing.playing import IdleHost

Make = Callable[[str], LocalBackend]


@pytest.fixture
def make_backend(tmp_path: Path) -> Iterator[Make]:
    made: list[LocalBackend] = []

    def make(url: str) -> LocalBackend:
        store: SqlStore = open_store(url)
        made.append(LocalBackend(store, home=tmp_path / "home", db_url=url, host=IdleHost()))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


class TestOnSqlite(BackendContract):
    @pytest.fixture
    def backend(self, make_backend: Make, sqlite_url: str) -> Backend:
        return make_backend(sqlite_url)


class TestOnPostgresql(BackendContract):
    @pytest.fixture
    def backend(self, make_backend: Make, postgres_url: str) -> Backend:
        return make_backend(postgres_url)


class TestOfAWorkspaceOnSqlite(BackendContract):
    @pytest.fixture
    def backend(self, make_backend: Make, sqlite_url: str) -> Backend:
        return make_backend(sqlite_url).in_workspace("default")


class TestOfAWorkspaceOnPostgresql(BackendContract):
    @pytest.fixture
    def backend(self, make_backend: Make, postgres_url: str) -> Backend:
        return make_backend(postgres_url).in_workspace("default")


class SubmittingRuns(RunReader):
    """Runs of a server that are submitted beside its API."""

    def __init__(self, reader: RunReader, behind: WorkspaceBackend) -> None:
        super().__init__(reader._place)
        self._behind = behind

    def submit(self, request: RunRequest) -> Run:
        return self._behind.runs.submit(request)

    def wait(self, run_id: str, observer: Observer | None = None) -> Run:
        return self._behind.runs.wait(run_id, observer)

    def resume(self, name_or_id: str) -> Run:
        return self._behind.runs.resume(name_or_id)


class TestOverTheApi(BackendContract):
    """All, with runs that are submitted beside it."""

    @pytest.fixture
    def backend(self, make_backend: Make, sqlite_url: str) -> Iterator[Backend]:
        behind = make_backend(sqlite_url)
        with served(behind) as url:
            client = ClientBackend(Connection(url))
            client.runs = SubmittingRuns(client.runs, behind.in_workspace("default"))  # type: ignore[assignment]
            yield client
            client.close()
