"""What runners of pods refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tiphys.integrations.local.pods.checks import check

SH = {"image": "busybox", "command": ["sh"]}
FULL = {
    "name": "t",
    "container": {**SH, "volumeMounts": [{"name": "v", "mountPath": "/v"}], "workingDir": "/w", "resources": {}},
    "sidecars": [{"name": "s", **SH}],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "inputs": {"artifacts": [{"name": "a", "path": "/a"}], "parameters": [{"name": "p"}]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}], "artifacts": [{"name": "x", "path": "/x"}]},
    "nodeSelector": {"x": "y"},
}


def test_a_sandbox_can_hold_most() -> None:
    assert check(FULL, "sandbox") == []


def test_a_host_process_cannot_hold_what_others_would_see() -> None:
    found = check(FULL, "process")
    fields = ("main.volumeMounts", "main.workingDir", "inputs.a", "outputs.o", "outputs.x")
    assert len(found) == len(fields)
    for problem, field in zip(sorted(found), sorted(f"templates.t.{field}" for field in fields), strict=True):
        assert problem.startswith(field)
        assert problem.endswith("Use the runner 'sandbox'.")


def test_a_host_process_has_paths_of_its_own() -> None:
    outputs = {"parameters": [{"name": "o", "valueFrom": {"path": "out.txt"}}]}
    assert check({"name": "t", "container": SH, "outputs": outputs}, "process") == []


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"volumes": [{"name": "v", "nfs": {}}]}, "templates.t.volumes.v"),
        ({"sidecars": [{"name": "wait", **SH}]}, "templates.t.wait"),
        ({"container": {**SH, "volumeDevices": [{}]}}, "templates.t.main.volumeDevices"),
        ({"container": {**SH, "readinessProbe": {"httpGet": {"scheme": "HTTPS"}}}}, "httpGet.scheme"),
        ({"container": {**SH, "readinessProbe": {"grpc": {"port": 1}}}}, "readinessProbe.grpc"),
        ({"container": None, "containerSet": {"containers": [{"name": "a", "dependencies": ["z"]}]}}, "'z'"),
    ],
)
def test_what_no_flavour_can_give(template: dict[str, Any], field: str) -> None:
    (problem,) = check({"name": "t", "container": SH, **template}, "sandbox")
    assert field in problem
