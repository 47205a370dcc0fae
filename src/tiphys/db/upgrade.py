"""Brings a database to the newest schema. Loaded only when that is needed: alembic is slow to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from tiphys.db.database import needs_upgrade
from tiphys.db.schema import HEAD, VERSION_TABLE
from tiphys.errors import StoreError

#: Number of the advisory lock under which one process at a time migrates a PostgreSQL database ("tiphys" in bytes).
_LOCK = int.from_bytes(b"tiphys")


def upgrade_sqlite(path: Path, patience: float) -> None:
    """Bring a SQLite file to the newest revision; others wait for as long as `patience` seconds."""
    engine = sqlite_engine(path, patience)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest revision, under a lock: several processes may open it at once.

    Raises:
        StoreError: it failed, or the database is newer than this code; nothing was changed.
    """
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            # Another process may have done it meanwhile.
            if needs_upgrade(current_revision(connection)):
                command.upgrade(configuration(connection), HEAD)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise StoreError(
            f"The database could not be brought to the schema revision {HEAD}: {cause}.",
            hint="Nothing was changed in it.",
        ) from error


def current_revision(connection: Connection) -> str | None:
    """The revision that a database is at; None if it has no tables."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for the packaged migrations and a begun transaction."""
    config = Config()
    # In a path, `%` would be read as the start of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def sqlite_engine(path: Path, patience: float) -> Engine:
    """An engine whose transactions hold the write lock from their begin and include changes of the schema."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": patience})

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
