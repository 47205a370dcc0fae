"""Databases for the contract suites: a fresh one for each test, copied from one that has its tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.needs import lacking
from tiphys._util.ids import new_id
from tiphys.db.store import SqlStore, open_store
from tiphys.testing.postgres import PostgresServer, PostgresUnavailableError, shared_postgres_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tiphys.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "tiphys.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for the whole session; the workers of pytest-xdist have one folder above theirs."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with ExitStack() as stack:
        try:
            server = stack.enter_context(shared_postgres_server(folder / "postgres"))
        except PostgresUnavailableError as error:
            lacking(str(error))
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    name = f"template_{new_id()}"
    open_store(postgres.create_database(name)).close()
    return name


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A database without tables."""
    name = f"empty_{new_id()}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    name = f"test_{new_id()}"
    yield postgres.create_database(name, template=postgres_template)
    postgres.drop_database(name)


@pytest.fixture
def open_and_close() -> Iterator[Callable[[str], SqlStore]]:
    """Opens stores that are closed after the test."""
    with ExitStack() as stack:

        def opened(url: str) -> SqlStore:
            store = open_store(url)
            stack.callback(store.close)
            return store

        yield opened
