"""Stands for the controller: launches pods and collects their reports."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.engine.model import Phase, Values
from tiphys.errors import ArtifactMissingError
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.integrations.local.pods.runner import PodRunner
from tiphys.ports.runner import Task

LONG = 60.0


class Cluster:
    """ConfigMaps, Secrets and claims of a test."""

    def __init__(self, home: Path) -> None:
        self.config_maps: dict[str, dict[str, bytes]] = {}
        self.secrets: dict[str, dict[str, bytes]] = {}
        self.claims: dict[str, Path] = {}
        self.home = home

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.config_maps.get(name)

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.secrets.get(name)

    def claim_folder(self, namespace: str, name: str) -> Path | None:
        return self.claims.get(name)


class FolderDrivers:
    """Artifacts in "s3" are files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        source = self.folder / artifact["s3"]["key"]
        if not source.exists():
            raise ArtifactMissingError(f"There is no '{source.name}'.")
        into.write_bytes(source.read_bytes())

    def save(self, path: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
        self.folder.mkdir(exist_ok=True)
        (self.folder / path.name).write_bytes(path.read_bytes())
        return {**artifact, "s3": {"key": path.name}}


class PodDesk:
    """Launches and collects.

    Args:
        home: Of the runner.
        flavour: Of the runner.
    """

    def __init__(self, home: Path, flavour: Any) -> None:
        self.home, self.flavour = home, flavour
        self.store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(home / "artifacts")))
        self.cluster = Cluster(home)
        self.drivers = FolderDrivers(home / "s3")
        self.news: queue.SimpleQueue[TaskReady | TaskProgressed] = queue.SimpleQueue()
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.numbers: Iterator[int] = count()
        self.runner = self.make_runner()

    def make_runner(self) -> PodRunner:
        return PodRunner(
            self.home,
            flavour=self.flavour,
            store=self.store,
            objects=self.cluster,
            drivers=lambda _: self.drivers,
        )

    def task(self, body: Mapping[str, Any], *, artifacts: Any = None, name: str | None = None, **context: Any) -> Task:
        node = name or f"n{next(self.numbers)}"
        return Task(
            id=f"u/{node}/0",
            workflow_uid="u",
            node_id=node,
            name=node,
            attempt=0,
            body={"name": "t", **body},
            inputs=Values(artifacts=dict(artifacts or {})),
            context=context,
        )

    def launch(self, body: Mapping[str, Any], **rest: Any) -> Task:
        task = self.task(body, **rest)
        self.runner.launch(task, self.report)
        return task

    def report(self, event: TaskFinished | TaskReady | TaskProgressed) -> None:
        if isinstance(event, TaskFinished):
            self.reports.put(event)
        else:
            self.news.put(event)

    def next_report(self) -> TaskFinished:
        return self.reports.get(timeout=LONG)

    def run(self, body: Mapping[str, Any], **rest: Any) -> TaskFinished:
        task = self.launch(body, **rest)
        finished = self.next_report()
        assert finished.task_id == task.id
        return finished

    def sh(self, script: str, **rest: Any) -> TaskFinished:
        keys = {"artifacts", "name"}
        body = {key: value for key, value in rest.items() if key not in keys}
        return self.run(
            {**shell(script, **(body.pop("container", {}))), **body},
            **{key: value for key, value in rest.items() if key in keys},
        )

    def result(self, script: str, **rest: Any) -> str:
        finished = self.sh(script, **rest)
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert finished.outputs.result is not None
        return finished.outputs.result


def shell(script: str, **container: Any) -> dict[str, Any]:
    """A template that runs a shell script."""
    return {"container": {"image": "busybox", "command": ["sh", "-c", script], **container}}
