"""Port: carrying tasks out somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.engine.model import LeafTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(LeafTask):
    """What a runner is asked to carry out; launching the same id again changes nothing."""

    #: What the step may ask about its run, as JSON (`services.run_memory` fills it in).
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def step_name(self) -> str:
        """What the pipeline's author calls it: a step's id, which Argo's names may not spell."""
        return str(self.context.get("step_name") or self.name)


#: How a runner reports: thread-safe, returns at once.
Report = Callable[[TaskFinished | TaskReady | TaskProgressed], None]


class Runner(ABC):
    """Carries tasks out. The controller calls all methods, in one thread at a time; they return at once."""

    #: As in settings, on the command line and in a run's record.
    name: str

    @abstractmethod
    def launch(self, task: Task, report: Report) -> None:
        """Start `task` unless it was started; `report` is called from any thread, once when it ended.

        Before that a daemon's task may be reported ready (`TaskReady`), and any task's progress (`TaskProgressed`).
        """

    @abstractmethod
    def cancel(self, task_id: str, grace: float) -> None:
        """End a task: ask, and after `grace` seconds force. Unknown or ended tasks are ignored."""

    @abstractmethod
    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Take up tasks that an earlier controller launched; returns the ids of those that run or have ended.

        Their end is reported. The others were lost and are launched again by the controller.
        """

    def let_go(self, task_id: str, grace: float) -> None:
        """Leave a task to another process of this home, which has taken its workflow up: hear no more of it.

        What that one cannot take up itself is ended, as by `cancel`; by default that is all.
        """
        self.cancel(task_id, grace)

    @abstractmethod
    def close(self) -> None:
        """End what runs and give everything back."""
