"""Small workflows and a hand to drive them: tests speak of tasks by their display names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from tiphys.engine.commands import (
    Acquire,
    Cancel,
    Command,
    FinishWorkflow,
    Launch,
    Memorize,
    Recall,
    Release,
    SetTimer,
)
from tiphys.engine.events import (
    Event,
    LocksGranted,
    Recalled,
    TaskFinished,
    TaskReady,
    TimerFired,
    WorkflowStarted,
)
from tiphys.engine.machine import Machine
from tiphys.engine.model import ArtifactValue, LeafTask, Node, Phase, Values
from tiphys.spec.workflow import Workflow

STEP: dict[str, Any] = {"plugin": {"tiphys": {"step": "s"}}}


def template(name: str = "step", **fields: Any) -> dict[str, Any]:
    """A step's template."""
    return {"name": name, **STEP, **fields}


#: A step's template with one input.
TAKE = template("take", inputs={"parameters": [{"name": "x"}]})


def flow(
    *tasks: dict[str, Any],
    templates: list[dict[str, Any]] | None = None,
    mode: str = "",
    dag: dict[str, Any] | None = None,
    **spec: Any,
) -> Workflow:
    """A workflow whose entry point is a DAG of `tasks`, which use the template "step" unless they say otherwise.

    What `spec` holds under "main" belongs to the entry point's template.
    """
    graph = {"tasks": [task for [task] in grouped(*([task] for task in tasks))], **(dag or {})}
    main = {"name": "main", "dag": graph, **spec.pop("main", {})}
    known = {item["name"]: item for item in [template(), TAKE, *(templates or [])]}
    return Workflow.from_json(
        {
            "metadata": {"annotations": {"tiphys.dev/execution-mode": mode} if mode else {}},
            "spec": {"entrypoint": "main", "templates": [main, *known.values()], **spec},
        }
    )


def steps(*groups: list[dict[str, Any]], templates: list[dict[str, Any]] | None = None, **spec: Any) -> Workflow:
    """A workflow whose entry point is `groups` of steps; what `spec` holds under "main" belongs to its template."""
    main = {"name": "main", "steps": grouped(*groups), **spec.pop("main", {})}
    known = {item["name"]: item for item in [template(), TAKE, *(templates or [])]}
    return Workflow.from_json({"spec": {"entrypoint": "main", "templates": [main, *known.values()], **spec}})


