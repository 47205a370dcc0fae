"""The environment of processes that stand for containers."""

from __future__ import annotations

from typing import Any

from tests.unit.sdk.pods.planning import Cluster

from tiphys.integrations.local.pods.environment import whole_environment_of
from tiphys.sdk.pods.context import PodContext


def made(**container: Any) -> dict[str, str]:
    return whole_environment_of(
        {"name": "main", **container},
        context=PodContext(),
        objects=Cluster(),
        template="{}",
        shims="/shims",
        progress="/task/progress",
    )


def test_there_is_nothing_of_this_machines_own() -> None:
    found = made()
    assert {name for name in found if not name.startswith("ARGO_")} == {"HOME", "PATH", "HOSTNAME"}
    assert found["ARGO_PROGRESS_FILE"] == "/task/progress"


def test_shims_are_first_on_any_path() -> None:
    assert made()["PATH"].startswith("/shims:/usr/local/sbin:")
    assert made(env=[{"name": "PATH", "value": "/own"}])["PATH"] == "/shims:/own"
