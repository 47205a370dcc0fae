"""`kill -9` in the middle of the quickstart, and starting it again: nothing is lost, no finished step is repeated."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.programs import ended_at_last, start_script, wait_until
from tiphys import Client
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.records.base import Query
from tiphys.records.stacks import Service
from tiphys.sdk.session import current_backend

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart" / "run.py"


@pytest.fixture
def deployer(home: Path) -> Iterator[MLflowDeployer]:
    deployer = MLflowDeployer(name="mlflow", config=MLflowDeployerConfig())
    yield deployer
    for service in current_backend().find(Query.of(Service)):
        deployer.stop(service, timeout=5)


def completed() -> Counter[tuple[str, str]]:
    """(run, step) → how often it was executed to its end."""
    runs = {run.id: run.name for run in Client().list_pipeline_runs()}
    return Counter(
        (runs[step.run_id], step.name) for step in Client().list_run_steps(size=1000) if str(step.status) == "completed"
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train", "mlflow_model_deployer_step"])
def test_killed_in_the_middle_of_a_step(deployer: MLflowDeployer, step: str) -> None:
    def begun() -> bool:
        found = Client().list_run_steps(name=step)
        return bool(found) and str(found[0].status) == "running"

    with ended_at_last(start_script(EXAMPLE)) as first:
        wait_until(begun, f"the step {step}", first)
        first.send_signal(signal.SIGKILL)
        first.communicate()
    before = completed()
    assert before
    assert (Client().list_pipeline_runs()[0].name, step) not in before

    with ended_at_last(start_script(EXAMPLE)) as second:
        output, errors = second.communicate(timeout=300)
        assert second.returncode == 0, errors
    runs = Client().list_pipeline_runs(sort_by="asc:created")
    assert [str(run.status) for run in runs] == ["completed", "completed"]
    after = completed()
    assert set(after.values()) == {1}
    assert set(before) <= set(after)
    # The first run was taken up, so the second one is the one that finds everything cached.
    assert "7 cached, 1 executed: mlflow_model_deployer_step" in output
    assert re.search(r"predicted \d+, measured \d+", output)
    services = current_backend().find(Query.of(Service))
    assert sum(deployer.is_running(service) for service in services) == 1
