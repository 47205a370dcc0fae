"""Port: the use cases of Argo's API: stored objects, and workflows from their submission to their archive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.records.objects import ObjectKind
from tiphys.records.workflows import WorkflowSummary
from tiphys.spec.problems import Problem

if TYPE_CHECKING:
    from tiphys.spec.reading import Document

#: An object as JSON, as Argo's API shows it.
Manifest = dict[str, Any]


class Objects(ABC):
    """Stored Argo and Kubernetes objects of one namespace, and those that belong to none."""

    @abstractmethod
    def in_namespace(self, namespace: str) -> Objects:
        """The same for another namespace."""

    @abstractmethod
    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Store a new object.

        Raises:
            SpecError: it is not valid.
            AlreadyExistsError: there is one of that kind and name.
        """

    @abstractmethod
    def update(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Replace an object.

        Raises:
            NotFoundError: there is none of that kind and name.
            ConflictError: it names another `resourceVersion` than the present one, or the object is immutable.
        """

    @abstractmethod
    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Manifest:
        """Create or replace an object."""

    @abstractmethod
    def get(self, kind: ObjectKind, name: str) -> Manifest:
        """An object."""

    @abstractmethod
    def find(
        self, kind: ObjectKind, *, labels: str = "", fields: str = "", all_namespaces: bool = False
    ) -> list[Manifest]:
        """Objects of a kind that the label selector and the field selector mean, by namespace and name."""

    @abstractmethod
    def suspend_schedule(self, name: str, *, suspended: bool) -> Manifest:
        """Have a CronWorkflow start nothing, or go on."""

    @abstractmethod
    def delete(self, kind: ObjectKind, name: str) -> None:
        """Remove an object; a volume claim's folder goes with it."""

    @abstractmethod
    def claim_folder(self, namespace: str, name: str) -> Path | None:
        """Where a volume claim's data is; None if there is no such claim."""

    @abstractmethod
    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a ConfigMap by key; None if there is none."""

    @abstractmethod
    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Values of a Secret by key, as they are; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """What a submission changes in the workflow it submits; empty fields change nothing."""

    name: str = ""
    generate_name: str = ""
    entrypoint: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Name of an artifact argument → the key it is taken from.
    artifacts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    pod_priority_class: str = ""
    priority: int | None = None
    #: "sandbox", "process" or "container"; None for the default.
    runner: str | None = None
    #: Refuse unknown fields.
    strict: bool = True
    #: Only say what would be stored.
    dry_run: bool = False
    #: Whether a process of its own carries the workflow out, so that this one may end.
    detached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFilter:
    """Which workflows of a namespace are meant; all conditions hold together."""

    names: tuple[str, ...] = ()
    prefix: str = ""
    contains: str = ""
    phases: tuple[str, ...] = ()
    #: True for finished ones, False for the others, None for both.
    completed: bool | None = None
    resubmitted: bool = False
    #: Selectors as Kubernetes writes them.
    labels: str = ""
    fields: str = ""
    created_after: datetime | None = None
    finished_before: datetime | None = None
    all_namespaces: bool = False
    #: Of all namespaces these alone; None for no such limit.
    among: tuple[str, ...] | None = None
    #: Those of the archive (all that finished, and what only the archive still has) instead of the present ones.
    archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPage:
    """Some workflows of a list, newest first."""

    items: list[WorkflowSummary]
    #: What `after` of the next page is; empty if this is the last one.
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPage:
    """Some workflows of a list with specification and status, newest first."""

    items: list[Manifest]
    #: As `WorkflowPage.next`.
    next: str = ""


class ChangeType(StrEnum):
    """What happened to a workflow."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class WorkflowChange:
    """Something that happened to a workflow of those that are watched."""

    type: ChangeType
    #: The workflow as it is now; of one that is gone its metadata.
    object: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines of a workflow's logs are meant."""

    #: One node by its id or pod name; empty for all.
    pod: str = ""
    container: str = "main"
    #: Only lines in which this regular expression is found.
    grep: str = ""
    #: Label selector over the pods.
    labels: str = ""
    since: datetime | None = None
    #: The last so many lines of each container; None for all.
    tail: int | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of a container's log."""

    pod: str
    content: str
    #: When it was written; of a container, whose log holds no times, when its log was last written to.
    at: datetime


class Workflows(ABC):
    """Workflows of one namespace, as Argo's API serves them. Names may be `@latest`."""

    @abstractmethod
    def in_namespace(self, namespace: str) -> Workflows:
        """The same for another namespace."""

    @abstractmethod
    def submit(self, manifest: Mapping[str, Any], options: SubmitOptions | None = None) -> Manifest:
        """Store a workflow and have it carried out.

        Raises:
            SpecError: it is not valid; nothing was stored.
            NotFoundError: it refers to something that is not stored.
            AlreadyExistsError: there is a workflow of that name.
        """

    @abstractmethod
    def submit_all(
        self, manifests: Sequence[Mapping[str, Any]], options: SubmitOptions | None = None
    ) -> list[Manifest]:
        """Submit several workflows: all are stored, or none, and one process carries them out. Raises as `submit`."""

    @abstractmethod
    def submit_from(self, kind: str, name: str, options: SubmitOptions | None = None) -> Manifest:
        """Submit a stored template or schedule: `wftmpl`, `cwft`, `cronwf`, or another of their names."""

    @abstractmethod
    def lint(self, document: Document, *, given: Iterable[object] = (), strict: bool = True) -> list[Problem]:
        """What is wrong with a manifest; templates it refers to may be `given` or stored."""

    @abstractmethod
    def get(self, name: str, *, uid: str = "", archive: bool = False) -> Manifest:
        """A workflow with its status."""

    @abstractmethod
    def find(self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "") -> WorkflowPage:
        """Workflows that obey the filter, without their specification; `limit` 0 for all."""

    @abstractmethod
    def find_whole(
        self, wanted: WorkflowFilter, *, limit: int = 0, after: str = "", nodes: bool = True
    ) -> ManifestPage:
        """As `find`, with specification and status; without `nodes` also without what follows from them."""

    @abstractmethod
    def archived_labels(self, key: str | None = None) -> list[str]:
        """Keys of the labels of all workflows, archived ones too, of this namespace; with a key its values."""

    @abstractmethod
    def delete(self, name: str, *, uid: str = "", archive: bool = False, force: bool = False) -> None:
        """Remove a workflow, its nodes, logs and volume claims, and the artifacts that are to go with it.

        One that runs is terminated first. With `force` its artifacts are left where they are.

        Raises:
            NotFoundError: there is no such workflow.
            ArtifactError: an artifact cannot be deleted. The workflow is kept, and a condition tells why; unless
                its artifactGC says `forceFinalizerRemoval`.
        """

    @abstractmethod
    def stop(self, name: str, *, selector: str = "", message: str = "") -> Manifest:
        """End a workflow and run its exit handler; with a node field selector only fail the Suspend nodes it means."""

    @abstractmethod
    def terminate(self, name: str) -> Manifest:
        """End a workflow at once."""

    @abstractmethod
    def suspend(self, name: str) -> Manifest:
        """Start nothing new."""

    @abstractmethod
    def resume(self, name: str, *, selector: str = "") -> Manifest:
        """Go on, and end the waiting Suspend nodes (that a node field selector means)."""

    @abstractmethod
    def set_nodes(
        self, name: str, *, selector: str, phase: str = "", message: str = "", outputs: Mapping[str, str] | None = None
    ) -> Manifest:
        """Change the waiting Suspend nodes that a node field selector means."""

    @abstractmethod
    def retry(
        self,
        name: str,
        *,
        uid: str = "",
        restart_successful: bool = False,
        selector: str = "",
        parameters: Mapping[str, str] | None = None,
        detached: bool = False,
    ) -> Manifest:
        """Take a failed workflow up again where it failed."""

    @abstractmethod
    def resubmit(
        self,
        name: str,
        *,
        uid: str = "",
        memoized: bool = False,
        parameters: Mapping[str, str] | None = None,
        priority: int | None = None,
        detached: bool = False,
    ) -> Manifest:
        """Submit a workflow again as a new one, with `memoized` without what succeeded."""

    @abstractmethod
    def wait(self, name: str) -> WorkflowSummary:
        """Wait for the end of a workflow, wherever it is carried out."""

    @abstractmethod
    def watch(self, name: str) -> Iterator[Manifest]:
        """A workflow each time it has changed, until it ends."""

    @abstractmethod
    def changes(self, wanted: WorkflowFilter, *, since: datetime | None = None) -> Iterator[list[WorkflowChange]]:
        """What happens to workflows that obey the filter: an endless iterator, with a list for each look.

        The lists may be empty: whoever looks makes the pauses. The first one has all those workflows as added; with
        `since` only those that may have changed after it.
        """

    @abstractmethod
    def logs(self, name: str, query: LogQuery) -> Iterator[LogEntry]:
        """What the containers wrote."""

    @abstractmethod
    def log_batches(self, name: str, query: LogQuery) -> Iterator[list[LogEntry]]:
        """As `logs`, with a list for each look; the lists may be empty, and whoever looks makes the pauses."""

    @abstractmethod
    def fetch_artifact(
        self, name: str, node_id: str, artifact: str, target: Path, *, uid: str = "", of_inputs: bool = False
    ) -> None:
        """Write an output (or input) artifact of a node to `target`, as the file or folder that it is.

        Raises:
            NotFoundError: there is no such workflow, node or artifact.
            ArtifactMissingError: its data is not there any more.
        """

    @abstractmethod
    def set_limit(self, key: str, limit: int, *, config_map: str = "", new: bool = False) -> None:
        """Say how many may hold a semaphore whose limit stands in the database, or in a key of a ConfigMap.

        Raises:
            AlreadyExistsError: it is to be `new`, and there is one.
            NotFoundError: it is to be changed, and there is none.
        """

    @abstractmethod
    def limit(self, key: str, *, config_map: str = "") -> int:
        """How many may hold a semaphore."""

    @abstractmethod
    def delete_limit(self, key: str, *, config_map: str = "") -> None:
        """Remove a semaphore's limit."""

    @abstractmethod
    def carry_out(self, uids: Sequence[str], ready: Callable[[], None]) -> None:
        """Take up stored workflows in this process, call `ready` when they are ours, and return when all have ended."""
