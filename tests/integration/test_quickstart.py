"""The quickstart, as `make demo` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.records.base import Query
from tiphys.records.stacks import Service
from tiphys.sdk.session import current_backend

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart" / "run.py"


@pytest.fixture
def deployer(home: Path) -> Iterator[MLflowDeployer]:
    deployer = MLflowDeployer(name="mlflow", config=MLflowDeployerConfig())
    yield deployer
    for service in current_backend().find(Query.of(Service)):
        deployer.stop(service, timeout=5)


def test_quickstart(deployer: MLflowDeployer) -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "0 cached, 8 executed" in done.stdout
    assert "7 cached, 1 executed: mlflow_model_deployer_step" in done.stdout
    assert "diabetes, version 2" in done.stdout
    assert "The newcomers differ in bmi" in done.stdout
    url = re.search(r"http://127\.0\.0\.1:\d+/invocations", done.stdout)
    assert url is not None
    assert re.search(r"predicted \d+, measured \d+", done.stdout)
    newest, replaced = current_backend().find(Query.of(Service))
    assert deployer.prediction_url(newest) == url[0]
    assert not deployer.is_running(replaced)
