"""The backend's contract: the services on SQLite and PostgreSQL, and a client that asks them by our API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.served import client_of, served
from tiphys.client.artifact_store import ServerArtifactStore
from tiphys.client.connection import Connection
from tiphys.db.store import SqlStore, open_store
from tiphys.errors import NotFoundError
from tiphys.ports.backend import Backend
from tiphys.records.stacks import ComponentType
from tiphys.services.backend import LocalBackend
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


class TestOverTheApi(BackendContract):
    @pytest.fixture
    def backend(self, make_backend: Make, sqlite_url: str, tmp_path: Path) -> Iterator[Backend]:
        with served(make_backend(sqlite_url)) as url:
            client = client_of(Connection(url), tmp_path)
            yield client
            client.close()

    def test_a_stack_is_registered_used_and_deleted(self, backend: Backend, tmp_path: Path) -> None:
        """Its artifact store is reached through the server, and is another one on this machine."""
        stacks = backend.stacks
        stacks.register_component(ComponentType.ARTIFACT_STORE, "b", "local", {"path": str(tmp_path / "b")})
        stacks.register("mine", {ComponentType.ARTIFACT_STORE: ["b"]}, activate=True)
        store = stacks.component(ComponentType.ARTIFACT_STORE)
        assert isinstance(store, ServerArtifactStore)
        stored = store.commit_bytes("value", b"data")
        assert any((tmp_path / "b").rglob("*-value"))
        stacks.activate("default")
        default = stacks.component(ComponentType.ARTIFACT_STORE)
        assert isinstance(default, ServerArtifactStore)
        assert store.exists(stored.digest)
        assert not default.exists(stored.digest)
        stacks.delete("mine")
        with pytest.raises(NotFoundError):
            stacks.get("mine")
