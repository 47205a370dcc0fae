"""Port: all use cases, as the SDK and the command line see them.

`services` carries them out on a database; `client` asks a server to. Each write is one transaction and one permission
check.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.model import Node
from tiphys.ports.access import Accounts
from tiphys.ports.component import StackComponent
from tiphys.ports.events import Events
from tiphys.ports.policies import Policies
from tiphys.ports.workflows import Objects, Workflows
from tiphys.records.artifacts import ArtifactType, ArtifactVersion, SaveType
from tiphys.records.base import EntityType, Query, R
from tiphys.records.models import ModelStage, ModelVersion, RegisteredModel
from tiphys.records.runs import Run, StepRun
from tiphys.records.stacks import Component, ComponentType, Service, StackRecord
from tiphys.records.tags import TagRecord
from tiphys.spec.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """The Model of a pipeline or step, as written in code."""

    name: str
    #: None → a new version for each run; a number, a stage, "latest" or a version's name → that one.
    version: str | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    tags: tuple[str, ...] = ()
    save_models_to_registry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRequest:
    """A tag as written in code."""

    name: str
    color: str | None = None
    exclusive: bool | None = None
    cascade: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A compiled pipeline, ready to run."""

    #: Of the run, chosen by whoever asks, so that asking twice creates one; None for any.
    id: str | None = None
    #: May hold {date}, {time} and own placeholders that `substitutions` resolves; None → `{pipeline}-{date}-{time}`.
    run_name: str | None = None
    pipeline_name: str
    pipeline_description: str = ""
    workflow: Workflow
    spec_digest: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    substitutions: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[TagRequest, ...] = ()
    model: ModelRequest | None = None
    #: Step name → its own Model, where it differs from the pipeline's.
    step_models: Mapping[str, ModelRequest] = field(default_factory=dict)
    stack: str | None = None
    #: "inline" or "process"; None for the orchestrator's.
    runner: str | None = None
    #: Whether a server is to carry the steps out, with code that is sent along.
    remote: bool = False
    #: Whether that code is fetched from the project's git repository, instead of its files being sent.
    code_by_git: bool = False
    #: Whether the one who asks carries the steps out, over the network (`services.client_tasks`).
    by_client: bool = False
    #: Code for steps where this process's own is not at hand: {store, digest}, and of git {repository, commit}
    #: (`sdk.shipped_code`).
    code: Mapping[str, str] | None = None
    #: Step name → step run of an earlier run whose outputs it takes over; it is not executed and recorded as skipped.
    reuse: Mapping[str, str] = field(default_factory=dict)
    #: Whether an interrupted run of the same spec digest is taken up instead of starting a new one.
    resume: bool = True
    #: False for a step called outside of a pipeline.
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArtifactVersion:
    """A version whose data is already stored."""

    name: str
    version: str | None = None
    digest: str
    size: int
    uri: str
    store: str
    materializer: str
    data_type: str
    type: ArtifactType = ArtifactType.DATA
    save_type: SaveType = SaveType.MANUAL
    has_custom_name: bool = True
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    visualizations: Mapping[str, Any] = field(default_factory=dict)
    #: The step run and run it is made in, if any.
    step_run_id: str | None = None
    run_id: str | None = None


#: Called with the changed nodes of a run after each commit; quick, and from any thread.
Observer = Callable[[Run, Sequence[Node]], None]


class Runs(ABC):
    """Runs of pipelines and workflows."""

    @abstractmethod
    def submit(self, request: RunRequest) -> Run:
        """Create a run (with its model versions and tags) and start it; returns at once."""

    @abstractmethod
    def wait(self, run_id: str, observer: Observer | None = None) -> Run:
        """Wait for the end of a run. Embedded, the calling thread carries out its steps meanwhile."""

    @abstractmethod
    def get(self, name_or_id: str) -> Run:
        """A run by name, id, or beginning of an id (8 characters or more)."""

    @abstractmethod
    def steps(self, run_id: str) -> list[StepRun]:
        """All step runs, attempts included, in the order they were started."""

    @abstractmethod
    def nodes(self, run_id: str) -> list[Node]:
        """The engine's nodes of a run."""

    @abstractmethod
    def stop(self, name_or_id: str, *, graceful: bool = False) -> Run:
        """End a run: what runs is cancelled, or with `graceful` finishes; nothing new starts."""

    def interrupt(self, run: Run) -> None:
        """End a run because the one who waits for it was interrupted."""
        if not self.get(run.id).status.is_finished:
            self.stop(run.id)

    @abstractmethod
    def resume(self, name_or_id: str) -> Run:
        """Take up a run whose process died."""

    @abstractmethod
    def is_interrupted(self, run: Run) -> bool:
        """Whether an unfinished run has nobody who works on it."""

    @abstractmethod
    def logs(self, name_or_id: str, *, step: str | None = None, follow: bool = False) -> Iterator[tuple[str, str]]:
        """(step name, line) of what the steps wrote, while they run or afterwards."""

    @abstractmethod
    def delete(self, name_or_id: str) -> None:
        """Remove a finished run and its step runs; artifact versions stay."""


