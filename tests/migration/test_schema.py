"""Migrations, the description of the tables and a fresh file all give the same schema."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from tiphys.db import database as database_module
from tiphys.db.schema import ALL_TABLES, HEAD, RECORD_TABLES, REVISIONS, VERSION_TABLE
from tiphys.db.store import open_store
from tiphys.db.tables import METADATA
from tiphys.db.upgrade import configuration, current_revision, upgrade, upgrade_sqlite
from tiphys.errors import StoreError
from tiphys.records.artifacts import Artifact
from tiphys.records.base import Query
from tiphys.records.runs import Pipeline
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.testing.store_samples import KINDS, a_pipeline


def migrate(engine: Engine, revision: str, *, down: bool = False) -> None:
    with engine.begin() as connection:
        (command.downgrade if down else command.upgrade)(configuration(connection), revision)


def differences(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        )
        return list(compare_metadata(context, METADATA))


def shape(path: Path) -> dict[str, Any]:
    """Everything SQLite knows of its tables but the texts they were created by, and the order of their columns."""
    with sqlite3.connect(path) as connection:
        found: dict[str, Any] = {}
        for name, without_rowid in connection.execute(
            "SELECT name, wr FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall():
            indexes = connection.execute(
                'SELECT name, "unique", origin, partial FROM pragma_index_list(?) ORDER BY name', [name]
            ).fetchall()
            found[name] = (
                without_rowid,
                {row[1:] for row in connection.execute("SELECT * FROM pragma_table_info(?)", [name])},
                {
                    (
                        index if origin == "c" else origin,
                        unique,
                        partial,
                        tuple(connection.execute("SELECT name FROM pragma_index_info(?)", [index]).fetchall()),
                    )
                    for index, unique, origin, partial in indexes
                },
            )
    connection.close()
    return found


def test_migrated_databases_are_as_described(engine: Engine) -> None:
    migrate(engine, "head")
    assert differences(engine) == []
    assert set(inspect(engine).get_table_names()) == {table.name for table in ALL_TABLES} | {VERSION_TABLE}


def test_the_comparison_would_notice(engine: Engine) -> None:
    migrate(engine, "head")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX ix_runs_status_id")
        connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN extra TEXT")
    assert sorted(found[0] for found in differences(engine)) == ["add_index", "remove_column"]


def test_keys_have_the_described_names(engine: Engine) -> None:
    """Names are what PostgreSQL tells in an error, and alembic does not compare those of primary keys."""
    migrate(engine, "head")
    inspector = inspect(engine)
    for table in ALL_TABLES:
        key = inspector.get_pk_constraint(table.name)
        assert (key["name"], tuple(key["constrained_columns"])) == (table.primary_key_name, table.primary_key)
        uniques = {(u["name"], tuple(u["column_names"])) for u in inspector.get_unique_constraints(table.name)}
        assert uniques == {(table.unique_name(columns), columns) for columns in table.uniques}
        assert all(len(table.unique_name(columns)) <= 63 for columns in table.uniques)
        assert all(len(table.index_name(columns)) <= 63 for columns in table.indexes)


def test_down_and_up_again(engine: Engine, url: str) -> None:
    migrate(engine, "head")
    migrate(engine, "base", down=True)
    assert set(inspect(engine).get_table_names()) == {VERSION_TABLE}
    engine.dispose()
    store = open_store(url)
    with store.transaction() as tx:
        tx.add(a_pipeline("p"))
    store.close()
    assert differences(engine) == []


def test_a_fresh_file_is_as_a_migrated_one(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/fresh.db").close()
    upgrade_sqlite(tmp_path / "migrated.db", 10)
    fresh, migrated = shape(tmp_path / "fresh.db"), shape(tmp_path / "migrated.db")
    assert fresh == migrated
    assert len(fresh) == len(ALL_TABLES) + 1


def test_workflows_of_the_first_release_are_kept(engine: Engine, url: str) -> None:
    migrate(engine, "0001")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO workflows (id, name, workspace, manifest, phase, message, shutdown, suspended, runner, "
            "owner, request, created_at) "
            "VALUES ('u', 'first', 'default', '{}', 'Running', '', '', false, 'inline', 'me', '', 7)"
        )
    store = open_store(url)
    with store.reader() as reader:
        row = reader.get(WorkflowRow, "u")
    store.close()
    assert row is not None
    assert (row.name, row.runner, dict(row.labels), row.priority, row.archived) == ("first", "inline", {}, 0, False)
    assert differences(engine) == []


def test_workflows_of_pipelines_are_known_as_such(engine: Engine, url: str) -> None:
    migrate(engine, "0008")
    with engine.begin() as connection:
        for uid in "uv":
            connection.exec_driver_sql(
                "INSERT INTO workflows (id, name, workspace, labels, priority, manifest, phase, message, shutdown, "
                "suspended, archived, runner, owner, request, created_at) VALUES "
                f"('{uid}', '{uid}', 'w', '{{}}', 0, '{{}}', 'Running', '', '', false, false, 'process', '', '', 7)"
            )
        for name, pipeline in (("u", "'train'"), ("v", "NULL")):
            connection.exec_driver_sql(
                "INSERT INTO runs (id, name, workspace, pipeline_name, workflow_uid, status, message, stack, "
                "spec_digest, parameters, config, created_at) VALUES "
                f"('{name}', '{name}', 'w', {pipeline}, '{name}', 'running', '', '', '', '{{}}', '{{}}', 7)"
            )
    store = open_store(url)
    with store.reader() as reader:
        found = {row.id: row.pipeline for row in reader.find(Query.of(WorkflowSummary))}
    store.close()
    assert found == {"u": "train", "v": None}
    assert differences(engine) == []


def test_a_file_of_a_development_version_is_kept_as_it_is(engine: Engine, url: str) -> None:
    """It had the tables of the second revision already, or some of them, and called itself the first."""
    migrate(engine, "0002")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO pipelines (id, name, workspace, description, created_at) VALUES ('p', 'p', 'default', '', 7)"
        )
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
        connection.exec_driver_sql("DROP TABLE metric_values")
    store = open_store(url)
    with store.reader() as reader:
        assert reader.count(Query.of(Pipeline)) == 1
    store.close()
    assert differences(engine) == []


def test_the_newest_revision_is_the_one_the_code_asks_for(engine: Engine) -> None:
    with engine.begin() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
        assert current_revision(connection) is None
    assert script.get_current_head() == HEAD
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS


def test_a_failed_migration_leaves_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tag_links (theirs TEXT)")
    with pytest.raises(StoreError, match=r"could not be brought to .*tag_links"):
        upgrade(engine)
    assert inspect(engine).get_table_names() == ["tag_links"]


def test_a_newer_database_is_refused(engine: Engine, url: str) -> None:
    open_store(url).close()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match=f"9999.*its own is {HEAD}") as caught:
        open_store(url)
    assert "pip install --upgrade tiphys" in str(caught.value)


def test_an_older_database_is_migrated_when_it_is_opened(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is made to know one revision more, which a program of its own applies."""
    open_store(url).close()
    monkeypatch.setattr(database_module, "HEAD", "next")
    monkeypatch.setattr(database_module, "REVISIONS", (*REVISIONS, "next"))
    seen: list[str | None] = []

    def apply(config: Any, revision: str) -> None:
        seen.append(current_revision(config.attributes["connection"]))
        config.attributes["connection"].exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = 'next'")

    monkeypatch.setattr("tiphys.db.upgrade.command.upgrade", apply)
    for _ in range(2):
        store = open_store(url)
        with store.reader() as reader:
            assert reader.count(Query.of(Pipeline)) == 0
        store.close()
    assert seen == [HEAD]


def test_every_kind_of_record_has_a_table_with_its_fields() -> None:
    assert set(RECORD_TABLES) == set(KINDS)
    for kind, table in RECORD_TABLES.items():
        names = [field.name for field in dataclasses.fields(kind)]
        assert [column.name for column in table.columns][: len(names)] == names
    assert RECORD_TABLES[Artifact].name == "artifacts"
