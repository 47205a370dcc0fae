"""The engine is killed at random moments while sandboxed processes run: each node ends once, and nothing is left over.

`TIPHYS_KILLS=50 pytest tests/e2e/test_kill_workflow.py -s` prints how often it was killed and what came of it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.needs import needs_sandbox
from tiphys.bootstrap import Settings, make_backend

NODES = 200
KILLS = int(os.environ.get("TIPHYS_KILLS", "4"))
#: Seconds that a node takes, so that there is time for all kills.
SLEEP = KILLS * 0.06
#: Carries out what is stored, as `tiphys argo submit`'s own process does.
CARRIER = (
    "import sys; from tiphys.bootstrap import *; default_backend().workflows.carry_out(sys.argv[1:], lambda: None)"
)
#: Submits, and dies at once.
SUBMITTER = """
import json, os, sys
from tiphys.bootstrap import default_backend
from tiphys.ports.workflows import SubmitOptions

made = default_backend().workflows.submit(json.load(sys.stdin), SubmitOptions(runner="sandbox"))["metadata"]
print(made["name"], made["uid"], flush=True)
os._exit(1)
"""
MANIFEST = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "many-"},
    "spec": {
        "entrypoint": "main",
        "parallelism": 8,
        "volumes": [{"name": "notes", "persistentVolumeClaim": {"claimName": "notes"}}],
        "templates": [
            {
                "name": "main",
                "steps": [
                    [
                        {
                            "name": "one",
                            "template": "note",
                            "withSequence": {"count": NODES - 1},
                            "arguments": {"parameters": [{"name": "n", "value": "{{item}}"}]},
                        }
                    ],
                    [
                        {
                            "name": "last",
                            "template": "note",
                            "arguments": {"parameters": [{"name": "n", "value": "last"}]},
                        }
                    ],
                ],
            },
            {
                "name": "note",
                "inputs": {"parameters": [{"name": "n"}]},
                "container": {
                    "image": "busybox",
                    "command": ["sh", "-c"],
                    "args": [
                        f"echo begin {{{{inputs.parameters.n}}}} >> /notes/all; sleep {SLEEP}; echo end >> /notes/all"
                    ],
                    "volumeMounts": [{"name": "notes", "mountPath": "/notes"}],
                },
            },
        ],
    },
}


def carriers(home: Path) -> list[int]:
    """Processes that belong to the home: engines, pod servers, containers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(home).encode() in text:
                found.append(int(entry.name))
    return found


@needs_sandbox
def test_killed_at_random_moments(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(7)
    backend = make_backend(Settings(home, f"sqlite:///{home / 'tiphys.db'}"))
    claim = {"metadata": {"name": "notes"}, "spec": {"accessModes": ["ReadWriteMany"]}}
    backend.objects.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim})
    environment = {**os.environ, "TIPHYS_HOME": str(home)}
    told = subprocess.run(
        [sys.executable, "-c", SUBMITTER], input=json.dumps(MANIFEST), capture_output=True, text=True, env=environment
    )
    name, uid = told.stdout.split()

    kills = 0
    while not backend.workflows.get(name)["status"].get("finishedAt"):
        engine = subprocess.Popen([sys.executable, "-c", CARRIER, uid], env=environment)
        try:
            engine.wait(chance.uniform(0.6, 2.0) if kills < KILLS else 120)
        except subprocess.TimeoutExpired:
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            kills += 1

    found = backend.workflows.get(name)["status"]
    leaves = [node for node in found["nodes"].values() if node["type"] == "Pod"]
    assert found["phase"] == "Succeeded"
    assert Counter(node["phase"] for node in leaves) == {"Succeeded": NODES}
    lines = (backend.objects.claim_folder("default", "notes") or home).joinpath("all").read_text().splitlines()
    begun = Counter(line for line in lines if line.startswith("begin"))
    print(f"killed {kills} times; {len(begun)} nodes, begun more than once: {sum(n > 1 for n in begun.values())}")
    assert len(begun) == NODES
    assert max(begun.values()) == 1
    assert lines.count("end") == NODES

    deadline = time.monotonic() + 30
    while carriers(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert carriers(home) == []
    backend.close()
