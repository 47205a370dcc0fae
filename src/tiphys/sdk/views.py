"""What was recorded, as objects to look around in: runs, their steps and outputs, artifacts' values, models.

A view shows one record, whose fields can be read from it (`view.created_at`), and asks the backend for what belongs to
it when that is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, SupportsIndex, overload

from tiphys.errors import ArtifactError, NotFoundError, UsageError
from tiphys.plugins.loading import load
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.records.artifacts import Artifact, ArtifactRef, ArtifactType, ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Query, R
from tiphys.records.runs import ExecutionStatus, Pipeline, Run, StepRun
from tiphys.records.stacks import ComponentType
from tiphys.sdk.materializing import load_value

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend

#: Ids of one look-up at most.
CHUNK = 500


def fetch(backend: Backend, kind: type[R], ids: Iterable[str]) -> dict[str, R]:
    """Records by id, as many as there are."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, R] = {}
    for start in range(0, len(wanted), CHUNK):
        records = backend.find(Query.of(kind, id=wanted[start : start + CHUNK]))
        found.update((record.id, record) for record in records)
    return found


class View(Generic[R]):
    """Shows one record.

    Attributes:
        record: What is shown.
    """

    entity: EntityType

    def __init__(self, record: R, backend: Backend) -> None:
        self.record = record
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return getattr(self.record, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and type(other) is type(self) and other.record.id == self.record.id

    def __hash__(self) -> int:
        return hash(self.record.id)

    def __repr__(self) -> str:
        name = getattr(self.record, "name", "")
        return f"<{type(self).__name__.removesuffix('View')} {name} {self.record.id}>"

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    @property
    def run_metadata(self) -> dict[str, Any]:
        """Its metadata."""
        return self._backend.labels.metadata_of(self.entity, [self.id])[self.id]

    @property
    def tags(self) -> list[str]:
        """Names of its tags."""
        return self._backend.labels.tags_of(self.entity, [self.id])[self.id]


@dataclass(frozen=True, slots=True)
class Visualization:
    """A picture of an artifact; a notebook shows it."""

    #: Name of its file.
    name: str
    #: html, image, csv, markdown or json.
    type: str
    content: bytes

    def _repr_html_(self) -> str | None:
        return self.content.decode() if self.type == "html" else None

    def _repr_markdown_(self) -> str | None:
        return self.content.decode() if self.type == "markdown" else None

    def _repr_png_(self) -> bytes | None:
        return self.content if self.type == "image" and self.name.endswith(".png") else None


class ArtifactVersionView(View[ArtifactVersion]):
    """A version of an artifact."""

    entity = EntityType.ARTIFACT_VERSION

    @property
    def name(self) -> str:
        """Name of the artifact."""
        return self.record.name

    @property
    def version(self) -> str:
        """The version."""
        return self.record.version

    @property
    def uri(self) -> str:
        """Where its files are."""
        return self.record.uri

    @property
    def digest(self) -> str:
        """SHA-256 over its files."""
        return self.record.digest

    @property
    def type(self) -> ArtifactType:
        """Kind of artifact."""
        return self.record.type

    @property
    def ref(self) -> ArtifactRef:
        """The version as steps pass it on."""
        return ref_of(self.record)

    @property
    def artifact(self) -> Artifact:
        """The artifact that this is a version of."""
        return fetch(self._backend, Artifact, [self.record.artifact_id])[self.record.artifact_id]

    def load(self, data_type: Any = None) -> Any:
        """The value.

        Raises:
            ArtifactMissingError: its data is gone.
            DigestMismatchError: its data is not what was recorded.
        """
        return load_value(self.ref, self.artifact_store, data_type=data_type)

    def read(self) -> Any:
        """The same as `load`."""
        return self.load()

    @property
    def artifact_store(self) -> ArtifactStore:
        """The store that holds it."""
        return store_named(self._backend, self.record.store)

    @property
    def producer_step(self) -> StepView | None:
        """The step that made it, if a step did and its run is still recorded."""
        return step_view(self._backend, self.record.producer_step_run_id)

    @property
    def step(self) -> StepView:
        """The step that made it.

        Raises:
            NotFoundError: no step did, or its run was deleted.
        """
        found = self.producer_step
        if found is None:
            raise NotFoundError(
                f"The artifact '{self.name}' version {self.version} was made by no step that is recorded."
            )
        return found

    @property
    def run(self) -> RunView:
        """The run that it was made in."""
        if self.record.run_id is None:
            raise NotFoundError(f"The artifact '{self.name}' version {self.version} was not made in a run.")
        return RunView(self._backend.runs.get(self.record.run_id), self._backend)

    @property
    def visualizations(self) -> list[Visualization]:
        """Its pictures."""
        store = self.artifact_store
        return [
            Visualization(name, picture["type"], store.read_bytes(picture["digest"], name))
            for name, picture in self.record.visualizations.items()
        ]

    def visualize(self, title: str | None = None) -> list[Visualization]:
        """Its pictures; in a notebook they are shown too."""
        pictures = self.visualizations
        notebook = sys.modules.get("IPython")
        if notebook is not None and notebook.get_ipython() is not None:
            if title:
                notebook.display.display(title)
            notebook.display.display(*pictures)
        return pictures


class ArtifactVersions(list[ArtifactVersionView]):
    """The versions of one output or input; where it is one, it can be used as that version."""

    def one(self) -> ArtifactVersionView:
        """The only version.

        Raises:
            UsageError: there are several, or none.
        """
        if len(self) != 1:
            raise UsageError(f"There are {len(self)} artifact versions here, not one.", hint="Choose one by its index.")
        return self[0]

    def load(self, data_type: Any = None) -> Any:
        """The only version's value; of several (a mapped step's) the list of their values."""
        return self[0].load(data_type) if len(self) == 1 else [version.load() for version in self]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.one(), name)

    @overload
    def __getitem__(self, index: SupportsIndex) -> ArtifactVersionView: ...
    @overload
    def __getitem__(self, index: slice) -> list[ArtifactVersionView]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> ArtifactVersionView | list[ArtifactVersionView]:
        return super().__getitem__(index)


