"""An empty database of each kind, with SQLAlchemy's engine for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from tests.contract.conftest import empty_postgres_url, postgres
from tiphys.db.upgrade import sqlite_engine

__all__ = ["empty_postgres_url", "postgres"]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        made = sqlite_engine(tmp_path / "tiphys.db", 10)
    else:
        url: str = request.getfixturevalue("empty_postgres_url")
        made = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    yield made
    made.dispose()


@pytest.fixture
def url(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return f"sqlite:///{engine.url.database}"
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
