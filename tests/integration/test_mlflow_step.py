"""Scenario 30: the ready-made step that deploys a model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tiphys import Model, load_artifact, pipeline, step
from tiphys.errors import RunFailedError, ServiceError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig
from tiphys.integrations.mlflow.deployer import MLflowDeployer
from tiphys.integrations.mlflow.service import MLflowService
from tiphys.integrations.mlflow.steps import mlflow_model_deployer_step
from tiphys.records.base import Query
from tiphys.records.stacks import ComponentType, Service
from tiphys.sdk.session import current_backend


@step
def train(slope: float) -> LinearRegression:
    data = pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 0.0]})
    return LinearRegression().fit(data, [0.0, slope])


@step
def decide(yes: bool) -> bool:
    return yes


@pipeline(model=Model(name="my_model"))
def deployment(yes: bool = True, slope: float = 2.0) -> None:
    mlflow_model_deployer_step(train(slope), deploy_decision=decide(yes))


@pipeline
def nothing_deployed() -> None:
    mlflow_model_deployer_step(None)


def services() -> list[Service]:
    return current_backend().find(Query.of(Service))


def service_of(run: Any) -> MLflowService | None:
    value = run.steps["mlflow_model_deployer_step"].output.load()
    assert value is None or isinstance(value, MLflowService)
    return value


@pytest.fixture(autouse=True)
def stop_servers(home: Path) -> Iterator[None]:
    yield
    deployer = MLflowDeployer(name="mlflow", config=MLflowDeployerConfig())
    for service in services():
        deployer.stop(service, timeout=5)


def test_outcomes(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run = deployment(yes=False)
    assert str(run.status) == "completed"
    assert service_of(run) is None
    assert "Nothing is deployed" in caplog.text

    first_run = deployment()
    first = service_of(first_run)
    assert first is not None
    assert first.is_running
    url = first.prediction_url
    assert url is not None
    assert url.endswith("/invocations")
    assert first_run.steps["mlflow_model_deployer_step"].run_metadata["prediction_url"] == url
    assert first.predict(pd.DataFrame({"b": [0.0], "a": [3.0]})) == pytest.approx([6.0])
    assert first.predict(np.array([[4.0, 0.0], [5.0, 0.0]])) == pytest.approx([8.0, 10.0])
    with pytest.raises(ServiceError, match=r"missing inputs \['b'\]"):
        first.predict(pd.DataFrame({"a": [1.0]}))

    second = service_of(deployment(slope=10.0))
    assert second is not None
    assert second != first
    assert second.predict([[1.0, 0.0]]) == pytest.approx([10.0])
    assert not first.is_running
    assert [service.status for service in services()] == ["running", "stopped"]

    second.stop()
    assert not second.is_running
    assert second.prediction_url is None
    with pytest.raises(ServiceError, match="does not run"):
        second.predict([[1.0, 0.0]])
    kept = service_of(deployment(yes=False))
    assert kept == second
    assert second.is_running
    assert any("Started server" in line for line in second.get_logs())

    loaded = load_artifact("deployment::mlflow_model_deployer_step::output")
    assert loaded == second
    assert (home / "services" / second.id / "model" / "MLmodel").is_file()


def test_nothing_to_deploy() -> None:
    assert service_of(nothing_deployed()) is None
    assert services() == []


def test_a_model_that_cannot_be_served_leaves_the_old_service() -> None:
    @step
    def text() -> str:
        return "no model"

    @pipeline
    def wrong() -> None:
        mlflow_model_deployer_step(text())

    with pytest.raises(RunFailedError, match="no 'predict' method"):
        wrong()
    assert services() == []


def test_the_stacks_own_deployer(tmp_path: Path) -> None:
    stacks = current_backend().stacks
    stacks.register_component(
        ComponentType.MODEL_DEPLOYER, "mine", "mlflow", {"service_path": str(tmp_path / "elsewhere"), "workers": 1}
    )
    stacks.register("serving", {ComponentType.MODEL_DEPLOYER: ["mine"]}, activate=True)
    service = service_of(deployment())
    assert service is not None
    assert (tmp_path / "elsewhere" / service.id / "model").is_dir()
    assert service.is_running
