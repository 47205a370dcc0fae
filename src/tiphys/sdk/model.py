"""Model: a name under which versions of everything that belongs together are kept, with stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.errors import DefinitionError
from tiphys.plugins.loading import load
from tiphys.records.models import ModelStage

if TYPE_CHECKING:
    from tiphys.ports.backend import ModelRequest
    from tiphys.sdk.model_views import ModelVersionView
    from tiphys.sdk.views import ArtifactVersionView, RunView

#: ZenML's name of the stages.
ModelStages = ModelStage

_CARD = ("license", "description", "audience", "use_cases", "limitations", "trade_offs", "ethics")


@dataclass(eq=False)
class Model:
    """What a pipeline (or step) works for: `@pipeline(model=Model("churn"))` makes a version with each run.

    Outside of a step, and inside, it gives what belongs to a version: `Model("churn", version="production")
    .load_artifact("classifier")`.

    Attributes:
        name: Name of the model.
        version: A number; a stage or "latest"; or the name of a version, made if it is not there. None is a new version
            with each run (and where something is asked for, that of the present run, else the newest).
        license: Of the model, as the others below: for people.
        description: What it does.
        audience: Who it is for.
        use_cases: What it is for.
        limitations: What it cannot do.
        trade_offs: What was weighed.
        ethics: What to consider.
        tags: Put on the model, and on each version that a run makes.
        save_models_to_registry: Whether model artifacts go to the stack's model registry too.
    """

    name: str
    version: str | int | ModelStage | None = None
    license: str | None = None
    description: str | None = None
    audience: str | None = None
    use_cases: str | None = None
    limitations: str | None = None
    trade_offs: str | None = None
    ethics: str | None = None
    tags: Sequence[str] | None = None
    save_models_to_registry: bool = True
    _known: ModelVersionView | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name.strip():
            raise DefinitionError(f"Model has name={name!r}: give a text.")
        version: object = self.version
        if isinstance(version, bool) or not isinstance(version, (str, int, type(None))) or version == "":
            raise DefinitionError(
                f"Model '{self.name}' has version={version!r}.", hint="Give a number, a stage, a name, or None."
            )
        if isinstance(self.tags, str):
            raise DefinitionError(f"Model '{self.name}' has tags={self.tags!r}: give a list.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((self.name, self._version_text()))

    def to_request(self) -> ModelRequest:
        """It as the backend is asked for it."""
        request: ModelRequest = load("tiphys.ports.backend:ModelRequest")(
            name=self.name,
            version=self._version_text(),
            card={name: value for name in _CARD if (value := getattr(self, name)) is not None},
            description=self.description or "",
            tags=tuple(self.tags or ()),
            save_models_to_registry=self.save_models_to_registry,
        )
        return request

    @property
    def model_version(self) -> ModelVersionView:
        """The version that is meant here, as recorded when it was first asked for.

        Raises:
            NotFoundError: there is no such model or version.
        """
        if self._known is None:
            self._known = load("tiphys.sdk.model_lookup:find_version")(self.name, self._version_text())
        return self._known

    @property
    def id(self) -> str:
        """Id of the version."""
        return self.model_version.id

    @property
    def model_id(self) -> str:
        """Id of the model."""
        return self.model_version.record.model_id

    @property
    def number(self) -> int:
        """Number of the version."""
        return self.model_version.number

    @property
    def stage(self) -> ModelStage:
        """Stage of the version, as it is now."""
        return self._fresh().stage

    @property
    def run_metadata(self) -> dict[str, Any]:
        """Metadata of the version."""
        return self.model_version.run_metadata

    @property
    def pipeline_runs(self) -> dict[str, RunView]:
        """Runs that belong to the version, by name."""
        return self.model_version.pipeline_runs

    def get_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """An artifact version that belongs to the model version, by name; the newest of that name by default."""
        return self.model_version.get_artifact(name, version)

    def get_model_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among artifacts that are models."""
        return self.model_version.get_model_artifact(name, version)

    def get_data_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among data."""
        return self.model_version.get_data_artifact(name, version)

    def get_deployment_artifact(self, name: str, version: str | int | None = None) -> ArtifactVersionView | None:
        """As `get_artifact`, among services."""
        return self.model_version.get_deployment_artifact(name, version)

    def load_artifact(self, name: str, version: str | int | None = None) -> Any:
        """The value of an artifact that belongs to the model version.

        Raises:
            NotFoundError: there is none of that name.
        """
        return self.model_version.load_artifact(name, version)

    def get_pipeline_run(self, name: str) -> RunView:
        """A run that belongs to the version.

        Raises:
            KeyError: none of that name does.
        """
        return self.pipeline_runs[name]

    def log_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Set metadata of the version."""
        load("tiphys.sdk.metadata:log_metadata")(
            dict(metadata), model_name=self.name, model_version=self.model_version.name
        )

    def set_stage(self, stage: ModelStage | str, force: bool = False) -> None:
        """Move the version to a stage.

        Raises:
            ConflictError: another version is there, and `force` (which archives that one) is not set.
        """
        self.model_version.set_stage(stage, force=force)

    def _fresh(self) -> ModelVersionView:
        known = self.model_version
        self._known = load("tiphys.sdk.model_lookup:find_version")(self.name, known.name)
        return self._known or known

    def _version_text(self) -> str | None:
        return None if self.version is None else str(self.version)

    def _fields(self) -> tuple[Any, ...]:
        card = tuple(getattr(self, name) for name in _CARD)
        return (self.name, self._version_text(), card, tuple(self.tags or ()), self.save_models_to_registry)


Model.__module__ = "tiphys"
