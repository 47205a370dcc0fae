"""Port: what stands beside the engine's nodes: step runs, artifact versions, caching.

The controller calls it inside its own transactions, so that a node and its records are kept or lost together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Node, WorkflowState
from tiphys.ports.runner import Task
from tiphys.ports.store import Reader, Transaction


@dataclass(slots=True)
class Change:
    """What one batch changed in one workflow."""

    uid: str
    #: Set if the workflow's own status changed.
    state: WorkflowState | None = None
    #: All changed nodes, in the order of their first change.
    nodes: list[Node] = field(default_factory=list)
    #: Tasks that are about to be launched.
    launched: list[Task] = field(default_factory=list)
    #: Reports that were accepted, each with its task.
    finished: list[tuple[Task, TaskFinished]] = field(default_factory=list)
    #: Node ids of attempts that failed and will be tried again.
    retried: set[str] = field(default_factory=set)


class Recorder(ABC):
    """Writes down what a change means, and decides what need not run."""

    @abstractmethod
    def prepare(self, reader: Reader, tasks: Sequence[Task]) -> list[Task | tuple[Task, TaskFinished]]:
        """For each task: itself with its context filled in, or itself with its end if that is known (a cache hit).

        The reader sees what this batch has written so far.
        """

    @abstractmethod
    def describe(self, tasks: Sequence[Task]) -> list[Task]:
        """Tasks that were launched before, with their context filled in again; no cache is asked.

        For a workflow that the controller took up anew.
        """

    def check(self, reader: Reader, task: Task, event: TaskFinished) -> TaskFinished:
        """Look at a report before the engine is told of it, in the transaction that will record it.

        What cannot be recorded (an artifact version whose explicit name is taken) comes back as a failure.
        """
        return event

    @abstractmethod
    def record(self, transaction: Transaction, change: Change) -> None:
        """Write the records that belong to `change`."""

    @abstractmethod
    def forget(self, uid: str) -> None:
        """Drop whatever is remembered of a workflow (it ended, or will be loaded anew)."""

    @abstractmethod
    def tend(self, uids: Collection[str]) -> None:
        """Called now and then with the workflows that are carried out; quick."""
