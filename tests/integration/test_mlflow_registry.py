"""MLflow's model registry on a SQLite file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from tiphys.errors import NotFoundError
from tiphys.integrations.mlflow.config import MLflowRegistryConfig
from tiphys.integrations.mlflow.library import MlflowClient
from tiphys.integrations.mlflow.registry import MLflowModelRegistry
from tiphys.testing.deployer_contract import Doubler


@pytest.fixture
def registry(tmp_path: Path, empty_mlflow_database: Path) -> MLflowModelRegistry:
    shutil.copy(empty_mlflow_database, tmp_path)
    return MLflowModelRegistry(
        name="mlflow", config=MLflowRegistryConfig(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    )


def test_versions_of_a_model(registry: MLflowModelRegistry) -> None:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 3.0])
    assert registry.versions("slope") == []
    assert registry.register("slope", model, description="first", metadata={"rmse": 0.5, "team": "blue"}) == "1"
    assert registry.register("slope", Doubler(), description="", metadata={}) == "2"

    newest, oldest = registry.versions("slope")
    assert (newest["version"], newest["description"], newest["stage"]) == ("2", "", "none")
    assert (oldest["version"], oldest["description"]) == ("1", "first")
    assert oldest["created_at"] <= newest["created_at"]

    loaded = registry.load("slope", "1")
    assert isinstance(loaded, LinearRegression)
    assert loaded.predict([[2.0]]) == pytest.approx([6.0])
    assert isinstance(registry.load("slope", "2"), Doubler)

    client = MlflowClient(registry.config.uri, registry.config.uri)
    assert client.get_model_version("slope", "1").tags == {"rmse": "0.5", "team": "blue"}
    client.set_registered_model_alias("slope", "champion", "1")
    assert [version["stage"] for version in registry.versions("slope")] == ["none", "champion"]


def test_an_unknown_version(registry: MLflowModelRegistry) -> None:
    with pytest.raises(NotFoundError, match="no version 7 of the model 'slope'"):
        registry.load("slope", "7")