def grouped(*groups: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Groups of steps, which use the template "step" unless they say otherwise."""
    inline = ("template", "templateRef", "inline")
    return [
        [step if any(key in step for key in inline) else {"template": "step", **step} for step in group]
        for group in groups
    ]


def given(**parameters: Any) -> dict[str, Any]:
    """The arguments of a task or step."""
    return {"arguments": {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]}}


def taking(value: str, name: str = "take", **fields: Any) -> dict[str, Any]:
    """A task or step that takes `value` as its input "x"."""
    return {"name": name, "template": "take", **given(x=value), **fields}


class Drive:
    """A started machine, and what it asked for."""

    def __init__(
        self, workflow: Workflow, *, at: float = 100.0, config: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self.workflow = workflow
        self.config = config
        self.machine = Machine("uid", workflow, "wf", config)
        self.now = at
        self.timers: dict[str, float] = {}
        self.last: list[Command] = []
        self.store: dict[str, Node] = {}
        self.handle(WorkflowStarted())

    def handle(self, event: Event, *, after: float = 0.0) -> list[str]:
        """Send an event; returns the commands as short texts."""
        self.now += after
        self.last = self.machine.handle(event, self.now)
        self.machine.validate()
        self.timers.update({command.key: command.due for command in self.last if isinstance(command, SetTimer)})
        self.store.update({node.id: copy.deepcopy(node) for node in self.machine.take_changes()[1]})
        return self.commands

    @property
    def asked(self) -> list[str]:
        """What the last commands ask of others than runners: "acquire a: …", "release a", "recall a: …", …"""
        found = []
        for command in self.last:
            if isinstance(command, Acquire):
                locks = ", ".join(lock.key for lock in command.locks)
                found.append(f"acquire {self._called(command.holder)}: {locks}")
            elif isinstance(command, Release):
                found.append(f"release {self._called(command.holder)}")
            elif isinstance(command, Recall):
                found.append(f"recall {self._called(command.node_id)}: {command.cache}/{command.key}")
            elif isinstance(command, Memorize):
                kept = command.outputs.parameters
                found.append(f"memorize {self._called(command.node_id)}: {command.cache}/{command.key} = {kept}")
        return found

    def _called(self, holder: str) -> str:
        return self.machine.node(holder).display_name if holder else "workflow"

    @property
    def commands(self) -> list[str]:
        """The last commands, timers left out: "launch a", "cancel a", "finish"."""
        names = {Launch: "launch", Cancel: "cancel"}
        return [
            "finish"
            if isinstance(c, FinishWorkflow)
            else f"{names[type(c)]} {self.machine.node(c.node_id).display_name}"
            for c in self.last
            if isinstance(c, Launch | Cancel | FinishWorkflow)
        ]

    def node(self, name: str) -> Node:
        """The node with this display name."""
        found = [node for node in self.machine.nodes() if node.display_name == name]
        assert len(found) == 1, f"{len(found)} nodes are called {name}"
        return found[0]

    def task(self, name: str) -> LeafTask:
        return self.machine.task(self.node(name).id)

    def end(
        self,
        name: str,
        phase: Phase = Phase.SUCCEEDED,
        *,
        message: str = "",
        after: float = 1.0,
        retryable: bool = True,
        parameters: dict[str, str] | None = None,
        artifacts: dict[str, ArtifactValue] | None = None,
        result: str | None = None,
        exit_code: int | None = None,
    ) -> list[str]:
        """Report the end of a leaf; returns the commands."""
        outputs = Values(parameters or {}, artifacts or {}, result, exit_code)
        event = TaskFinished(self.task(name).id, phase, message=message, outputs=outputs, retryable=retryable)
        return self.handle(event, after=after)

    def ready(self, name: str, ip: str = "10.0.0.1") -> list[str]:
        """Report that a daemon is ready."""
        return self.handle(TaskReady(self.task(name).id, ip), after=1.0)

    def grant(self, name: str, problem: str = "") -> list[str]:
        """Give a node the locks that it asked for."""
        return self.handle(LocksGranted(self.node(name).id, problem), after=1.0)

    def recall(self, name: str, outputs: Values | None = None, problem: str = "") -> list[str]:
        """Say what is remembered under a node's key."""
        return self.handle(Recalled(self.node(name).id, outputs, problem), after=1.0)

    def takes(self, name: str = "take") -> str:
        """The input "x" of a leaf that was launched."""
        return self.task(name).inputs.parameters["x"]

    def fire(self, key: str) -> list[str]:
        """Let a timer fire when it is due."""
        self.now = max(self.now, self.timers[key])
        return self.handle(TimerFired(key))

    def phases(self) -> dict[str, str]:
        """Display name → phase, of every node."""
        return {node.display_name: node.phase.value for node in self.machine.nodes()}

    def restored(self) -> Machine:
        """A machine made of what this one has committed."""
        nodes = [copy.deepcopy(node) for node in self.store.values()]
        machine = Machine.restore(
            "uid", self.workflow, copy.deepcopy(self.machine.state), nodes, now=0.0, config=self.config
        )
        machine.validate()
        return machine


class Crashing(Drive):
    """The same where after each event whoever held the machine dies, and another one takes the workflow up."""

    def handle(self, event: Event, *, after: float = 0.0) -> list[str]:
        """As of `Drive`; the next event finds a machine that was made of what this one left."""
        super().handle(event, after=after)
        lost = self.machine
        self.machine = Machine.restore(
            "uid",
            self.workflow,
            copy.deepcopy(lost.state),
            [copy.deepcopy(node) for node in self.store.values()],
            now=self.now,
            config=self.config,
        )
        self.machine.validate()
        assert self.machine.running() == lost.running()
        assert {timer.key: timer.due for timer in self.machine.timers()} == {t.key: t.due for t in lost.timers()}
        assert self.machine.requests() == lost.requests()
        return self.commands


#: Runs a test as it is, and with a crash after each event.
each_way = pytest.mark.parametrize("drive", [Drive, Crashing], ids=["straight", "crashing"])
