"""Configuration of the MLflow components."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tiphys.errors import StackError
from tiphys.integrations.mlflow.config import MLflowDeployerConfig, MLflowTrackerConfig, public_uri
from tiphys.plugins.integrations import find_flavor
from tiphys.plugins.loading import load
from tiphys.records.stacks import ComponentType


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:secret@host:5000/path", "http://host:5000/path"),
        ("postgresql://me:secret@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:////folder/mlflow.db", "sqlite:////folder/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_addresses_are_shown_without_credentials(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


def test_the_default_is_a_file_in_the_home(home: Path) -> None:
    assert MLflowTrackerConfig().uri == f"sqlite:///{home}/mlflow/mlflow.db"
    assert (home / "mlflow").is_dir()
    assert MLflowDeployerConfig().folder == home / "services"


def test_credentials_go_into_the_environment_and_nowhere_else() -> None:
    config = MLflowTrackerConfig.model_validate({"username": "me", "password": "secret", "insecure_tls": True})
    assert config.environment() == {
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": "secret",
        "MLFLOW_TRACKING_INSECURE_TLS": "true",
    }
    assert "secret" not in repr(config)


def test_a_steps_settings_come_before_the_components() -> None:
    config = MLflowTrackerConfig(experiment_name="ours", nested=False, tags={"team": "blue", "stage": "dev"})
    settings = config.settings_of({"nested": True, "tags": {"stage": "prod"}})
    assert settings.experiment_name == "ours"
    assert settings.nested
    assert settings.tags == {"team": "blue", "stage": "prod"}


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(StackError, match="nestd"):
        MLflowTrackerConfig().settings_of({"nestd": True})
    with pytest.raises(ValidationError, match="worker"):
        MLflowDeployerConfig.model_validate({"worker": 2})


@pytest.mark.parametrize(
    "type", [ComponentType.EXPERIMENT_TRACKER, ComponentType.MODEL_REGISTRY, ComponentType.MODEL_DEPLOYER]
)
def test_flavors_can_be_built(type: ComponentType, home: Path) -> None:
    flavor = find_flavor(type, "mlflow")
    component = load(flavor.implementation)(name="mine", config=load(flavor.config)())
    assert component.name == "mine"
