"""Tasks, a runner and a fake cluster for tests of agents."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Values
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, UsageError
from tiphys.integrations.local.agents.answers import Answer
from tiphys.integrations.local.agents.keepers import Keepers
from tiphys.integrations.local.agents.plugin_host import PluginHost
from tiphys.integrations.local.agents.resource import carry_out
from tiphys.integrations.local.agents.runner import AgentRunner
from tiphys.integrations.local.agents.stored import StoredObjects
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.lang.selectors import parse_selector
from tiphys.ports.object_keeper import ObjectKeeper
from tiphys.ports.runner import Runner, Task
from tiphys.sdk.pods.context import PodContext

LONG = 60.0

WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "child-"},
    "spec": {},
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}


class FakeCluster:
    """Keeps objects as an API server does, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.asked: list[tuple[str, ...]] = []
        #: Called before each `get` with the object that is there.
        self.at_get: Callable[[dict[str, Any]], None] = lambda found: None
        #: Errors that the next calls raise.
        self.errors: list[Exception] = []

    def _enter(self, *call: str) -> None:
        self.asked.append(call)
        if self.errors:
            raise self.errors.pop(0)

    def _found(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        if (kind, namespace, name) not in self.objects:
            raise NotFoundError(f"There is no {kind} '{name}'.")
        return self.objects[kind, namespace, name]

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        self._enter("get", kind, namespace, name)
        found = self._found(kind, namespace, name)
        self.at_get(found)
        return deepcopy(found)

    def find(self, kind: str, namespace: str, labels: str) -> list[dict[str, Any]]:
        self._enter("find", kind, namespace, labels)
        selector = parse_selector(labels)
        return [
            deepcopy(each)
            for (of, where, _), each in self.objects.items()
            if (of, where) == (kind, namespace) and selector.matches(each["metadata"].get("labels") or {})
        ]

    def create(self, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._enter("create", kind, namespace, name)
        if (kind, namespace, name) in self.objects:
            raise AlreadyExistsError(f"There is a {kind} '{name}' already.")
        if "refuse" in manifest:
            raise SpecError("The manifest is not valid.")
        return deepcopy(self._put(namespace, manifest, 1))

    def update(self, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._enter("update", kind, namespace, name)
        present = int(self._found(kind, namespace, name)["metadata"]["resourceVersion"])
        if int(manifest["metadata"].get("resourceVersion") or present) != present:
            raise ConflictError("It has been changed meanwhile.")
        return deepcopy(self._put(namespace, manifest, present + 1))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self._enter("delete", kind, namespace, name)
        self._found(kind, namespace, name)
        del self.objects[kind, namespace, name]

    def _put(self, namespace: str, manifest: Mapping[str, Any], version: int) -> dict[str, Any]:
        stored = deepcopy(dict(manifest))
        stored["metadata"] |= {"namespace": namespace, "resourceVersion": str(version)}
        self.objects[stored["kind"], namespace, stored["metadata"]["name"]] = stored
        return stored

    def put(self, manifest: Mapping[str, Any], namespace: str = "argo") -> dict[str, Any]:
        """Have an object; returns what is kept, to be changed."""
        return self._put(namespace, manifest, 1)

    def only(self, kind: str) -> dict[str, Any]:
        found = [each for (of, _, _), each in self.objects.items() if of == kind]
        assert len(found) == 1, found
        return found[0]


class FakeSources:
    """Artifacts in "s3": keys and contents."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def fetch(self, artifact: Mapping[str, Any], into: Path) -> None:
        into.write_bytes(self.files[artifact["s3"]["key"]])

    def list_keys(self, artifact: Mapping[str, Any]) -> list[str]:
        return sorted(key for key in self.files if key.startswith(artifact["s3"].get("key") or ""))


def no_pods() -> Runner:
    raise AssertionError("no plugin is to be started")


def no_cluster() -> ObjectKeeper:
    raise UsageError("there is no kubeconfig.", hint="Set KUBECONFIG.")


class Agency:
    """All that agents need, and a runner over it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cluster = FakeCluster()
        self.sources = FakeSources()
        self.store = LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(home / "artifacts")))
        self.secrets: dict[str, dict[str, bytes]] = {}
        self.reports: queue.SimpleQueue[TaskFinished] = queue.SimpleQueue()
        self.numbers: Iterator[int] = count()

    @contextmanager
    def runner(self, **rest: Any) -> Iterator[AgentRunner]:
        runner = AgentRunner(
            actions=self.cluster,
            cluster=no_cluster,
            secrets=lambda namespace, name: self.secrets.get(name) if namespace == "argo" else None,
            store=self.store,
            sources=lambda _: self.sources,
            plugins=PluginHost(self.home, flavour="process", pods=no_pods),
            **rest,
        )
        yield runner
        runner.close()

    def run(self, body: Mapping[str, Any], **rest: Any) -> TaskFinished:
        with self.runner() as runner:
            runner.launch(self.task(body, **rest), self.reports.put)
            return self.next_report()

    def next_report(self) -> TaskFinished:
        return self.reports.get(timeout=LONG)

    def task(self, body: Mapping[str, Any], *, id: str = "", deadline: float | None = None, **inputs: Any) -> Task:
        return Task(
            id=id or f"uid/n{next(self.numbers)}/0",
            workflow_uid="uid",
            node_id="n",
            name="step",
            attempt=0,
            body={"name": "t", **body},
            inputs=Values(artifacts=inputs),
            deadline=deadline,
            context={"workflow": "parent", "namespace": "argo"},
        )

    def resource(
        self, action: str, manifest: Any = None, *, confined: bool = False, **rest: Any
    ) -> tuple[Answer, list[str]]:
        """Carry a resource template out without waiting; returns what was waited for, too."""
        task = self.task(template(action, manifest, **rest), id=rest.get("id", ""))
        keepers = Keepers(StoredObjects(self.cluster), no_cluster)
        work = carry_out(
            task, PodContext.of(task), keepers=keepers, store=self.store, sources=self.sources, confined=confined
        )
        waits = []
        while True:
            try:
                waits.append(next(work).what)
            except StopIteration as end:
                return end.value, waits
            assert len(waits) < 100

    def stored_file(self, text: str) -> dict[str, Any]:
        """An artifact of our own store, as the engine passes it on."""
        return {"name": "m", "digest": self.store.commit_bytes("m.yaml", text.encode()).digest, "form": "file"}


def template(action: str, manifest: Any = None, *, outputs: Any = None, id: str = "", **rest: Any) -> dict[str, Any]:
    """A template of the kind `resource`; the manifest is written as JSON, which is YAML."""
    text = {} if manifest is None else {"manifest": manifest if isinstance(manifest, str) else json.dumps(manifest)}
    parameters = [{"name": name, "valueFrom": source} for name, source in (outputs or {}).items()]
    return {"resource": {"action": action, **text, **rest}, "outputs": {"parameters": parameters}}


def threads(prefix: str) -> int:
    return sum(thread.name.startswith(prefix) for thread in threading.enumerate())
