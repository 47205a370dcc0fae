"""How fast manifests are carried out: `python -m tests.bench.argo [CASE …]`; each case is a budget or a limit."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.pods import raw_rate
from tiphys.bootstrap import Settings, make_backend
from tiphys.engine.commands import Launch
from tiphys.engine.events import TaskFinished, WorkflowStarted
from tiphys.engine.machine import Machine
from tiphys.engine.model import Phase, Values
from tiphys.ports.backend import Backend
from tiphys.ports.workflows import SubmitOptions
from tiphys.spec.workflow import Workflow

TRUE: dict[str, Any] = {"name": "true", "container": {"image": "busybox", "command": ["true"]}}


def workflow(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A manifest whose entry point is its first template."""
    body = {"entrypoint": templates[0]["name"], "templates": list(templates), **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "b-"}, "spec": body}


def side_by_side(count: int) -> dict[str, Any]:
    """So many nodes that do nothing, by withSequence."""
    step = {"name": "a", "template": "true", "withSequence": {"count": count}}
    return workflow({"name": "main", "steps": [[step]]}, TRUE, parallelism=16)


def run(backend: Backend, *manifests: dict[str, Any], runner: str = "process") -> float:
    """Seconds from the first submission to the last end; all must succeed."""
    start = time.perf_counter()
    names = [backend.workflows.submit(m, SubmitOptions(runner=runner))["metadata"]["name"] for m in manifests]
    for name in names:
        summary = backend.workflows.wait(name)
        assert summary.phase == "Succeeded", f"{name}: {summary.phase} {summary.message}"
    return time.perf_counter() - start


def machine_only(manifest: dict[str, Any], outputs: Values | None = None) -> tuple[int, float, float]:
    """Nodes, seconds and kB a node of the engine alone, with tasks that succeed at once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    machine = Machine("u", Workflow.from_json(manifest), "b")
    commands = machine.handle(WorkflowStarted(), 0.0)
    while not machine.state.phase.fulfilled:
        machine.take_changes()
        launched = [command for command in commands if isinstance(command, Launch)]
        commands = []
        for command in launched:
            commands += machine.handle(TaskFinished(command.task_id, Phase.SUCCEEDED, outputs=outputs), 1.0)
    seconds = time.perf_counter() - start
    nodes = len(machine.nodes())
    return nodes, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / nodes


def spawn_rate(backend: Backend) -> str:
    """A process node against the machine's own rate of starting processes."""
    run(backend, side_by_side(50))
    raw = raw_rate(1000)
    ours = 1000 / run(backend, side_by_side(1000))
    raw = (raw + raw_rate(1000)) / 2
    return f"{ours:.0f} nodes/s = {ours / raw:.0%} of {raw:.0f} processes/s by posix_spawn (budget 50 %)"


def fan_out(backend: Backend) -> str:
    """10,000 nodes against 1,000."""
    small, large = run(backend, side_by_side(1_000)), run(backend, side_by_side(10_000))
    return f"10,000 nodes {large:.1f} s = {large / small:.1f} × 1,000 nodes ({small:.1f} s) (budget 11 ×)"


def with_param(backend: Backend) -> str:
    """withParam of 10,000 items, the list given by a parameter."""
    items = "[" + ",".join(map(str, range(10_000))) + "]"
    step = {"name": "a", "template": "true", "withParam": "{{workflow.parameters.items}}"}
    arguments = {"parameters": [{"name": "items", "value": items}]}
    manifest = workflow({"name": "main", "steps": [[step]]}, TRUE, parallelism=16, arguments=arguments)
    return f"{run(backend, manifest):.1f} s"


def deep(backend: Backend) -> str:
    """Steps 1,000 levels deep: a template that calls itself."""
    down = {
        "name": "down",
        "inputs": {"parameters": [{"name": "n"}]},
        "steps": [
            [
                {
                    "name": "d",
                    "template": "down",
                    "when": "{{inputs.parameters.n}} > 1",
                    "arguments": {"parameters": [{"name": "n", "value": "{{=asInt(inputs.parameters.n) - 1}}"}]},
                }
            ]
        ],
    }
    top = {"name": "d", "template": "down", "arguments": {"parameters": [{"name": "n", "value": "1000"}]}}
    return f"{run(backend, workflow({'name': 'main', 'steps': [[top]]}, down)):.1f} s"


def coin_flip(backend: Backend) -> str:
    """Recursion until a coin shows heads, ten times."""
    flip = {"name": "flip", "script": {"image": "bash", "command": ["bash"], "source": "echo $((RANDOM % 2))"}}
    toss = {
        "name": "toss",
        "steps": [
            [{"name": "flip", "template": "flip"}],
            [
                {"name": "heads", "template": "true", "when": "{{steps.flip.outputs.result}} == 1"},
                {"name": "tails", "template": "toss", "when": "{{steps.flip.outputs.result}} == 0"},
            ],
        ],
    }
    return f"{run(backend, *[workflow(toss, flip, TRUE)] * 10):.1f} s"


def at_once(backend: Backend) -> str:
    """100 workflows of 10 nodes at once."""
    seconds = run(backend, *[side_by_side(10)] * 100)
    return f"{seconds:.1f} s, {100 / seconds:.0f} workflows/s"


def large(_: Backend) -> str:
    """A workflow of 50,000 nodes in the engine alone: no id may hide another."""
    step = {"name": "a", "template": "true", "withSequence": {"count": 50_000}}
    nodes, seconds, kilobytes = machine_only(workflow({"name": "main", "steps": [[step]]}, TRUE))
    assert nodes == 50_003, nodes
    return f"{nodes} nodes in {seconds:.1f} s, {kilobytes:.1f} kB a node"


CASES: dict[str, tuple[str, Callable[[Backend], str]]] = {
    "spawn": ("process node `true`", spawn_rate),
    "fan": ("10,000-node fan-out of processes", fan_out),
    "param": ("withParam of 10,000 items", with_param),
    "deep": ("steps 1,000 levels deep", deep),
    "coin": ("recursive coin flip, ten workflows", coin_flip),
    "at-once": ("100 workflows at once", at_once),
    "large": ("50,000 nodes, engine alone", large),
}


def main() -> None:
    """Measure what is named, or all."""
    threading.stack_size(64 * 1024 * 1024)
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as root:
        for name in sys.argv[1:] or CASES:
            home = Path(root, name)
            backend = make_backend(Settings(home, f"sqlite:///{home / 'tiphys.db'}"))
            title, measure = CASES[name]
            print(f"{title:<40} {measure(backend)}", flush=True)
            backend.close()


if __name__ == "__main__":
    os.environ.setdefault("TIPHYS_PROGRESS", "off")
    main()
