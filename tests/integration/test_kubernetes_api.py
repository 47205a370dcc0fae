"""The API server that stands for a cluster in tests does to kubectl what a real one does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kubernetes_api import KubernetesAPI
from tests.needs import lacking

KUBECTL = shutil.which("kubectl")
if KUBECTL is None:
    lacking("kubectl is not installed (scripts/ensure_packages.sh).")

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j", "labels": {"a": "b"}},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}},
}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}


@pytest.fixture
def api() -> Iterator[KubernetesAPI]:
    server = KubernetesAPI()
    yield server
    server.stop()


@pytest.fixture
def kubectl(api: KubernetesAPI, tmp_path: Path) -> Kubectl:
    config = api.kubeconfig(tmp_path / "config")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(config)}

    def run(*words: str, manifest: Any = None) -> subprocess.CompletedProcess[str]:
        text = None if manifest is None else json.dumps(manifest)
        command = [str(KUBECTL), "-n", "argo", *words, *(["-f", "-"] if text else [])]
        return subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_create_get_and_delete(api: KubernetesAPI, kubectl: Kubectl) -> None:
    assert kubectl("create", "--validate=false", manifest=JOB).stdout == "job.batch/j created\n"
    again = kubectl("create", "--validate=false", manifest=JOB)
    assert (again.returncode, "Error from server (AlreadyExists): " in again.stderr) == (1, True)
    assert 'jobs.batch "j" already exists' in again.stderr
    api.change("Job", "j", {"status": {"succeeded": 1}})
    assert kubectl("get", "job", "j", "-o", "jsonpath={.status.succeeded}").stdout == "1"
    assert kubectl("get", "jobs.batch", "-l", "a=b", "-o", "name").stdout == "job.batch/j\n"
    assert kubectl("get", "jobs", "-l", "a=c", "-o", "name").stdout == ""
    assert kubectl("delete", "job", "j").stdout == 'job.batch "j" deleted\n'
    missing = kubectl("get", "job", "j")
    assert missing.stderr == 'Error from server (NotFound): jobs.batch "j" not found\n'
    invalid = kubectl("create", "--validate=false", manifest={**JOB, "spec": {}})
    assert invalid.stderr == 'The Job "j" is invalid: spec.template: Required value\n'
    elsewhere = kubectl("create", "--namespace=nowhere", "--validate=false", manifest=JOB)
    assert 'namespaces "nowhere" not found' in elsewhere.stderr


@pytest.mark.parametrize("flags", [[], ["--server-side"]])
def test_apply(api: KubernetesAPI, kubectl: Kubectl, flags) -> None:
    for size, word in ((1, "created"), (2, "configured")):
        said = kubectl("apply", "--validate=false", *flags, manifest={**WIDGET, "spec": {"size": size, f"x{size}": 1}})
        assert said.stdout == f"widget.example.com/w {'serverside-applied' if flags else word}\n"
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 2, "x2": 1}


def test_a_conflict_of_those_who_apply(api: KubernetesAPI, kubectl: Kubectl) -> None:
    def apply(size: int, *more: str) -> subprocess.CompletedProcess[str]:
        manifest = {**WIDGET, "spec": {"size": size}}
        return kubectl("apply", "--validate=false", "--server-side", *more, manifest=manifest)

    assert apply(1, "--field-manager=one").returncode == 0
    assert "Apply failed with 1 conflict" in apply(2, "--field-manager=two").stderr
    assert apply(2, "--field-manager=two", "--force-conflicts").returncode == 0
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 2}


def test_patch_and_replace(api: KubernetesAPI, kubectl: Kubectl) -> None:
    api.put(WIDGET)
    api.put(JOB)
    container = {"name": "side", "image": "busybox"}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    assert kubectl("patch", "job/j", "-p", patch).returncode == 0
    containers = (api.get("Job", "j") or {})["spec"]["template"]["spec"]["containers"]
    assert sorted(each["name"] for each in containers) == ["main", "side"]
    assert "unknown format" in kubectl("patch", "wd", "w", "-p", '{"spec": {"size": 2}}').stderr
    assert kubectl("patch", "wd", "w", "--type=merge", "-p", '{"spec": {"size": null, "b": 1}}').returncode == 0
    add = '[{"op": "add", "path": "/spec/c", "value": 2}]'
    assert kubectl("patch", "widget", "w", "--type=json", "-p", add).returncode == 0
    assert (api.get("Widget", "w") or {})["spec"] == {"b": 1, "c": 2}
    assert kubectl("replace", "--validate=false", manifest=WIDGET).stdout == "widget.example.com/w replaced\n"
    assert (api.get("Widget", "w") or {})["spec"] == {"size": 1}
    stale = {**WIDGET, "metadata": {"name": "w", "resourceVersion": "1"}}
    assert "the object has been modified" in kubectl("replace", "--validate=false", manifest=stale).stderr


def test_an_object_with_a_finalizer_stays_until_that_is_gone(api: KubernetesAPI, kubectl: Kubectl) -> None:
    api.put({**WIDGET, "metadata": {"name": "w", "finalizers": ["example.com/end"]}})
    assert kubectl("delete", "widget", "w", "--wait=false").returncode == 0
    assert (api.get("Widget", "w") or {})["metadata"]["deletionTimestamp"]
    assert kubectl("patch", "wd", "w", "--type=merge", "-p", '{"metadata": {"finalizers": null}}').returncode == 0
    assert api.get("Widget", "w") is None


def test_who_has_no_token_is_not_let_in(api: KubernetesAPI, kubectl: Kubectl, tmp_path: Path) -> None:
    api.kubeconfig(tmp_path / "config", token="wrong")
    assert "You must be logged in to the server" in kubectl("get", "pods").stderr