class Artifacts(ABC):
    """Artifacts and their versions."""

    @abstractmethod
    def create_version(self, request: NewArtifactVersion) -> ArtifactVersion:
        """Record a version; numbers are given in order, without gaps, also to parallel callers."""

    @abstractmethod
    def get_version(self, name_or_id: str, version: str | int | None = None) -> ArtifactVersion:
        """By id, or by name and version (the newest by default)."""

    @abstractmethod
    def delete_versions(self, ids: Iterable[str]) -> int:
        """Remove versions that no run uses."""

    @abstractmethod
    def gc(self, *, dry_run: bool) -> list[tuple[str, int]]:
        """Remove from the stores what no version points to: (digest, bytes) of what was, or would be, removed."""


class Models(ABC):
    """Models and their versions."""

    @abstractmethod
    def get(self, name_or_id: str) -> RegisteredModel:
        """A model."""

    @abstractmethod
    def get_version(self, model: str, version: str | int | None = None) -> ModelVersion:
        """Digits → number; a stage → that version; "latest" or None → the newest; else by name."""

    @abstractmethod
    def ensure(self, request: ModelRequest) -> RegisteredModel:
        """The model of that name, created if there is none."""

    @abstractmethod
    def create_version(
        self, model: str, name: str | None = None, *, description: str = "", tags: Iterable[str] = ()
    ) -> ModelVersion:
        """A new version of an existing model; numbers and names of stages are reserved."""

    @abstractmethod
    def ensure_version(self, request: ModelRequest) -> ModelVersion:
        """The version that `request` means, created if that is what it means."""

    @abstractmethod
    def set_stage(self, version_id: str, stage: ModelStage, *, force: bool = False) -> ModelVersion:
        """Move a version; another one there is an error, unless `force` archives it."""

    @abstractmethod
    def link(self, version_id: str, target_type: EntityType, target_ids: Iterable[str]) -> None:
        """Link artifact versions or runs; what is linked stays linked."""

    @abstractmethod
    def delete_version(self, version_id: str) -> None:
        """Remove a version and its links."""

    @abstractmethod
    def delete(self, name_or_id: str) -> None:
        """Remove a model, its versions and links; artifacts stay."""


class Labels(ABC):
    """Metadata and tags."""

    @abstractmethod
    def log_metadata(
        self, metadata: Mapping[str, Any], entities: Iterable[tuple[EntityType, str]], *, step_run_id: str | None = None
    ) -> None:
        """Set keys on entities."""

    @abstractmethod
    def metadata_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Metadata by entity id."""

    @abstractmethod
    def ensure_tag(self, tag: TagRequest) -> TagRecord:
        """Create a tag, or change the fields that are given."""

    @abstractmethod
    def add_tags(self, tags: Iterable[TagRequest], entity_type: EntityType, entity_id: str) -> None:
        """Put tags on an entity; exclusive ones leave where they were, cascading ones of a run go to its outputs."""

    @abstractmethod
    def remove_tags(self, names: Iterable[str], entity_type: EntityType, entity_id: str) -> None:
        """Take tags off."""

    @abstractmethod
    def delete_tag(self, name: str) -> None:
        """Remove a tag and take it off everything."""

    @abstractmethod
    def tags_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, list[str]]:
        """Tag names by entity id."""


class Stacks(ABC):
    """Stacks, components and the services they run."""

    @abstractmethod
    def active(self) -> StackRecord:
        """The stack in use."""

    @abstractmethod
    def get(self, name_or_id: str) -> StackRecord:
        """A stack."""

    @abstractmethod
    def describe(self, name_or_id: str | None = None) -> dict[str, Any]:
        """A stack (the active one by default) for people, with secret values masked.

        {id, name, active, components: {type: [{id, name, flavor, configuration}]}}
        """

    @abstractmethod
    def register(
        self, name: str, components: Mapping[ComponentType, Sequence[str]], *, activate: bool = False
    ) -> StackRecord:
        """Create a stack of registered components; a missing orchestrator or artifact store is the default one."""

    @abstractmethod
    def activate(self, name_or_id: str) -> StackRecord:
        """Use a stack from now on."""

    @abstractmethod
    def delete(self, name_or_id: str) -> None:
        """Remove a stack that is not active."""

    @abstractmethod
    def register_component(
        self, type: ComponentType, name: str, flavor: str, configuration: Mapping[str, Any]
    ) -> Component:
        """Create a component; its configuration is checked by the flavor."""

    @abstractmethod
    def delete_component(self, type: ComponentType, name: str) -> None:
        """Remove a component that no stack has."""

    @abstractmethod
    def component_record(self, type: ComponentType, name: str) -> Component:
        """A registered component."""

    @abstractmethod
    def component(self, type: ComponentType, name: str | None = None, *, stack: str | None = None) -> StackComponent:
        """A component of a stack (the active one by default), ready to use.

        Raises:
            StackError: the stack has no such component; the message says how to add one.
        """

    @abstractmethod
    def save_service(self, service: Service) -> Service:
        """Create or change a service's record."""

    @abstractmethod
    def delete_service(self, id: str) -> None:
        """Remove a service's record (the caller has stopped it)."""


class Backend(ABC):
    """All use cases together."""

    runs: Runs
    artifacts: Artifacts
    models: Models
    labels: Labels
    stacks: Stacks
    objects: Objects
    workflows: Workflows
    events: Events
    #: Who may use the server, and what holds for all of its workspaces.
    accounts: Accounts
    policies: Policies

    @abstractmethod
    def find(self, query: Query[R]) -> list[R]:
        """Records that the caller may see."""

    @abstractmethod
    def count(self, query: Query[R]) -> int:
        """How many."""

    @abstractmethod
    def close(self) -> None:
        """End background work and give connections back."""
