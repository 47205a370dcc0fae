"""A Job of a cluster, made by the workflow of examples/argo: the engine is killed while it waits for the Job's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.programs import tiphys, wait_until
from tests.e2e.test_kill_workflow import CARRIER
from tests.kubernetes_api import KubernetesAPI

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "argo" / "kubernetes-job.yaml")


@pytest.fixture
def api() -> Iterator[KubernetesAPI]:
    server = KubernetesAPI()
    yield server
    server.stop()


def test_killed_while_it_waits_for_a_job(
    api: KubernetesAPI, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config")))
    tiphys("argo", "submit", EXAMPLE, "--namespace", "argo")
    found = json.loads(tiphys("argo", "get", "@latest", "--namespace", "argo", "-o", "json").stdout)["metadata"]
    wait_until(lambda: any(call.name for call in api.done("GET")), "a look at the job")
    for engine in engines(found["uid"]):
        os.kill(engine, signal.SIGKILL)
    wait_until(lambda: not engines(found["uid"]), "the end of the engine")
    looks = len(api.done("GET"))
    with subprocess.Popen([sys.executable, "-c", CARRIER, found["uid"]]) as engine:
        wait_until(lambda: len(api.done("GET")) > looks + 2, "more looks at the job", engine)
        (job,) = api.names("Job")
        api.change("Job", job, {"status": {"succeeded": 1}})
        assert engine.wait(60) == 0
    status = json.loads(tiphys("argo", "get", found["name"], "--namespace", "argo", "-o", "json").stdout)["status"]
    (leaf,) = [node for node in status["nodes"].values() if node["type"] == "Pod"]
    (parameter,) = leaf["outputs"]["parameters"]
    assert (status["phase"], parameter["name"], parameter["value"]) == ("Succeeded", "job", job)
    assert api.names("Job") == [job]
    assert len(api.done("POST")) == 2


def engines(uid: str) -> list[int]:
    """Processes that carry a workflow out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if uid.encode() in arguments:
                found.append(int(entry.name))
    return found


def test_without_a_kubeconfig_the_node_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tiphys("argo", "submit", EXAMPLE, "--wait", code=1)
    told = json.loads(tiphys("argo", "get", "@latest", "-o", "json").stdout)["status"]["nodes"].values()
    (leaf,) = [node for node in told if node["type"] == "Pod"]
    assert leaf["phase"] == "Error"
    expected = (
        "The template 'job' is about an object of the kind 'Job' of batch/v1, for which a cluster is needed: "
        "there is no kubeconfig.\n  Set KUBECONFIG"
    )
    assert leaf["message"].startswith(expected)
