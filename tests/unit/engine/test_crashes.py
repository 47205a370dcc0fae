"""Random workflows run to their end, with and without crashes: the stored end state must be the same.

The harness is a controller in miniature. Time is virtual; tasks live in a world outside that survives crashes and
takes the same launch twice as one. An event leaves the queue when its batch is committed. A crash may fall between any
two of: handling, committing, each single command.
"""

from __future__ import annotations

import copy
import hashlib
import heapq
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    NodeSet,
    Recalled,
    ResumeRequested,
    ShutdownRequested,
    SuspendRequested,
    TaskFinished,
    TaskReady,
    TimerFired,
    WorkflowStarted,
)
from tiphys.engine.ids import fnv32, node_id
from tiphys.engine.machine import Machine
from tiphys.engine.model import LeafTask, Node, NodeType, Phase, Values, WorkflowState
from tiphys.spec.workflow import Workflow


@dataclass
class World:
    """Tasks as an outside system carries them out: each id once, whatever is asked."""

    seed: int
    #: task id → (when, what) it reports: a daemon that it is ready, and all but some daemons their end.
    tasks: dict[str, list[tuple[float, TaskReady | TaskFinished]]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    #: Holder → when it gets its locks, or hears what is remembered.
    granted: dict[str, float] = field(default_factory=dict)

    def launch(self, task: LeafTask, now: float) -> None:
        if task.id in self.tasks:
            return
        digest = hashlib.sha256(f"{self.seed}:{task.id}".encode()).digest()
        duration = (1, 2, 2, 3, 7)[digest[0] % 5]
        kind = digest[1] % 10
        phase = Phase.SUCCEEDED if kind < 6 or task.attempt > 3 else (Phase.FAILED if kind < 9 else Phase.ERROR)
        outputs = Values({"n": str(digest[3] % 3), "items": "[1,2]"}, {"out": {"from": task.node_id}})
        event = TaskFinished(
            task.id,
            phase,
            message="" if phase is Phase.SUCCEEDED else "no",
            outputs=outputs if phase is Phase.SUCCEEDED else None,
            retryable=digest[2] % 7 != 0,
        )
        if not task.body.get("serves"):
            self.tasks[task.id] = [(now + duration, event)]
            return
        # Of four daemons one dies before it is ready, two die later, and one lives on until it is ended.
        ready = (now + 1, TaskReady(task.id, f"10.0.0.{task.attempt}"))
        self.tasks[task.id] = [
            *([] if duration == 1 else [ready]),
            *([] if task.attempt > 3 or duration == 7 else [(now + duration, event)]),
        ] or [ready]


@dataclass
class Store:
    """What was committed."""

    state: WorkflowState | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    outbox: list[Launch | Cancel] = field(default_factory=list)

    def save(self, state: WorkflowState | None, nodes: list[Node], commands: list[Command]) -> None:
        if state is not None:
            self.state = copy.deepcopy(state)
        for node in nodes:
            before = self.nodes.get(node.id)
            assert before is None or not before.phase.fulfilled or before == node, "a fulfilled node changed"
            self.nodes[node.id] = copy.deepcopy(node)
        self.outbox += [command for command in commands if isinstance(command, Launch | Cancel)]


#: Seconds between two resumptions.
PAUSE = 7


class Crash(Exception):
    """The controller dies."""


class Controller:
    def __init__(
        self, workflow: dict[str, Any], world: World, script: list[tuple[float, Event]], crashes: set[int]
    ) -> None:
        self.workflow = Workflow.from_json(workflow)
        self.world = world
        self.store = Store()
        self.crashes = crashes
        self.moment = 0
        self.now = 0.0
        self.script = script
        #: (time, order, key, event): the key keeps the order independent of what a crash did.
        self.queue: list[tuple[float, int, str, Event]] = []
        self.machine = Machine("uid", self.workflow, "w")
        # Someone resumes now and then, so that nothing waits for ever.
        visits = [(at + 0.75, ResumeRequested()) for at in range(PAUSE, 100 * PAUSE, PAUSE)]
        for number, (at, event) in enumerate([(0.0, WorkflowStarted()), *script, *visits]):
            heapq.heappush(self.queue, (at, 0, f"{number:03}", event))

    def run(self) -> Store:
        while self.store.state is None or not self.store.state.phase.fulfilled:
            assert self.queue, "nothing will happen any more, and the workflow has not ended"
            try:
                self._step()
            except Crash:
                self._recover()
        return self.store

    def _point(self) -> None:
        self.moment += 1
        if self.moment in self.crashes:
            raise Crash

    def _step(self) -> None:
        at, _, _, event = self.queue[0]
        self.now = max(self.now, at)
        commands = self.machine.handle(event, self.now)
        self.machine.validate()
        self._point()
        self.store.save(*self.machine.take_changes(), commands)
        heapq.heappop(self.queue)
        self._point()
        for command in commands:
            self._carry_out(command)
            self._point()

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, SetTimer):
            heapq.heappush(self.queue, (command.due, 2, command.key, TimerFired(command.key)))
        elif isinstance(command, Launch):
            self._launch(command.node_id)
            self.store.outbox.remove(command)
        elif isinstance(command, Cancel):
            self.world.cancelled.add(command.task_id)
            self.store.outbox.remove(command)
        elif isinstance(command, Acquire):
            at = self.world.granted.setdefault(command.holder, self.now + 1)
            heapq.heappush(self.queue, (at, 1, f"lock {command.holder}", LocksGranted(command.holder)))
        elif isinstance(command, Recall):
            digest = hashlib.sha256(f"{self.world.seed}:{command.node_id}".encode()).digest()
            found = Values({"n": "7", "items": "[3]"}) if digest[0] % 3 == 0 else None
            at = self.world.granted.setdefault(f"memory {command.node_id}", self.now + 1)
            heapq.heappush(self.queue, (at, 1, f"memory {command.node_id}", Recalled(command.node_id, found)))
        elif isinstance(command, Memorize | Release):
            pass
        else:
            assert isinstance(command, FinishWorkflow)

    def _launch(self, found: str) -> None:
        """Ask the world for a task; again for one that it knows, which then reports as before."""
        task = self.machine.task(found)
        self.world.launch(task, self.now)
        for at, event in self.world.tasks[task.id]:
            heapq.heappush(self.queue, (at, 1, f"{task.id} {type(event).__name__}", event))

    def _recover(self) -> None:
        """What a new process does: the queue of the old one is gone, but for what came from outside."""
        outside = [entry for entry in self.queue if entry[1] == 0]
        self.queue = outside
        heapq.heapify(self.queue)
        if self.store.state is None:
            self.machine = Machine("uid", self.workflow, "w")
            return
        nodes = [copy.deepcopy(node) for node in self.store.nodes.values()]
        self.machine = Machine.restore("uid", self.workflow, copy.deepcopy(self.store.state), nodes, now=self.now)
        self.machine.validate()
        ready = [node.id for node in nodes if node.daemoned and node.type is not NodeType.RETRY]
        for found in [*self.machine.running(), *ready]:
            self._launch(found)
        for command in [*self.machine.timers(), *self.machine.requests()]:
            self._carry_out(command)
        for command in list(self.store.outbox):
            if isinstance(command, Cancel):
                self._carry_out(command)
        self.store.outbox.clear()


