"""Scenarios 21 and 22: models, their versions and stages."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from tiphys import Client, Model, pipeline, step
from tiphys.errors import ConflictError, UsageError


@step
def produce(value: int) -> Annotated[int, "x"]:
    return value


def run_with(model: Model, value: int = 1) -> Any:
    @pipeline(model=model)
    def p() -> None:
        produce(value)

    return p()


def test_21_each_run_makes_one_version_and_links_outputs_and_run() -> None:
    first, second = run_with(Model(name="m")), run_with(Model(name="m"))
    versions = Client().list_model_versions("m", sort_by="asc:created")
    assert [version.name for version in versions] == ["1", "2"]
    assert str(second.steps["produce"].status) == "cached"
    for run, version in zip((first, second), versions, strict=True):
        assert run.model_version.id == version.id
        assert [linked.id for linked in version.pipeline_runs.values()] == [run.id]
        assert [linked.name for linked in version.artifact_versions] == ["x"]


def test_21_latest_resolves_and_creates_nothing() -> None:
    run_with(Model(name="m"))
    run_with(Model(name="m"))
    run = run_with(Model(name="m", version="latest"), 3)
    assert run.model_version.name == "2"
    assert len(Client().list_model_versions("m")) == 2


def test_21_steps_that_share_a_model_share_its_version() -> None:
    @step(model=Model(name="shared"))
    def one() -> int:
        return 1

    @step(model=Model(name="shared"))
    def two() -> int:
        return 2

    @pipeline
    def p() -> None:
        one()
        two()

    p()
    versions = Client().list_model_versions("shared")
    assert len(versions) == 1
    assert len(versions[0].artifact_versions) == 2


def test_22_stages() -> None:
    run_with(Model(name="m"), 1)
    run_with(Model(name="m"), 2)
    first, second = Model(name="m", version="1"), Model(name="m", version="2")
    first.set_stage("production")
    with pytest.raises(ConflictError, match="production"):
        second.set_stage("production")
    assert Model(name="m", version="production").load_artifact("x") == 1
    second.set_stage("production", force=True)
    stages = {v.name: str(v.stage) for v in Client().list_model_versions("m")}
    assert stages == {"1": "archived", "2": "production"}
    assert Model(name="m", version="production").load_artifact("x") == 2


@pytest.mark.parametrize("name", ["production", "staging", "latest"])
def test_22_stage_names_are_no_version_names(name: str) -> None:
    Client().create_model("m")
    with pytest.raises(UsageError, match=name):
        Client().create_model_version("m", name=name)


def test_22_numbers_are_no_version_names() -> None:
    Client().create_model("m")
    with pytest.raises(UsageError, match="3"):
        Client().create_model_version("m", name="3")
