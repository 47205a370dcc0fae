"""Every look-up of the product is answered by an index."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from tiphys.db.ddl import create_statements
from tiphys.db.dialects import SQLITE
from tiphys.db.statements import Statements
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import Query, Where
from tiphys.records.models import ModelLink, ModelVersion
from tiphys.records.runs import Metadata, Run, StepRun
from tiphys.records.stacks import Component
from tiphys.records.tags import TagLink
from tiphys.records.workflows import WorkflowRow
from tiphys.testing.store_samples import a_run

ANY = ["x", "y"]


@pytest.fixture
def connection() -> Any:
    made = sqlite3.connect(":memory:")
    for statement in create_statements():
        made.execute(statement)
    yield made
    made.close()


def plan(connection: sqlite3.Connection, sql: str, parameters: Any) -> str:
    return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))


@pytest.mark.parametrize(
    "query",
    [
        Query.of(Run, pipeline_id="p"),
        Query.of(Run, pipeline_id="p", order="-created_at", limit=10),
        Query.of(Run, pipeline_name="p"),
        Query.of(Run, status=ANY),
        Query.of(Run, workflow_uid="w"),
        Query.of(Run, workspace="d", name="n"),
        Query.of(Run, model_version_id=ANY),
        Query.of(Run, id=ANY),
        Query(Run, (Where("id", "0198", "prefix"),)),
        Query(Run, (Where("workspace", "d"), Where("name", "n", "prefix")), order="name"),
        Query.of(StepRun, run_id="r"),
        Query.of(StepRun, run_id=ANY),
        Query.of(StepRun, run_id="r", name="s", order="-version", limit=1),
        Query.of(StepRun, cache_key="k", limit=1),
        Query.of(StepRun, cache_key=ANY),
        Query.of(Metadata, entity_type="run", entity_id=ANY),
        Query.of(Artifact, workspace="d", name=ANY),
        Query.of(ArtifactVersion, artifact_id="a", version="1"),
        Query.of(ArtifactVersion, run_id="r"),
        Query.of(ArtifactUse, step_run_id=ANY),
        Query.of(ModelVersion, model_id="m", stage="production"),
        Query.of(ModelVersion, model_id="m", order="-number", limit=1),
        Query.of(ModelLink, model_version_id="m", target_type="run"),
        Query.of(ModelLink, target_id="t"),
        Query.of(TagLink, entity_type="run", entity_id=ANY),
        Query.of(TagLink, tag_id="t", entity_type="run"),
        Query.of(TagLink, tag_name="t", entity_type="run"),
        Query.of(Component, workspace="d", type="orchestrator", name="n"),
        Query.of(WorkflowRow, phase=["Pending", "Running"]),
        Query.of(WorkflowRow, owner="me"),
        Query.of(WorkflowRow, workspace="d", name="n"),
    ],
    ids=lambda query: f"{query.kind.__name__}-{'-'.join(where.field for where in query.where)}",
)
def test_look_ups_use_an_index(connection: sqlite3.Connection, query: Query[Any]) -> None:
    steps = plan(connection, *Statements(SQLITE).select(query))
    assert "SEARCH " in steps
    assert "SCAN " not in steps.replace("SCAN json_each", "")


def test_what_is_removed_is_found_by_an_index(connection: sqlite3.Connection) -> None:
    steps = plan(connection, *Statements(SQLITE).delete_found(Query.of(ArtifactUse, step_run_id=ANY)))
    assert "SEARCH artifact_uses USING PRIMARY KEY" in steps


def test_an_unindexed_look_up_would_be_seen(connection: sqlite3.Connection) -> None:
    assert "SCAN runs" in plan(connection, *Statements(SQLITE).select(Query.of(Run, message="x")))


@pytest.mark.parametrize("order", ["-id", "-created_at"])
def test_pages_of_a_pipelines_runs_are_read_in_order_from_an_index(connection: sqlite3.Connection, order: str) -> None:
    query = replace(Query.of(Run, pipeline_id="p", order=order, limit=10), after=a_run("r"))
    steps = plan(connection, *Statements(SQLITE).select(query))
    assert "SEARCH runs USING INDEX ix_runs_pipeline_id" in steps
    assert "TEMP B-TREE" not in steps


@pytest.mark.parametrize("name", ["select_nodes", "select_commands"])
def test_a_workflow_is_loaded_from_an_index(connection: sqlite3.Connection, name: str) -> None:
    assert "SEARCH " in plan(connection, getattr(Statements(SQLITE), name), ["w"])


def test_a_shape_is_written_once() -> None:
    statements = Statements(SQLITE)
    first, _ = statements.select(Query.of(Run, name="a", status=["x"], limit=1))
    second, parameters = statements.select(Query.of(Run, name="b", status=["y", "z"], limit=7))
    assert first is second
    assert parameters == ["b", '["y", "z"]', 7]