class StepView(View[StepRun]):
    """One attempt of a step."""

    entity = EntityType.STEP_RUN

    @property
    def name(self) -> str:
        """Invocation id of the step."""
        return self.record.name

    @property
    def status(self) -> ExecutionStatus:
        """How far it is."""
        return self.record.status

    @property
    def run_metadata(self) -> dict[str, Any]:
        """Its metadata; a cached step has that of the execution whose result it took over, too."""
        ids = [step_id for step_id in (self.record.original_step_run_id, self.id) if step_id]
        found = self._backend.labels.metadata_of(self.entity, ids)
        return {key: value for step_id in ids for key, value in found[step_id].items()}

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters."""
        return dict(self.record.parameters)

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return self.record.started_at

    @property
    def end_time(self) -> datetime | None:
        """When it ended."""
        return self.record.finished_at

    @property
    def duration(self) -> timedelta | None:
        """How long it took."""
        start, end = self.record.started_at, self.record.finished_at
        return None if start is None or end is None else end - start

    @property
    def outputs(self) -> dict[str, ArtifactVersions]:
        """What it gave, by output name."""
        return self._used("out")

    @property
    def inputs(self) -> dict[str, ArtifactVersions]:
        """Artifacts that it took, by parameter name."""
        return self._used("in")

    @property
    def output(self) -> ArtifactVersionView:
        """Its only output.

        Raises:
            UsageError: it has several, or none.
        """
        outputs = self.outputs
        if len(outputs) != 1:
            raise UsageError(
                f"The step '{self.name}' has {len(outputs) or 'no'} outputs, not one.",
                hint=f"Choose by name: outputs[…] of {', '.join(outputs)}." if outputs else None,
            )
        return next(iter(outputs.values())).one()

    @property
    def input(self) -> ArtifactVersionView:
        """Its only input artifact."""
        inputs = self.inputs
        if len(inputs) != 1:
            raise UsageError(f"The step '{self.name}' has {len(inputs) or 'no'} input artifacts, not one.")
        return next(iter(inputs.values())).one()

    @property
    def run(self) -> RunView:
        """Its run."""
        return RunView(self._backend.runs.get(self.record.run_id), self._backend)

    @property
    def original_step(self) -> StepView | None:
        """Of a cached step: the one whose result it has, if that is still recorded."""
        return step_view(self._backend, self.record.original_step_run_id)

    @property
    def model_version(self) -> Any:
        """The model version it worked for (a `ModelVersionView`), or None."""
        return load("tiphys.sdk.model_views:model_version_view")(self._backend, self.record.model_version_id)

    def logs(self) -> list[str]:
        """Lines of its log."""
        return [line for _, line in self._backend.runs.logs(self.record.run_id, step=self.name)]

    def load(self) -> Any:
        """The value of its only output."""
        return self.output.load()

    def _used(self, direction: str) -> dict[str, ArtifactVersions]:
        uses = self._backend.find(Query.of(ArtifactUse, step_run_id=self.id, direction=direction, order="id"))
        versions = fetch(self._backend, ArtifactVersion, [use.artifact_version_id for use in uses])
        found: dict[str, ArtifactVersions] = {}
        for use in uses:
            if use.artifact_version_id in versions:
                view = ArtifactVersionView(versions[use.artifact_version_id], self._backend)
                found.setdefault(use.name, ArtifactVersions()).append(view)
        return found


class RunView(View[Run]):
    """A run."""

    entity = EntityType.RUN

    @property
    def name(self) -> str:
        """The run's name."""
        return self.record.name

    @property
    def status(self) -> ExecutionStatus:
        """How far it was when it was read; `refresh` reads it again."""
        return self.record.status

    @property
    def config(self) -> dict[str, Any]:
        """What explains the run: code, python, platform, extra."""
        return dict(self.record.config)

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return self.record.started_at

    @property
    def end_time(self) -> datetime | None:
        """When it ended."""
        return self.record.finished_at

    @property
    def steps(self) -> dict[str, StepView]:
        """Its steps by name, each with its last attempt."""
        return {step.name: StepView(step, self._backend) for step in self._backend.runs.steps(self.id)}

    @property
    def step_runs(self) -> list[StepView]:
        """All attempts of all steps, in the order they were started."""
        return [StepView(step, self._backend) for step in self._backend.runs.steps(self.id)]

    @property
    def pipeline(self) -> PipelineView | None:
        """Its pipeline; None for a step that was called on its own."""
        if self.record.pipeline_id is None:
            return None
        found = fetch(self._backend, Pipeline, [self.record.pipeline_id])
        return PipelineView(found[self.record.pipeline_id], self._backend) if found else None

    @property
    def model_version(self) -> Any:
        """The version of its pipeline's Model (a `ModelVersionView`), or None."""
        return load("tiphys.sdk.model_views:model_version_view")(self._backend, self.record.model_version_id)

    @property
    def artifact_versions(self) -> list[ArtifactVersionView]:
        """What its steps gave, cached results included."""
        steps = [step.id for step in self._backend.runs.steps(self.id)]
        ids: list[str] = []
        for start in range(0, len(steps), CHUNK):
            part = steps[start : start + CHUNK]
            uses = self._backend.find(Query.of(ArtifactUse, step_run_id=part, direction="out", order="id"))
            ids += [use.artifact_version_id for use in uses]
        versions = fetch(self._backend, ArtifactVersion, ids)
        return [ArtifactVersionView(version, self._backend) for version in versions.values()]

    @property
    def produced_artifact_versions(self) -> list[ArtifactVersionView]:
        """What its steps made anew."""
        versions = self._backend.find(Query.of(ArtifactVersion, run_id=self.id, order="id"))
        return [ArtifactVersionView(version, self._backend) for version in versions]

    def refresh(self) -> RunView:
        """Read it again."""
        self.record = self._backend.runs.get(self.id)
        return self

    def wait(self) -> RunView:
        """Wait for its end."""
        self.record = self._backend.runs.wait(self.id)
        return self

    def logs(self) -> Iterator[tuple[str, str]]:
        """(step name, line) of what its steps wrote."""
        return self._backend.runs.logs(self.id)


