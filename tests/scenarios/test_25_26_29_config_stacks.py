"""Scenarios 25, 26 and 29: configuration files, stacks, steps called alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tiphys import Client, pipeline, step
from tiphys.errors import AlreadyExistsError, StackError, UsageError
from tiphys.records.stacks import ComponentType


@step
def s(x: int = 1) -> int:
    return x


@pipeline
def p() -> None:
    s()


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_25_parameters_of_a_file(tmp_path: Path) -> None:
    config = write(tmp_path / "c.yaml", "steps:\n  s:\n    parameters:\n      x: 3\n")
    assert p.with_options(config_path=config)().steps["s"].output.load() == 3


def test_25_code_beats_the_file(tmp_path: Path) -> None:
    config = write(tmp_path / "c.yaml", "run_name: from-file\nenable_cache: true\n")
    assert p.with_options(config_path=config, run_name="from-code")().name == "from-code"


def test_25_an_unknown_step_warns(tmp_path: Path) -> None:
    config = write(tmp_path / "c.yaml", "steps:\n  nobody:\n    parameters:\n      x: 3\n")
    with pytest.warns(UserWarning, match="nobody"):
        p.with_options(config_path=config)()


def test_25_run_names() -> None:
    with pytest.raises(UsageError, match="unknown"):
        p.with_options(run_name="a-{unknown}")()
    p.with_options(run_name="twice")()
    with pytest.raises(AlreadyExistsError, match="twice"):
        p.with_options(run_name="twice")()


@pytest.mark.own_disk
def test_26_the_same_script_on_another_stack(tmp_path: Path) -> None:
    p()
    stacks = Client().backend.stacks
    stacks.register_component(ComponentType.ARTIFACT_STORE, "elsewhere", "local", {"path": str(tmp_path / "b")})
    stacks.register("b", {ComponentType.ARTIFACT_STORE: ["elsewhere"]}, activate=True)
    run = p.with_options(enable_cache=False)()
    assert run.stack == "b"
    assert str(tmp_path / "b") in run.steps["s"].output.uri
    assert run.steps["s"].output.load() == 1
    stacks.activate("default")
    assert str(tmp_path / "b") not in p.with_options(enable_cache=False)().steps["s"].output.uri


def test_26_a_tracker_that_the_stack_lacks() -> None:
    calls: list[int] = []

    @step(experiment_tracker="nowhere")
    def tracked() -> int:
        calls.append(1)
        return 1

    @pipeline
    def q() -> None:
        tracked()

    with pytest.raises(StackError, match="nowhere"):
        q()
    assert calls == []
    assert Client().list_pipeline_runs() == []


def test_29_a_step_called_alone_returns_its_value_and_is_recorded() -> None:
    assert s(5) == 5
    runs = Client().list_pipeline_runs()
    assert [(str(run.status), run.pipeline_id) for run in runs] == [("completed", None)]
    assert list(Client().list_pipelines()) == []


def test_29_the_entry_point_records_nothing(home: Path) -> None:
    assert s.entrypoint(5) == 5
    assert not (home / "tiphys.db").exists()


def test_importing_the_names_opens_nothing(home: Path) -> None:
    assert "tiphys" in sys.modules
    assert not home.exists()


def test_26_the_orchestrator_says_how_steps_run() -> None:
    @step(enable_cache=False)
    def process_id() -> int:
        return os.getpid()

    @pipeline
    def q() -> None:
        process_id()

    stacks = Client().backend.stacks
    stacks.register_component(ComponentType.ORCHESTRATOR, "apart", "local", {"runner": "process"})
    stacks.register("apart", {ComponentType.ORCHESTRATOR: ["apart"]}, activate=True)
    assert q().steps["process_id"].output.load() != os.getpid()
    assert q.with_options(runner="inline")().steps["process_id"].output.load() == os.getpid()
