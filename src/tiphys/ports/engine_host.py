"""Port: whoever carries workflows out. Use cases start, stop and wait through it without knowing the controller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from tiphys.engine.model import Node, WorkflowState

#: Called with a workflow's uid, its state if that changed, and its changed nodes after each commit; quick, and from any
#: thread.
Watcher = Callable[[str, WorkflowState | None, Sequence[Node]], None]


class EngineHost(ABC):
    """Carries out workflows that stand in the store, named by their uid."""

    #: Name of this process as `WorkflowRow.owner`.
    owner: str

    @abstractmethod
    def start(self, uid: str) -> None:
        """Begin with a workflow that was just stored; returns at once."""

    @abstractmethod
    def resume(self, uid: str) -> bool:
        """Take up an unfinished workflow whose owner is dead; False if there is nothing to take up."""

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

    @abstractmethod
    def close(self) -> None:
        """End background work. Workflows that are not finished can be resumed by another process."""
