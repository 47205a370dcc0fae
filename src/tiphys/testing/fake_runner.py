"""A runner that carries nothing out: a script says how each attempt of each step ends.

`World` is what is outside of the controller: the tasks that were launched and how they stand. It survives a
controller's crash, so a test makes a new `FakeRunner` over the same world, as a new process would find the old one's
tasks running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys._util.ids import new_id
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Phase, Reason, Values
from tiphys.errors import NotFoundError
from tiphys.ports.runner import Report, Runner, Task
from tiphys.ports.step_result import OutputVersion, StepResult
from tiphys.records.artifacts import ArtifactRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ends."""

    phase: Phase = Phase.SUCCEEDED
    message: str = ""
    #: Output parameters, as JSON texts.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Output → digest, of outputs whose digest matters; others get one that depends on the step and its inputs.
    digests: Mapping[str, str] = field(default_factory=dict)
    retryable: bool = True
    reason: Reason = Reason.NONE
    #: True: it does not end by itself, but by `World.finish`.
    waits: bool = False


#: A step's outcomes by attempt (the last one is repeated), or a function of the task that gives one.
Script = Mapping[str, Outcome | Sequence[Outcome] | Callable[[Task], Outcome]]

SUCCESS = Outcome()
FAILURE = Outcome(phase=Phase.FAILED, message="ValueError: scripted")
WAITING = Outcome(waits=True)


class World:
    """What goes on outside of the controller.

    Args:
        script: Outcomes by step name; steps that it does not name succeed.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = dict(script or {})
        #: Tasks that run, by id, in the order they were started.
        self.running: dict[str, Task] = {}
        #: Reports of tasks that ended, by id.
        self.ended: dict[str, TaskFinished] = {}
        #: How often each task id was really carried out; more than once is a defect.
        self.executions: Counter[str] = Counter()
        #: How often each task id was asked for.
        self.launches: Counter[str] = Counter()
        #: Ids of cancelled tasks, in order.
        self.cancelled: list[str] = []
        #: Names of steps in the order they were started.
        self.order: list[str] = []

    def attempts(self, name: str) -> int:
        """How many attempts of a step were carried out."""
        return self.order.count(name)

    def finish(self, name: str, outcome: Outcome = SUCCESS) -> TaskFinished:
        """End the running task of a step. If a controller listens, `FakeRunner.deliver` hands it the report.

        Raises:
            NotFoundError: no task of that step runs.
        """
        for task_id, task in self.running.items():
            if task.name == name:
                del self.running[task_id]
                self.ended[task_id] = report_of(task, outcome)
                return self.ended[task_id]
        raise NotFoundError(f"No task of the step '{name}' runs; running: {[t.name for t in self.running.values()]}.")

    def start(self, task: Task) -> None:
        """A task was launched."""
        self.launches[task.id] += 1
        if task.id in self.running or task.id in self.ended:
            return
        self.executions[task.id] += 1
        self.order.append(task.name)
        outcome = self._outcome_of(task)
        if outcome.waits:
            self.running[task.id] = task
        else:
            self.ended[task.id] = report_of(task, outcome)

    def _outcome_of(self, task: Task) -> Outcome:
        scripted = self.script.get(task.name, SUCCESS)
        if isinstance(scripted, Outcome):
            return scripted
        if callable(scripted):
            return scripted(task)
        return scripted[min(task.attempt, len(scripted) - 1)]


class FakeRunner(Runner):
    """Reports what the world's script says.

    Args:
        world: What is outside; a fresh one by default.
        immediate: Whether a report is made while the task is launched; else `deliver` makes those that are due, in the
            order of the launches.
    """

    name = "fake"

    def __init__(self, world: World | None = None, *, immediate: bool = True) -> None:
        self.world = world or World()
        self.immediate = immediate
        self.closed = False
        self._reports: dict[str, Report] = {}

    def launch(self, task: Task, report: Report) -> None:
        """Start the task in the world, unless it was."""
        self._reports[task.id] = report
        self.world.start(task)
        if self.immediate:
            self.deliver()

    def deliver(self, count: int | None = None) -> int:
        """Report tasks that ended, at most `count` of them; returns how many."""
        due = [task_id for task_id in list(self._reports) if task_id in self.world.ended][:count]
        for task_id in due:
            self._reports.pop(task_id)(self.world.ended[task_id])
        return len(due)

    def cancel(self, task_id: str, grace: float) -> None:  # noqa: ARG002  # the port's; nothing here needs time
        """End the task in the world; nothing is reported."""
        self._reports.pop(task_id, None)
        if self.world.running.pop(task_id, None) is not None:
            self.world.cancelled.append(task_id)

    def let_go(self, task_id: str, grace: float) -> None:  # noqa: ARG002  # the port's; nothing here needs time
        """Hear no more of the task, which goes on in the world."""
        self._reports.pop(task_id, None)

    def reattach(self, tasks: Iterable[Task], report: Report) -> set[str]:
        """Take up what the world knows."""
        known = {task.id for task in tasks if task.id in self.world.running or task.id in self.world.ended}
        self._reports.update(dict.fromkeys(sorted(known), report))
        if self.immediate:
            self.deliver()
        return known

    def close(self) -> None:
        """Hear no more; the world goes on."""
        self.closed = True
        self._reports.clear()


def report_of(task: Task, outcome: Outcome) -> TaskFinished:
    """The report of a step that ended so, with references of outputs that are stored nowhere."""
    if outcome.phase is not Phase.SUCCEEDED:
        kind, _, text = outcome.message.partition(": ")
        exception = {"type": kind, "message": text, "traceback": outcome.message, "location": None}
        return TaskFinished(
            task.id,
            outcome.phase,
            outcome.message,
            reason=outcome.reason,
            retryable=outcome.retryable,
            details=StepResult(started_at=0.0, finished_at=0.0, exception=exception),
        )
    outputs = [_output(task, declared, outcome) for declared in task.body.get("outputs", ())]
    references: dict[str, ArtifactValue] = {each.output: each.ref.to_json() for each in outputs}
    values = Values(parameters=dict(outcome.parameters), artifacts=references)
    details = StepResult(started_at=0.0, finished_at=0.0, outputs=tuple(outputs))
    return TaskFinished(task.id, Phase.SUCCEEDED, outcome.message, outputs=values, details=details)


def _output(task: Task, declared: Mapping[str, Any], outcome: Outcome) -> OutputVersion:
    name = declared["name"]
    step = task.context.get("step_name") or task.name
    digest = outcome.digests.get(name) or f"sha256:{step}/{name}/{sorted(task.inputs.parameters.items())}"
    custom = declared.get("artifact_name")
    ref = ArtifactRef(
        version_id=new_id(),
        name=custom or f"{task.body.get('pipeline')}::{step}::{name}",
        digest=digest,
        materializer="tiphys.sdk.materializers.builtin:JsonMaterializer",
        data_type="builtins.int",
    )
    version = declared.get("version")
    return OutputVersion(
        output=name,
        ref=ref,
        version=None if version is None else str(version),
        has_custom_name=custom is not None,
        uri=f"fake:/{digest}",
        store="default",
        tags=tuple(declared.get("tags") or ()),
        metadata=dict(declared.get("metadata") or {}),
    )