PLUGIN = {"tiphys": {"step": "s", "retry": {"jitter": 0.5}}}


@st.composite
def tasks(draw: st.DrawFn, *, templates: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        earlier = [task["name"] for task in found]
        before = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        task: dict[str, Any] = {"name": f"t{number}", "template": draw(st.sampled_from(templates))}
        if before:
            suffix = draw(st.sampled_from([".Succeeded", "", ".Failed", " || !x.Failed"]))
            if suffix == " || !x.Failed":
                task["depends"] = " || ".join(f"!{name}.Failed" for name in before)
            else:
                task["depends"] = draw(st.sampled_from([" && ", " || "])).join(name + suffix for name in before)
        task["arguments"] = {"parameters": [{"name": "p", "value": "v"}]}
        kind = draw(st.sampled_from(["plain", "plain", "items", "param", "sequence", "when", "reference"]))
        if kind == "items":
            task["withItems"] = draw(st.sampled_from([[], ["a"], ["a", 1, True], [{"k": 1}, {"k": 2}, {"k": 3}]]))
            task["when"] = draw(st.sampled_from(["", "'{{item}}' != 'a'", "1 == 2"]))
        elif kind == "sequence":
            task["withSequence"] = {"count": draw(st.integers(0, 3))}
            task["arguments"] = {"parameters": [{"name": "p", "value": "{{item}}"}]}
        elif kind == "when":
            task["when"] = draw(st.sampled_from(["true", "false", "1 <", "{{workflow.name}} == w"]))
        elif before and kind == "param":
            task["withParam"] = f"{{{{tasks.{before[0]}.outputs.parameters.items}}}}"
        elif before and kind == "reference":
            value = f"{{{{tasks.{before[0]}.outputs.parameters.n}}}}"
            task["arguments"] = {"parameters": [{"name": "p", "value": value}]}
        if draw(st.integers(0, 5)) == 0:
            task["continueOn"] = {"failed": True}
            task.pop("depends", None)
        if draw(st.integers(0, 4)) == 0:
            task["hooks"] = draw(st.sampled_from([*HOOKS, *(MORE_HOOKS if "daemon" in templates else ())]))
        found.append(task)
    return found


HOOKS: list[dict[str, Any]] = [
    {"exit": {"template": "leaf"}},
    {
        "exit": {"template": "again", "expression": "workflow.name == 'w'"},
        "never": {"template": "leaf", "expression": "false"},
    },
    {"begun": {"template": "leaf", "expression": "workflow.status == 'Running'"}},
    {"broken": {"template": "leaf", "expression": "1 + 1"}},
]
#: Hooks of those who have more than steps of a pipeline.
MORE_HOOKS: list[dict[str, Any]] = [
    {"serving": {"template": "daemon", "expression": "workflow.status == 'Running'"}, "exit": {"template": "server"}},
    {"exit": {"template": "pause"}},
]
LEAF: dict[str, Any] = {"inputs": {"parameters": [{"name": "p", "default": "d"}]}, "plugin": PLUGIN}
DAEMON: dict[str, Any] = {**LEAF, "daemon": True, "plugin": {"tiphys": {"step": "s", "serves": True}}}
#: Templates that steps of a pipeline have no counterpart of.
MORE = ["locked", "kept", "daemon", "server", "approve", "pause", "ask"]
RETRIES = [
    {"limit": 2},
    {"limit": "2", "retryPolicy": "Always", "backoff": {"duration": "2", "factor": 2, "cap": "3s"}},
    {"backoff": {"duration": "1s", "maxDuration": "9s"}, "retryPolicy": "Always"},
    {"limit": 1, "retryPolicy": "OnError"},
]


def supplied(**fields: Any) -> dict[str, Any]:
    """Outputs that whoever resumes the workflow gives."""
    return {"parameters": [{"name": "n", "valueFrom": {"supplied": {}, **fields}}]}


@st.composite
def groups(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Steps that stand in groups as they come, without what only tasks of a DAG have."""
    found: list[list[dict[str, Any]]] = []
    for task in draw(tasks(templates=["leaf", "slow", "again", *MORE])):
        step = {key: value for key, value in task.items() if key not in ("depends", "dependencies")}
        if "{{tasks." in str(step):
            step = json.loads(json.dumps(step).replace("{{tasks.", "{{steps."))
        if found and draw(st.booleans()):
            found[-1].append(step)
        else:
            found.append([step])
    if draw(st.integers(0, 5)) == 0:
        found.insert(1, [])
    return found


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    mode = draw(st.sampled_from(["", "", "FAIL_FAST", "STOP_ON_FAILURE", "CONTINUE_ON_FAILURE"]))
    # Execution modes are of pipelines, which have neither steps templates nor hooks, locks, daemons or suspension.
    names = ["leaf", "slow", "again", "nested", *(() if mode else ("steps", *MORE))]
    inner = draw(tasks(templates=[*names[:3], *(() if mode else MORE)]))
    outer = draw(tasks(templates=names))
    fail_fast = draw(st.booleans()) if mode == "" else mode != "CONTINUE_ON_FAILURE"
    nested: dict[str, Any] = {
        "name": "nested",
        "inputs": LEAF["inputs"],
        "parallelism": draw(st.sampled_from([0, 0, 1, 2])),
        "dag": {"tasks": inner, "failFast": fail_fast},
    }
    if draw(st.booleans()):
        nested["retryStrategy"] = draw(st.sampled_from(RETRIES))
    steps: dict[str, Any] = {"name": "steps", "inputs": LEAF["inputs"], "steps": draw(groups())}
    if draw(st.integers(0, 2)) == 0:
        steps |= {"parallelism": 1, "failFast": True}
    if draw(st.integers(0, 4)) == 0:
        steps["synchronization"] = {"mutexes": [{"name": "one"}]}
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "parallelism": draw(st.sampled_from([0, 1, 2, 3])),
        "templates": [
            {"name": "main", "dag": {"tasks": outer, "failFast": fail_fast}},
            nested,
            {"name": "leaf", **LEAF},
            {"name": "locked", "synchronization": {"mutexes": [{"name": "{{inputs.parameters.p}}"}]}, **LEAF},
            {"name": "kept", "memoize": {"key": "k", "cache": {"configMap": {"name": "c"}}}, **LEAF},
            steps,
            {"name": "slow", "timeout": "5s", **LEAF},
            {"name": "daemon", **DAEMON},
            {"name": "server", "retryStrategy": draw(st.sampled_from(RETRIES)), **DAEMON},
            {"name": "approve", "inputs": LEAF["inputs"], "suspend": {}},
            {"name": "pause", "inputs": LEAF["inputs"], "suspend": {"duration": "3"}, "outputs": supplied(default="5")},
            {"name": "ask", "inputs": LEAF["inputs"], "suspend": {"duration": "9s"}, "outputs": supplied()},
            {"name": "again", "retryStrategy": draw(st.sampled_from(RETRIES)), "timeout": "6", **LEAF},
        ],
    }
    if draw(st.integers(0, 3)) == 0:
        spec["activeDeadlineSeconds"] = draw(st.integers(0, 20))
    if draw(st.integers(0, 4)) == 0:
        spec["synchronization"] = {"mutexes": [{"name": "whole"}]}
    if draw(st.integers(0, 4)) == 0:
        spec["hooks"] = {"seen": {"template": "leaf", "expression": "workflow.status == 'Running'"}}
    if draw(st.booleans()):
        spec["onExit"] = draw(st.sampled_from(["leaf", "again", "nested", *(() if mode else ("server", "pause"))]))
    annotations = {"tiphys.dev/execution-mode": mode} if mode else {}
    if mode:
        spec.pop("hooks", None)
        for task in [*outer, *inner]:
            task.pop("hooks", None)
    return {"metadata": {"name": "w", "annotations": annotations}, "spec": spec}


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[float, Event]]:
    script: list[tuple[float, Event]] = []
    for strategy in draw(st.lists(st.sampled_from(["Drain", "Stop", "Terminate"]), max_size=2)):
        script.append((draw(st.integers(0, 12)) + 0.5, ShutdownRequested(strategy)))
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, 8)) + 0.25
        script += [(at, SuspendRequested()), (at + draw(st.integers(1, 6)), ResumeRequested())]
    for task in draw(st.lists(st.sampled_from(["w.t0", "w.t1", "w.t2"]), max_size=2, unique=True)):
        phase = draw(st.sampled_from([None, Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED]))
        values = draw(st.sampled_from([{}, {"n": "6"}]))
        event = NodeSet(node_id("w", task, fnv32(task), {}), phase, draw(st.sampled_from([None, "set"])), values)
        script.append((draw(st.integers(1, 9)) + 0.375, event))
    return script


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    workflow=workflows(), script=scripts(), seed=st.integers(0, 1000), crashes=st.sets(st.integers(1, 60), max_size=30)
)
def test_a_crash_changes_nothing(
    workflow: dict[str, Any], script: list[tuple[float, Event]], seed: int, crashes: set[int]
) -> None:
    straight = Controller(workflow, World(seed), script, set())
    expected = straight.run()

    crashing = Controller(workflow, World(seed), script, crashes)
    found = crashing.run()

    assert found.state == expected.state
    assert {node.name: node for node in found.nodes.values()} == {node.name: node for node in expected.nodes.values()}
    # What was launched and cancelled in one batch need not be launched by whoever finds both written down.
    assert set(crashing.world.tasks) - crashing.world.cancelled == set(straight.world.tasks) - straight.world.cancelled
    assert all(node.phase.fulfilled for node in found.nodes.values())
