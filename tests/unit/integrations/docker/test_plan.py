from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.integrations.docker.planning import Cluster, main_of_plan, planned

from tiphys.errors import SpecError
from tiphys.integrations.docker.plan import bind_of
from tiphys.sdk.pods.containers import main_of
from tiphys.sdk.pods.files import name_of
from tiphys.sdk.pods.volumes import Bind


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, (None, None)),
        ({"args": ["a"]}, (None, ("a",))),
        ({"command": ["c", "d"]}, (("c", "d"), None)),
        ({"command": ["c"], "args": []}, (("c",), ())),
        ({"command": ["$(X)"], "args": ["$(X)$$(X)"], "env": [{"name": "X", "value": "1"}]}, (("1",), ("1$(X)",))),
    ],
)
def test_commands(container: dict[str, Any], expected: tuple[Any, Any]) -> None:
    plan = main_of_plan(container)
    assert (plan.entrypoint, plan.arguments) == expected


def test_a_script_is_the_last_argument() -> None:
    plan = planned({"script": {"image": "i", "command": ["sh"], "args": ["-e"], "source": "exit"}})
    main = plan.container("main")
    assert (main.entrypoint, main.arguments) == (("sh",), ("-e", "/argo/staging/script"))
    assert plan.files == (("/folder/files/main/script", "exit", 0o755),)
    assert Bind("/folder/files/main/script", "/argo/staging/script", read_only=True) in main.binds


def test_a_script_without_source_is_a_container() -> None:
    assert planned({"script": {"image": "i", "command": ["sh"], "source": ""}}).container("main").arguments is None


def test_long_arguments_go_to_files() -> None:
    main = main_of_plan({"command": ["c"], "args": ["a", "ä" * 70_000]})
    assert main.arguments == ("a", "@/tmp/argo_arg_2.txt")
    assert main.env["ARGO_TEMPLATE"] == "offloaded"


@pytest.mark.parametrize(
    ("pod", "own", "user"),
    [
        ({}, {}, ""),
        ({"runAsUser": 5}, {}, "5"),
        ({"runAsUser": 5, "runAsGroup": 7}, {"runAsUser": 6}, "6:7"),
        ({}, {"runAsGroup": 7}, "0:7"),
        ({"runAsUser": 0}, {}, "0"),
    ],
)
def test_users(pod: dict[str, Any], own: dict[str, Any], user: str) -> None:
    assert main_of_plan({"securityContext": own}, securityContext=pod).user == user


def test_rights_and_limits() -> None:
    security = {
        "privileged": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
    }
    limits = {"cpu": "250m", "memory": "1.5Gi", "nvidia.com/gpu": 1}
    host = main_of_plan({"securityContext": security, "resources": {"limits": limits}}).host
    assert host == {
        "SecurityOpt": ["label=disable", "no-new-privileges"],
        "Privileged": True,
        "ReadonlyRootfs": True,
        "CapAdd": ["SYS_PTRACE"],
        "CapDrop": ["ALL"],
        "NanoCpus": 250_000_000,
        "Memory": 3 << 29,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"container": {"command": ["c"]}}, "names no image"),
        ({"suspend": {}}, "neither container, script nor containerSet"),
        ({"container": {"image": "i", "imagePullPolicy": "Sometimes"}}, "imagePullPolicy"),
        ({"container": {"image": "i", "resources": {"limits": {"memory": "much"}}}}, "resources.limits.memory"),
        ({"container": {"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}}, "mounts the volume 'v'"),
        (
            {"container": {"image": "i"}, "inputs": {"artifacts": [{"name": "a", "path": "relative"}]}},
            "not absolute",
        ),
        (
            {"container": {"image": "i", "readinessProbe": {"tcpSocket": {"port": "web"}}}, "daemon": True},
            "no port 'web'",
        ),
        (
            {
                "container": {"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/../.."}]},
                "volumes": [{"name": "v", "emptyDir": {}}],
            },
            "leads out",
        ),
    ],
)
def test_what_cannot_be(body: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        planned(body)


def test_inputs_are_mounted_or_put_into_the_volume_that_they_are_in() -> None:
    plan = planned(
        {
            "container": {"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/vol", "subPath": "s"}]},
            "volumes": [{"name": "v", "emptyDir": {}}],
            "inputs": {"artifacts": [{"name": "a", "path": "/in/x/"}, {"name": "b", "path": "/vol/y"}, {"name": "c"}]},
        }
    )
    assert plan.places == {"a": "/folder/inputs/a/x", "b": "/folder/volumes/v/s/y"}
    targets = [each.target for each in plan.container("main").binds]
    assert targets == ["/vol", "/var/run/argo", "/in/x"]


def test_roles_and_what_is_shared_in_a_set() -> None:
    plan = planned(
        {
            "containerSet": {
                "volumeMounts": [{"name": "v", "mountPath": "/w"}],
                "retryStrategy": {"retries": "2", "duration": "3s"},
                "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i", "dependencies": ["a"]}],
            },
            "initContainers": [{"name": "i", "image": "i"}],
            "sidecars": [{"name": "s", "image": "i", "mirrorVolumeMounts": True}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        log="/logs/n",
    )
    found = [(each.name, each.role, each.after, each.tries, each.pause, each.result) for each in plan.containers]
    assert found == [
        ("i", "init", (), 1, 0.0, False),
        ("a", "main", (), 2, 3.0, True),
        ("b", "main", ("a",), 2, 3.0, False),
        ("s", "sidecar", (), 1, 0.0, False),
    ]
    assert plan.container("s").binds[0] == Bind("/folder/volumes/v", "/w")
    assert plan.container("a").log == "/logs/n.a"
    assert plan.main == "a"


def test_main_of_a_set_is_the_one_of_that_name() -> None:
    assert main_of({"containerSet": {"containers": [{"name": "a"}, {"name": "main"}]}}) == "main"


def test_claims_are_folders_of_this_machine() -> None:
    cluster = Cluster()
    cluster.claims["c"] = Path("/claims/c")
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
    body = {"container": {"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v/"}]}, "volumes": [volume]}
    assert planned(body, cluster=cluster).container("main").binds[0] == Bind("/claims/c", "/v", read_only=True)


@pytest.mark.parametrize(
    ("path", "target"), [("/v", "/v"), ("/v/x", "/v"), ("/v/w/x", "/v/w"), ("/vx", None), ("/", None)]
)
def test_the_innermost_mount(path: str, target: str | None) -> None:
    found = bind_of([Bind("/1", "/v"), Bind("/2", "/v/w")], path)
    assert (found and found.target) == target


def test_names_tell_tasks_apart() -> None:
    assert len({name_of("u/n/0"), name_of("u/n/1")}) == 2
    assert name_of("u/n/0").isalnum()
