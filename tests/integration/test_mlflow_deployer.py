"""MLflow's scoring servers: real processes on ports of this machine."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tiphys.errors import DefinitionError, ServiceError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.integrations.mlflow.process import Detached, start_of
from tiphys.records.stacks import Service
from tiphys.testing.deployer_contract import PATIENCE, DeployerContract, Doubler, new_service


@pytest.fixture
def deployer(tmp_path: Path) -> MLflowDeployer:
    return MLflowDeployer(name="mlflow", config=MLflowDeployerConfig(service_path=str(tmp_path / "services")))


def ask(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=30))["predictions"]


class TestMLflowDeployer(DeployerContract):
    def ask(self, url: str, values: Sequence[float]) -> list[float]:
        found: list[float] = ask(url, {"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}})
        return found


@pytest.fixture
def linear() -> LinearRegression:
    return LinearRegression().fit(pd.DataFrame({"a": [0.0, 1, 0, 1], "b": [0.0, 0, 1, 1]}), [0.0, 1, 10, 11])


@pytest.fixture
def served(deployer: MLflowDeployer, linear: LinearRegression) -> Iterator[Service]:
    service = deployer.deploy(replace(new_service(), state={"workers": 2}), linear, timeout=PATIENCE)
    yield service
    deployer.stop(service, timeout=5)


def test_a_scikit_learn_model_by_several_workers(deployer: MLflowDeployer, served: Service) -> None:
    url = deployer.prediction_url(served)
    assert url is not None
    assert url.endswith("/invocations")
    assert url.startswith("http://127.0.0.1:")
    # Columns are told apart by their names, not by their order.
    assert ask(url, {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 0], [0, 1]]}}) == pytest.approx([10, 1])
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(url, {"dataframe_split": {"columns": ["a"], "data": [[1]]}})
    assert refused.value.code == 400
    assert "missing inputs ['b']" in refused.value.read().decode()
    assert served.state["columns"] == ["a", "b"]
    assert served.state["model_flavor"] == "sklearn"

    process = Detached(served.state["pid"], served.state["started"])
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(workers) >= 2
    deployer.stop(served, timeout=20)
    deadline = time.monotonic() + 30
    while any(map(start_of, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in [process.pid, *workers] if start_of(pid)] == []


def test_a_service_survives_its_script(deployer: MLflowDeployer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import json, sys
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.testing.deployer_contract import new_service

class Mine:
    def predict(self, rows):
        return [len(rows)]

deployer = MLflowDeployer(name="mlflow", config=MLflowDeployerConfig(service_path=sys.argv[1]))
print(json.dumps(dict(deployer.deploy(new_service(), Mine(), timeout=100).state)))
"""
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "services"], capture_output=True, text=True, timeout=150, check=True
    )
    service = replace(new_service(), state=json.loads(done.stdout.splitlines()[-1]))
    try:
        assert deployer.is_running(service)
        assert ask(deployer.prediction_url(service) or "", {"inputs": [[1], [2], [3]]}) == [3]
    finally:
        deployer.stop(service, timeout=10)
    assert not deployer.is_running(service)


def test_what_cannot_predict_is_refused(deployer: MLflowDeployer) -> None:
    with pytest.raises(DefinitionError, match=r"builtins\.dict: it has no 'predict'"):
        deployer.deploy(new_service(), {}, timeout=PATIENCE)


def test_a_number_that_another_process_has_now(deployer: MLflowDeployer) -> None:
    with subprocess.Popen(["sleep", "100"]) as other:
        state = {"pid": other.pid, "started": "1", "machine": platform.node(), "host": "127.0.0.1", "port": 1}
        service = replace(new_service(), state=state)
        assert not deployer.is_running(service)
        deployer.stop(service, timeout=1)
        assert other.poll() is None
        other.kill()


def test_a_service_of_another_machine(deployer: MLflowDeployer) -> None:
    state = {"pid": 1, "started": start_of(1), "machine": "elsewhere", "host": "127.0.0.1", "port": 1}
    service = replace(new_service(), state=state)
    assert not deployer.is_running(service)
    with pytest.raises(ServiceError, match="elsewhere"):
        deployer.stop(service, timeout=1)


def test_a_service_whose_model_is_gone(deployer: MLflowDeployer) -> None:
    service = replace(new_service(), state={"folder": "/nowhere"})
    with pytest.raises(ServiceError, match="no longer at /nowhere"):
        deployer.start(service, timeout=1)
    assert list(deployer.logs(service)) == []


def test_a_taken_port_is_replaced(deployer: MLflowDeployer) -> None:
    service = deployer.deploy(new_service(), Doubler(), timeout=PATIENCE)
    deployer.stop(service, timeout=10)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        moved = replace(service, state={**service.state, "port": taken.getsockname()[1]})
        again = deployer.start(moved, timeout=PATIENCE)
        try:
            assert again.state["port"] != moved.state["port"]
            assert deployer.is_running(again)
        finally:
            deployer.stop(again, timeout=10)
