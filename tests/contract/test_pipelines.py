"""A whole pipeline on each database: executed, cached, stopped half-way, and seen by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from tests.e2e.programs import PATIENCE, start_script, tiphys
from tests.scenarios.helpers import statuses
from tiphys import Client, Model, StepRetryConfig, Tag, log_metadata, pipeline, step
from tiphys.bootstrap import close_backends
from tiphys.errors import RunFailedError


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings that lead to a fresh database."""
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    monkeypatch.setenv("TIPHYS_DB_URL", url)
    yield request.param
    close_backends(home)


@step
def load(count: int) -> Annotated[np.ndarray, "data"]:
    print("loading")
    return np.arange(count)


@step
def double(x: int) -> int:
    return 2 * x


@step
def numbers(data: np.ndarray) -> list[int]:
    log_metadata({"count": len(data)})
    return [int(x) for x in data]


@step(retry=StepRetryConfig(max_retries=1, delay=0))
def total(xs: list[int]) -> Annotated[int, "total"]:
    return sum(xs)


@step
def fail(x: int) -> int:
    raise ValueError("on purpose")


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_executed_and_cached(database: str, home: Path, runner: str) -> None:
    @pipeline(runner=runner, model=Model(name="m"), tags=[Tag(name="deep", cascade=True)])
    def p(count: int = 3) -> None:
        found = total(double.map(numbers(load(count))))
        double(found, when=found > 4, id="large")

    first, second = p(), p()
    assert set(statuses(first).values()) == {"completed"}
    assert set(statuses(second).values()) == {"cached"}
    assert first.steps["large"].output.load() == 12
    assert first.steps["load"].logs() == ["loading"]
    assert first.steps["numbers"].run_metadata == {"count": 3}
    assert [version.name for version in Client().list_model_versions("m", sort_by="asc:created")] == ["1", "2"]
    assert Client().get_artifact_version("total").tags == ["deep"]
    assert statuses(p(2))["large"] == "skipped"
    assert not (home / "tiphys.db").exists()
    shown = json.loads(tiphys("runs", "list", "-o", "json").stdout)
    assert [run["status"] for run in shown] == ["completed"] * 3


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_a_failure(database: str, runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        double(fail(double(1)), id="never")

    with pytest.raises(RunFailedError, match="on purpose"):
        p()
    run = Client().list_pipeline_runs()[0]
    assert statuses(run) == {"double": "completed", "fail": "failed", "never": "skipped"}


SCRIPT = """
import time
from typing import Annotated
from tiphys import pipeline, step

@step(enable_cache=False)
def produce(x: int) -> Annotated[int, "shared"]:
    time.sleep(0.01)
    return x

@step(enable_cache=False)
def add(xs: list[int]) -> int:
    return sum(xs)

@pipeline(enable_cache=False)
def p():
    add([produce(x) for x in range(5)])

for _ in range(3):
    run = p()
    print(run.status, run.steps["add"].output.load())
"""


def test_several_processes_at_once(database: str, tmp_path: Path) -> None:
    script = tmp_path / "project.py"
    script.write_text(SCRIPT)
    processes = [start_script(script) for _ in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert output == "completed 10\n" * 3
    versions = Client().list_artifact_versions(name="shared", size=1000)
    assert sorted(int(version.version) for version in versions) == list(range(1, 61))
    assert sorted(int(v.version) for v in Client().list_artifact_versions(name="p::add::output")) == list(range(1, 13))
    runs = Client().list_pipeline_runs(size=100)
    assert len({run.name for run in runs}) == 12
    assert {str(run.status) for run in runs} == {"completed"}
    assert all(set(statuses(run).values()) == {"completed"} for run in runs)
