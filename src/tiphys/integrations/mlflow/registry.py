"""MLflow's model registry. The files of a version are those of an MLflow run in an experiment of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys.errors import NotFoundError, ServiceError
from tiphys.integrations.mlflow.config import MLflowRegistryConfig, public_uri
from tiphys.integrations.mlflow.library import MlflowClient, MlflowException, mlflow
from tiphys.integrations.mlflow.saving import load_model, save_model
from tiphys.ports.ml_components import ModelRegistry


class MLflowModelRegistry(ModelRegistry):
    """Registers models as MLflow models, loadable with `mlflow.pyfunc.load_model("models:/<name>/<version>")` too."""

    config: MLflowRegistryConfig

    def register(self, name: str, model: Any, *, description: str, metadata: Mapping[str, Any]) -> str:
        """Store `model` as a new version of `name`; metadata become its tags.

        Raises:
            DefinitionError: the model has no `predict`.
            ServiceError: the server refuses.
        """
        with self._client() as client, TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            save_model(model, folder)
            run = client.create_run(self._experiment(client), run_name=name)
            client.log_artifacts(run.info.run_id, str(folder), "model")
            client.set_terminated(run.info.run_id)
            _ensure_registered(client, name)
            version = client.create_model_version(
                name,
                source=f"{run.info.artifact_uri}/model",
                run_id=run.info.run_id,
                description=description or None,
                tags={key: _text(value) for key, value in metadata.items()},
            )
            return str(version.version)

    def versions(self, name: str) -> list[Mapping[str, Any]]:
        """Versions of a model, newest first; the stage is MLflow's alias of the version, if it has one."""
        with self._client() as client:
            found = client.search_model_versions(f"name = '{name}'")
            aliases = _aliases(client, name) if found else {}
            return [
                {
                    "version": str(version.version),
                    "stage": aliases.get(str(version.version), "none"),
                    "description": version.description or "",
                    "uri": version.source,
                    "created_at": datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
                }
                for version in sorted(found, key=lambda version: int(version.version), reverse=True)
            ]

    def load(self, name: str, version: str) -> Any:
        """The model of a version, as an object of its own framework.

        Raises:
            NotFoundError: there is no such version.
        """
        with self._client() as client, TemporaryDirectory() as temporary:
            try:
                source = client.get_model_version_download_uri(name, version)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise NotFoundError(f"MLflow has no version {version} of the model '{name}'.") from error
            folder = mlflow.artifacts.download_artifacts(source, dst_path=temporary, tracking_uri=self.config.uri)
            return load_model(Path(folder))

    def _experiment(self, client: MlflowClient) -> str:
        name = self.config.experiment_name
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self.config.uri.startswith("sqlite:///"):
            database = Path(self.config.uri.removeprefix("sqlite:///")).absolute()
            location = (database.parent / "artifacts" / name).as_uri()
        return str(client.create_experiment(name, artifact_location=location))

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        os.environ.update(self.config.environment())
        uri = self.config.uri
        try:
            yield MlflowClient(tracking_uri=uri, registry_uri=uri)
        except MlflowException as error:
            raise ServiceError(
                f"MLflow at {public_uri(uri)} (model registry '{self.name}') refused: {error}",
                hint="Check the registry's configuration and the server's log.",
            ) from error


def _ensure_registered(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Version → alias."""
    return {str(version): alias for alias, version in client.get_registered_model(name).aliases.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
