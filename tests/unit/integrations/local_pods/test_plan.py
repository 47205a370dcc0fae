"""From a template to an order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.integrations.local_pods.planning import planned

from tiphys.errors import SpecError
from tiphys.integrations.local.pods.plan import ProgramMissingError, needs_staging

SH = {"image": "busybox", "command": ["sh"]}


def test_a_host_process(tmp_path: Path) -> None:
    plan = planned("process", tmp_path, {"container": {**SH, "args": ["-c", "echo $(HOME)"]}})
    (order,) = plan.order["containers"]
    assert order["program"] == f"{tmp_path}/sh"
    assert order["argv"] == ["sh", "-c", "echo /root"]
    assert order["folder"] == plan.folder.path
    assert order["log"] == f"{plan.folder.path}.main.log"
    assert (order["role"], order["sandboxed"], order["result"], order["tries"]) == ("main", False, True, 1)
    assert not needs_staging(plan)


def test_a_sandbox(tmp_path: Path) -> None:
    plan = planned("sandbox", tmp_path, {"container": {**SH, "workingDir": "/work"}})
    (order,) = plan.order["containers"]
    argv = order["argv"]
    assert (order["program"], order["sandboxed"]) == ("/usr/bin/bwrap", True)
    assert argv[:4] == ["/usr/bin/bwrap", "--bind", f"{plan.folder.path}/root-main", "/"]
    assert argv[-4:] == ["--chdir", "/work", "--", "sh"]
    assert {"--unshare-pid", "--die-with-parent"} <= set(argv)
    assert needs_staging(plan)


def test_a_script_is_the_last_argument(tmp_path: Path) -> None:
    body = {"script": {**SH, "args": ["-x"], "source": "echo 1"}}
    plan = planned("sandbox", tmp_path, body)
    assert plan.order["containers"][0]["argv"][-3:] == ["sh", "-x", "/argo/staging/script"]
    assert plan.files == (("main", "/argo/staging/script", "echo 1", 0o755),)
    host = planned("process", tmp_path, body)
    assert host.order["containers"][0]["argv"][-1] == f"{host.folder.path}/script"


def test_nothing_is_appended_for_an_empty_script(tmp_path: Path) -> None:
    plan = planned("process", tmp_path, {"script": {**SH, "source": ""}})
    assert plan.order["containers"][0]["argv"] == ["sh"]


def test_what_is_too_long_goes_to_files(tmp_path: Path) -> None:
    plan = planned("sandbox", tmp_path, {"container": {**SH, "args": ["a", "x" * 131072]}})
    (order,) = plan.order["containers"]
    assert order["argv"][-3:] == ["sh", "a", "@/tmp/argo_arg_2.txt"]
    assert order["env"]["ARGO_TEMPLATE"] == "offloaded"
    assert [path for _, path, _, _ in plan.files] == ["/argo/config/ARGO_TEMPLATE", "/tmp/argo_arg_2.txt"]


def test_roles_and_their_order(tmp_path: Path) -> None:
    body = {
        "container": SH,
        "initContainers": [{"name": "i", **SH}],
        "sidecars": [{"name": "s", "mirrorVolumeMounts": True, **SH}],
    }
    plan = planned("sandbox", tmp_path, body)
    assert [(each["name"], each["role"]) for each in plan.order["containers"]] == [
        ("i", "init"),
        ("main", "main"),
        ("s", "sidecar"),
    ]
    assert [each["result"] for each in plan.order["containers"]] == [False, True, False]


def test_a_set_of_containers(tmp_path: Path) -> None:
    group = {
        "containers": [{"name": "a", **SH}, {"name": "main", "dependencies": ["a"], **SH}],
        "retryStrategy": {"retries": "2", "duration": "1s"},
        "volumeMounts": [{"name": "v", "mountPath": "/w"}],
    }
    plan = planned("sandbox", tmp_path, {"containerSet": group, "volumes": [{"name": "v", "emptyDir": {}}]})
    a, main = plan.order["containers"]
    assert (a["after"], main["after"]) == ([], ["a"])
    assert (a["tries"], a["pause"]) == (2, 1.0)
    for name in ("a", "main"):
        assert plan.views[name].locate("/w/x") == f"{plan.folder.path}/volumes/v/x"
    assert plan.main == "main"


def test_a_volume_of_the_workflow(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/w", "subPathExpr": "$(D)/x"}]
    container = {**SH, "env": [{"name": "D", "value": "d"}], "volumeMounts": mounts}
    plan = planned("sandbox", tmp_path, {"container": container}, volumes=[{"name": "v", "emptyDir": {}}])
    assert plan.views["main"].locate("/w") == f"{plan.folder.path}/volumes/v/d/x"


def test_logs_where_the_context_says(tmp_path: Path) -> None:
    plan = planned("process", tmp_path, {"container": SH, "sidecars": [{"name": "s", **SH}]}, log="/logs/x")
    assert [each["log"] for each in plan.order["containers"]] == ["/logs/x", "/logs/x.s"]


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ({"httpGet": {"port": "web", "path": "/x"}}, {"port": 80, "path": "/x", "argv": None}),
        ({"httpGet": {"port": 81}}, {"port": 81, "path": "/", "argv": None}),
        ({"tcpSocket": {"port": "82"}}, {"port": 82, "path": None, "argv": None}),
        ({"exec": {"command": ["sh"]}}, {"port": None, "path": None, "argv": ["sh"]}),
    ],
)
def test_probes(tmp_path: Path, probe: dict[str, Any], expected: dict[str, Any]) -> None:
    container = {
        **SH,
        "readinessProbe": {**probe, "initialDelaySeconds": 2},
        "ports": [{"name": "web", "containerPort": 80}],
    }
    found = planned("process", tmp_path, {"container": container, "daemon": True}).order["containers"][0]["probe"]
    assert found is not None
    assert expected.items() <= found.items()
    assert (found["delay"], found["period"], found["timeout"], found["successes"]) == (2.0, 1.0, 1.0, 1)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"container": {"image": "x", "command": ["no-such-program"]}}, "no-such-program"),
        ({"container": {"image": "x"}}, "has no `command`"),
        ({"container": {**SH, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}}, "mounts the volume 'v'"),
        ({"suspend": {}}, "neither container, script nor containerSet"),
        ({"container": {**SH, "readinessProbe": {"tcpSocket": {"port": "x"}}}, "daemon": True}, "no port 'x'"),
    ],
)
def test_what_cannot_be_planned(tmp_path: Path, body: dict[str, Any], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        planned("sandbox", tmp_path, body)


def test_a_missing_program_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="the image 'x'"):
        planned("process", tmp_path, {"container": {"image": "x", "command": ["no-such-program"]}})


def test_a_path_out_of_a_volume_is_refused(tmp_path: Path) -> None:
    mounts = [{"name": "v", "mountPath": "/v", "subPath": "../x"}]
    with pytest.raises(SpecError, match="leads out"):
        planned(
            "sandbox",
            tmp_path,
            {"container": {**SH, "volumeMounts": mounts}, "volumes": [{"name": "v", "emptyDir": {}}]},
        )
