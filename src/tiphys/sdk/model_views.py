"""Models, their versions and stacks, as objects to look around in; see `sdk.views`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tiphys.errors import NotFoundError, StackError, UsageError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.artifacts import ArtifactType, ArtifactVersion
from tiphys.records.base import EntityType, Query
from tiphys.records.models import ModelLink, ModelStage, ModelVersion, RegisteredModel
from tiphys.records.runs import Run
from tiphys.records.stacks import ComponentType, StackRecord
from tiphys.sdk.views import ArtifactVersionView, RunView, View, as_store, fetch

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend
    from tiphys.ports.component import StackComponent


class ModelVersionView(View[ModelVersion]):
    """A version of a model, and what is linked to it."""

    entity = EntityType.MODEL_VERSION

    @property
    def name(self) -> str:
        """The version's name: its number unless one was given."""
        return self.record.name

    @property
    def version(self) -> str:
        """The same as `name`."""
        return self.record.name

    @property
    def number(self) -> int:
        """The version's number."""
        return self.record.number

    @property
    def stage(self) -> ModelStage:
        """Its stage."""
        return self.record.stage

    @property
    def model(self) -> ModelView:
        """The model that this is a version of."""
        return ModelView(self._backend.models.get(self.record.model_id), self._backend)

    @property
    def pipeline_runs(self) -> dict[str, RunView]:
        """Runs that belong to it, by name."""
        runs = fetch(self._backend, Run, self._linked(EntityType.RUN))
        return {run.name: RunView(run, self._backend) for run in runs.values()}

    @property
    def artifact_versions(self) -> list[ArtifactVersionView]:
        """Artifact versions that belong to it, oldest first."""
        versions = fetch(self._backend, ArtifactVersion, self._linked(EntityType.ARTIFACT_VERSION))
        return [ArtifactVersionView(version, self._backend) for version in sorted(versions.values(), key=_by_id)]

    def get_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """A linked artifact version by name; the newest of that name by default. None if there is none."""
        return self._artifact(name, version)

    def get_model_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among artifacts that are models."""
        return self._artifact(name, version, ArtifactType.MODEL)

    def get_data_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among artifacts that are neither models nor services."""
        return self._artifact(name, version, ArtifactType.DATA, ArtifactType.DATA_ANALYSIS, ArtifactType.BASE)

    def get_deployment_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among services."""
        return self._artifact(name, version, ArtifactType.SERVICE)

    def load_artifact(self, name: str, version: str | int | None = None) -> Any:
        """The value of a linked artifact version.

        Raises:
            NotFoundError: none of that name is linked.
        """
        found = self._artifact(name, version)
        if found is None:
            which = f" version {version}" if version is not None else ""
            known = ", ".join(dict.fromkeys(view.name for view in self.artifact_versions))
            raise NotFoundError(
                f"The artifact '{name}'{which} does not belong to version {self.name} of '{self.record.model_name}'.",
                hint=f"Those that do: {known or 'none'}.",
            )
        return found.load()

    def set_stage(self, stage: ModelStage | str, *, force: bool = False) -> None:
        """Move it to a stage; another version there is an error unless `force` archives that one."""
        self.record = self._backend.models.set_stage(self.id, stage_named(stage), force=force)

    def link_artifacts(self, *versions: ArtifactVersionView | ArtifactVersion) -> None:
        """Link artifact versions to it."""
        self._backend.models.link(self.id, EntityType.ARTIFACT_VERSION, [version.id for version in versions])

    def log_metadata(self, metadata: dict[str, Any]) -> None:
        """Set metadata."""
        self._backend.labels.log_metadata(metadata, [(EntityType.MODEL_VERSION, self.id)])

    def to_model_class(self) -> Any:
        """It as the Model that code uses."""
        return load("tiphys.sdk.model:Model")(name=self.record.model_name, version=self.name)

    def _artifact(self, name: str, version: str | int | None, *types: ArtifactType) -> ArtifactVersionView | None:
        wanted = None if version is None else str(version)
        for view in reversed(self.artifact_versions):
            if view.name == name and wanted in (None, view.version) and (not types or view.type in types):
                return view
        return None

    def _linked(self, target: EntityType) -> list[str]:
        links = self._backend.find(Query.of(ModelLink, model_version_id=self.id, target_type=target.value, order="id"))
        return [link.target_id for link in links]


class ModelView(View[RegisteredModel]):
    """A model."""

    entity = EntityType.MODEL

    @property
    def name(self) -> str:
        """The model's name."""
        return self.record.name

    @property
    def versions(self) -> list[ModelVersionView]:
        """Its versions, the newest first."""
        found = self._backend.find(Query.of(ModelVersion, model_id=self.id, order="-number"))
        return [ModelVersionView(version, self._backend) for version in found]

    @property
    def latest_version(self) -> ModelVersionView:
        """The newest version."""
        return ModelVersionView(self._backend.models.get_version(self.record.id), self._backend)


class StackView(View[StackRecord]):
    """A stack; its components are ready to use."""

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.record.name

    @property
    def artifact_store(self) -> ArtifactStore:
        """Its artifact store."""
        return as_store(self._component(ComponentType.ARTIFACT_STORE), "artifact store")

    @property
    def orchestrator(self) -> StackComponent:
        """Its orchestrator."""
        return self._component(ComponentType.ORCHESTRATOR)

    @property
    def experiment_tracker(self) -> StackComponent | None:
        """Its first experiment tracker, if it has one."""
        return self._optional(ComponentType.EXPERIMENT_TRACKER)

    @property
    def model_deployer(self) -> StackComponent | None:
        """Its model deployer, if it has one."""
        return self._optional(ComponentType.MODEL_DEPLOYER)

    @property
    def model_registry(self) -> StackComponent | None:
        """Its model registry, if it has one."""
        return self._optional(ComponentType.MODEL_REGISTRY)

    @property
    def data_validator(self) -> StackComponent | None:
        """Its data validator, if it has one."""
        return self._optional(ComponentType.DATA_VALIDATOR)

    @property
    def alerter(self) -> StackComponent | None:
        """Its first alerter, if it has one."""
        return self._optional(ComponentType.ALERTER)

    def _optional(self, kind: ComponentType) -> StackComponent | None:
        try:
            return self._component(kind)
        except StackError:
            return None

    def _component(self, kind: ComponentType) -> StackComponent:
        return self._backend.stacks.component(kind, stack=self.record.name)


def stage_named(stage: ModelStage | str) -> ModelStage:
    """A stage by its name.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return ModelStage(str(stage).lower())
    except ValueError as error:
        raise UsageError(f"There is no stage '{stage}'.", hint=f"There are: {', '.join(ModelStage)}.") from error


def model_version_view(backend: Backend, version_id: str | None) -> ModelVersionView | None:
    """A model version by id, if it is recorded."""
    found = backend.find(Query.of(ModelVersion, id=version_id)) if version_id else []
    return ModelVersionView(found[0], backend) if found else None


def _by_id(version: ArtifactVersion) -> str:
    return version.id
