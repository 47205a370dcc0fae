"""Port: whoever carries workflows out. Use cases start, stop and wait through it without knowing the controller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tiphys.engine.model import Node, WorkflowState
from tiphys.ports.store import Transaction
from tiphys.records.workflows import WorkflowRow

#: Called with a workflow's uid, its state if that changed, and its changed nodes after each commit; quick, and from any
#: thread.
Watcher = Callable[[str, WorkflowState | None, Sequence[Node]], None]


#: Upper bounds of the classes that durations of commits are counted by, seconds.
COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


#: Upper bounds of the classes that the runtimes of workflows are counted by, seconds.
RUNTIME_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True, slots=True)
class TemplateName:
    """A stored template that workflows are made of."""

    name: str
    #: Of its workflows.
    namespace: str
    is_cluster_scoped: bool


@dataclass(frozen=True, slots=True)
class Durations:
    """How long several things took."""

    #: A number for each of `RUNTIME_BOUNDS`, and one for what took longer.
    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFigures:
    """What a host does now, and what it counted since it began."""

    #: Events that wait to be worked on.
    queue: int = 0
    #: Workflows that are carried out.
    workflows: int = 0
    #: Tasks whose end is awaited.
    tasks: int = 0
    #: Seconds since the present batch of events was begun; 0 if there is none.
    busy: float = 0.0
    #: Batches by how long they took: a number for each bound, and one for what took longer.
    commits: tuple[int, ...] = (0,) * (len(COMMIT_BOUNDS) + 1)
    commit_seconds: float = 0.0
    #: Events that were worked on.
    handled: int = 0
    #: (phase, namespace) → workflows that entered it.
    entered: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: (phase, namespace) → pods that entered it.
    pods: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Phase → pods that are in it and have not ended.
    open_pods: Mapping[str, int] = field(default_factory=dict)
    #: Workflows that have a pod that runs.
    with_pods: int = 0
    #: (template, phase) → workflows of a stored template that entered it.
    of_templates: Mapping[tuple[TemplateName, str], int] = field(default_factory=dict)
    #: Template → how long its workflows ran.
    runtimes: Mapping[TemplateName, Durations] = field(default_factory=dict)
    #: Key of a lock → how often it was taken.
    locks_taken: Mapping[str, int] = field(default_factory=dict)
    #: Cause → errors: "store" (a transaction was tried again) and "OperationPanic" (a workflow was given up).
    errors: Mapping[str, int] = field(default_factory=dict)


class EngineHost(ABC):
    """Carries out workflows that stand in the store, named by their uid."""

    #: Name of this process as `WorkflowRow.owner`.
    owner: str

    @abstractmethod
    def start(self, uid: str) -> None:
        """Begin with a workflow that was just stored; returns at once."""

    @abstractmethod
    def serve(self) -> None:
        """Look for workflows that nobody carries out, and for those that wait, and carry them out until `close`."""

    @abstractmethod
    def admit(self, transaction: Transaction, row: WorkflowRow, pipeline: str | None, *, detached: bool) -> WorkflowRow:
        """A workflow as it is to be stored in this transaction.

        If its turn has come it is this process's (nobody's, if it is `detached`: a process that is yet to come takes it
        up), and is to be started; else it has no owner and stands in the queue (`await_turn`).

        Args:
            transaction: The one that stores it.
            row: The workflow.
            pipeline: Name of the pipeline that it is a run of.
            detached: Whether another process is to carry it out.
        """

    @abstractmethod
    def await_turn(self, uid: str) -> None:
        """Carry out a stored workflow that stands in the queue as soon as its turn comes, unless others are quicker."""

    @abstractmethod
    def resume(self, uid: str) -> bool:
        """Take up an unfinished workflow whose owner is dead, at once or when its turn comes; False if it lives."""

    @abstractmethod
    def is_alive(self, owner: str) -> bool:
        """Whether the process that `WorkflowRow.owner` names still runs ("" is nobody)."""

    @abstractmethod
    def shut_down(self, uid: str, strategy: str) -> None:
        """End a workflow, whoever works on it.

        "Drain" lets running steps finish, "Stop" ends them and lets exit handlers run, "Terminate" does not. Returns
        once the wish is noted; a workflow that nobody works on is ended by this call.
        """

    @abstractmethod
    def wait(self, uid: str, watcher: Watcher | None = None) -> None:
        """Return when the workflow is fulfilled, wherever it is carried out.

        Where that is here, the calling thread lends itself to its steps. Ctrl-C terminates the workflow and is raised
        again.

        Raises:
            TiphysError: the workflow could not be carried on (its cause chained).
        """

    def revisions(self) -> Mapping[str, int]:
        """For workflows that are carried out here, by uid, a number that grows with each commit of theirs.

        What is not named may change at any time.
        """
        return {}

    def figures(self) -> HostFigures:
        """What it does and did; quick, from any thread."""
        return HostFigures()

    @abstractmethod
    def watch(self, uid: str, watcher: Watcher) -> None:
        """Have a watcher called for a workflow that this host carries out, until it ends; returns at once."""

    @abstractmethod
    def close(self) -> None:
        """End background work. Workflows that are not finished can be resumed by another process."""
