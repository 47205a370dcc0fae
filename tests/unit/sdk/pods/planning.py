"""Tasks for tests of pods, and what they find in their cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiphys.engine.model import Values
from tiphys.ports.runner import Task


class Cluster:
    """ConfigMaps, Secrets and claims."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, bytes]] = {}
        self.claims: dict[str, Path] = {}

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.maps.get(name)

    secret = config_map

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return self.claims.get(name)


def task(body: Mapping[str, Any], **context: Any) -> Task:
    return Task(
        id="u/wf-1/0",
        workflow_uid="u",
        node_id="wf-1",
        name="step",
        attempt=0,
        body={"name": "t", **body},
        inputs=Values(),
        context=context,
    )