class PipelineView(View[Pipeline]):
    """A pipeline that was run."""

    entity = EntityType.PIPELINE

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.record.name

    @property
    def runs(self) -> list[RunView]:
        """Its runs, the newest first."""
        return [RunView(run, self._backend) for run in self._backend.find(Query.of(Run, pipeline_id=self.id))]

    @property
    def last_run(self) -> RunView:
        """The newest run.

        Raises:
            NotFoundError: there is none.
        """
        return self._last()

    @property
    def last_successful_run(self) -> RunView:
        """The newest run that completed.

        Raises:
            NotFoundError: there is none.
        """
        return self._last(status=ExecutionStatus.COMPLETED)

    def _last(self, **equal: Any) -> RunView:
        found = self._backend.find(Query.of(Run, pipeline_id=self.id, limit=1, **equal))
        if not found:
            which = "completed " if equal else ""
            raise NotFoundError(f"The pipeline '{self.name}' has no {which}run.")
        return RunView(found[0], self._backend)


def ref_of(version: ArtifactVersion) -> ArtifactRef:
    """A recorded version as steps pass it on."""
    return ArtifactRef(
        version_id=version.id,
        name=version.name,
        digest=version.digest,
        materializer=version.materializer,
        data_type=version.data_type,
        type=version.type.value,
        size=version.size,
        version=version.version,
    )


def store_named(backend: Backend, name: str) -> ArtifactStore:
    """An artifact store by the name of its component."""
    return as_store(backend.stacks.component(ComponentType.ARTIFACT_STORE, name), name)


def as_store(component: object, name: str) -> ArtifactStore:
    """A component that is an artifact store.

    Raises:
        ArtifactError: it is none.
    """
    if not isinstance(component, ArtifactStore):
        raise ArtifactError(f"The component '{name}' is not an artifact store.")
    return component


def step_view(backend: Backend, step_run_id: str | None) -> StepView | None:
    """A step run by id, if it is recorded."""
    found = backend.find(Query.of(StepRun, id=step_run_id)) if step_run_id else []
    return StepView(found[0], backend) if found else None
