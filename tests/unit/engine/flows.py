"""Small workflows and a hand to drive them: tests speak of tasks by their display names."""

from __future__ import annotations

import copy
from typing import Any

from tiphys.engine.commands import Cancel, Command, FinishWorkflow, Launch, SetTimer
from tiphys.engine.events import Event, TaskFinished, TimerFired, WorkflowStarted
from tiphys.engine.machine import Machine
from tiphys.engine.model import ArtifactValue, LeafTask, Node, Phase, Values
from tiphys.spec.workflow import Workflow

STEP: dict[str, Any] = {"plugin": {"tiphys": {"step": "s"}}}


def template(name: str = "step", **fields: Any) -> dict[str, Any]:
    """A step's template."""
    return {"name": name, **STEP, **fields}


def flow(
    *tasks: dict[str, Any],
    templates: list[dict[str, Any]] | None = None,
    mode: str = "",
    dag: dict[str, Any] | None = None,
    **spec: Any,
) -> Workflow:
    """A workflow whose entry point is a DAG of `tasks`, which use the template "step" unless they say otherwise."""
    main = {"name": "main", "dag": {"tasks": [{"template": "step", **task} for task in tasks], **(dag or {})}}
    known = {item["name"]: item for item in [template(), *(templates or [])]}
    return Workflow.from_json(
        {
            "metadata": {"annotations": {"tiphys.dev/execution-mode": mode} if mode else {}},
            "spec": {"entrypoint": "main", "templates": [main, *known.values()], **spec},
        }
    )


class Drive:
    """A started machine, and what it asked for."""

    def __init__(self, workflow: Workflow, *, at: float = 100.0) -> None:
        self.workflow = workflow
        self.machine = Machine("uid", workflow, "wf")
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
    ) -> list[str]:
        """Report the end of a leaf; returns the commands."""
        outputs = Values(parameters or {}, artifacts or {}, result)
        event = TaskFinished(self.task(name).id, phase, message=message, outputs=outputs, retryable=retryable)
        return self.handle(event, after=after)

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
        machine = Machine.restore("uid", self.workflow, copy.deepcopy(self.machine.state), nodes, now=0.0)
        machine.validate()
        return machine
