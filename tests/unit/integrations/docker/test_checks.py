from __future__ import annotations

from typing import Any

import pytest

from tiphys.integrations.docker.checks import check


def template(**more: Any) -> dict[str, Any]:
    return {"name": "t", "container": {"image": "i", "command": ["c"]}, **more}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (template(hostAliases=[{"ip": "1.1.1.1"}]), "templates.t.hostAliases"),
        (template(volumes=[{"name": "v", "nfs": {}}]), "templates.t.volumes.v"),
        (template(securityContext={"fsGroup": 1}), "templates.t.securityContext.fsGroup"),
        (template(sidecars=[{"name": "wait", "image": "i"}]), "templates.t.wait"),
        (template(sidecars=[{"name": "s"}]), "templates.t.s.image"),
        (template(container={"image": "i", "volumeDevices": [{}]}), "templates.t.main.volumeDevices"),
        (
            template(container={"image": "i", "readinessProbe": {"grpc": {"port": 1}}}),
            "templates.t.main.readinessProbe.grpc",
        ),
        (
            template(container={"image": "i", "readinessProbe": {"httpGet": {"scheme": "HTTPS", "port": 1}}}),
            "templates.t.main.readinessProbe.httpGet.scheme",
        ),
        (
            template(container={"image": "i", "securityContext": {"seccompProfile": {}}}),
            "templates.t.main.securityContext.seccompProfile",
        ),
        (
            {"name": "t", "containerSet": {"containers": [{"name": "a", "image": "i", "dependencies": ["b"]}]}},
            "templates.t.a.dependencies",
        ),
    ],
)
def test_what_is_refused_is_named(given: dict[str, Any], field: str) -> None:
    [problem] = check(given)
    assert problem.startswith(f"{field}: ")


def test_what_can_be_had() -> None:
    volumes = [{"name": "v", "emptyDir": {}}]
    security = {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}}
    assert check(template(volumes=volumes, securityContext=security, nodeSelector={"a": "b"})) == []
