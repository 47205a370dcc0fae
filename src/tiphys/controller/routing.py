"""One runner out of several: each task goes to the one that its template's kind needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.ports.runner import Report, Runner, Task

#: Kinds of templates that are pods.
POD_KINDS = ("container", "script", "containerSet")
#: What a task's kind is called that is a Python step.
STEP = "step"


def kind_of(task: Task) -> str:
    """What a task is: `STEP`, or the field of its template's body: "container", "http", …."""
    if "source" in task.body:
        return STEP
    kinds = (*POD_KINDS, "http", "data", "resource", "plugin")
    return next((kind for kind in kinds if kind in task.body), "")


class RoutingRunner(Runner):
    """Hands each task to another runner.

    Args:
        name: As in settings and in the workflow's record.
        find: Gives the runner of a kind (`kind_of`); asked once for each.
    """

    def __init__(self, name: str, find: Callable[[str], Runner]) -> None:
        self.name = name
        self._find = find
        self._by_kind: dict[str, Runner] = {}
        self._by_task: dict[str, Runner] = {}

    def launch(self, task: Task, report: Report) -> None:
        """Have the right one start it."""
        runner = self._by_task[task.id] = self._of(task)
        runner.launch(task, self._forgetting(report))

    def cancel(self, task_id: str, grace: float) -> None:
        """Tell the one that has it."""
        runner = self._by_task.pop(task_id, None)
        if runner is not None:
            runner.cancel(task_id, grace)

    def let_go(self, task_id: str, grace: float) -> None:
        """Tell the one that has it."""
        runner = self._by_task.pop(task_id, None)
        if runner is not None:
            runner.let_go(task_id, grace)

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Ask each for its own."""
        found: set[str] = set()
        shares: dict[Runner, list[Task]] = {}
        for task in tasks:
            runner = self._by_task[task.id] = self._of(task)
            shares.setdefault(runner, []).append(task)
        for runner, share in shares.items():
            found |= runner.reattach(share, self._forgetting(report))
        return found

    def close(self) -> None:
        """Close those that were used."""
        for runner in dict.fromkeys(self._by_kind.values()):
            runner.close()

    def _forgetting(self, report: Report) -> Report:
        def reported(event: TaskFinished | TaskReady | TaskProgressed) -> None:
            if isinstance(event, TaskFinished):
                self._by_task.pop(event.task_id, None)
            report(event)

        return reported

    def _of(self, task: Task) -> Runner:
        kind = kind_of(task)
        runner = self._by_kind.get(kind)
        if runner is None:
            runner = self._by_kind[kind] = self._find(kind)
        return runner
