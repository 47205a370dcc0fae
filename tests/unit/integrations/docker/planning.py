"""Tasks and plans for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.sdk.pods.planning import Cluster, task

from tiphys.integrations.docker.plan import ContainerPlan, Plan, make_plan


def planned(
    body: Mapping[str, Any], *, folder: str = "/folder", cluster: Cluster | None = None, **context: Any
) -> Plan:
    return make_plan(task(body, **context), folder, cluster or Cluster())


def main_of_plan(container: Mapping[str, Any], **template: Any) -> ContainerPlan:
    return planned({"container": {"image": "i", **container}, **template}).container("main")
