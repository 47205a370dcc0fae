"""Configuration of the MLflow components, and where they keep things if nothing else was said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tiphys.errors import StackError
from tiphys.plugins.loading import load


def tiphys_home() -> Path:
    """The folder in which Tiphys keeps its data by the present settings."""
    home: Path = load("tiphys.bootstrap:read_settings")().home
    return home


def default_tracking_uri() -> str:
    """A SQLite file below the home: MLflow no longer takes plain folders."""
    folder = tiphys_home() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def public_uri(uri: str) -> str:
    """`uri` without a user's name and password."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class _ServerConfig(BaseModel):
    """Which MLflow server, and as whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: As MLflow takes it (`http://…`, `sqlite:///…`, `postgresql://…`); None: a SQLite file in the home of Tiphys.
    tracking_uri: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    #: Bearer token, instead of user name and password.
    token: SecretStr | None = None
    #: Do not check the server's TLS certificate.
    insecure_tls: bool = False

    @property
    def uri(self) -> str:
        """The tracking URI in force."""
        return self.tracking_uri or default_tracking_uri()

    def environment(self) -> dict[str, str]:
        """The variables through which MLflow takes credentials."""
        values = {
            "MLFLOW_TRACKING_USERNAME": self.username,
            "MLFLOW_TRACKING_PASSWORD": self.password.get_secret_value() if self.password else None,
            "MLFLOW_TRACKING_TOKEN": self.token.get_secret_value() if self.token else None,
            "MLFLOW_TRACKING_INSECURE_TLS": "true" if self.insecure_tls else None,
        }
        return {name: value for name, value in values.items() if value is not None}


class MLflowTrackerSettings(BaseModel):
    """What a step may say for itself: `settings={"experiment_tracker": {…}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: None: the pipeline's name.
    experiment_name: str | None = None
    #: True: each step has an MLflow run of its own below the pipeline run's. False: all of them log into that one.
    nested: bool = True
    #: Let MLflow log what the frameworks that the step uses tell it (parameters, metrics).
    autolog: bool = True
    #: With `autolog`, store fitted models in MLflow too; Tiphys keeps the step's outputs in any case.
    autolog_models: bool = False
    #: Tags of the step's MLflow run.
    tags: dict[str, str] = Field(default_factory=dict)


class MLflowTrackerConfig(_ServerConfig, MLflowTrackerSettings):
    """Configuration of the experiment tracker."""

    #: Where new experiments keep files, for a server that does not say so itself; None: beside a SQLite file.
    artifact_location: str | None = None

    def settings_of(self, given: Mapping[str, Any]) -> MLflowTrackerSettings:
        """The settings of a step, the component's own where it says nothing.

        Raises:
            StackError: a setting is unknown or has a wrong value.
        """
        own = {name: getattr(self, name) for name in MLflowTrackerSettings.model_fields}
        tags = {**self.tags, **given.get("tags", {})}
        try:
            return MLflowTrackerSettings.model_validate({**own, **given, "tags": tags})
        except ValidationError as error:
            raise StackError(
                f"The settings of the MLflow experiment tracker are wrong: {error}",
                hint=f"It knows: {', '.join(MLflowTrackerSettings.model_fields)}.",
            ) from error


class MLflowRegistryConfig(_ServerConfig):
    """Configuration of the model registry."""

    #: Experiment whose runs hold the files of registered models.
    experiment_name: str = "tiphys-models"


class MLflowDeployerConfig(BaseModel):
    """Configuration of the model deployer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Folder of the models and logs of the servers; None: `services` in the home of Tiphys.
    service_path: str | None = None
    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Processes of one server.
    workers: int = Field(default=1, ge=1)
    #: Seconds that a server has for its start.
    timeout: float = Field(default=300, gt=0)

    @property
    def folder(self) -> Path:
        """`service_path`, or where services are by default."""
        return Path(self.service_path).expanduser().absolute() if self.service_path else tiphys_home() / "services"
