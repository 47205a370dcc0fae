"""A whole workflow whose nodes are OCI containers: values and artifacts pass between them, some run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.container_desk import IMAGE, LIMITS, Cluster, NoDrivers, podman

from tiphys.controller.loop import Controller
from tiphys.controller.owner import this_process
from tiphys.db.store import open_store
from tiphys.integrations.docker.engine import EngineSettings
from tiphys.integrations.docker.runner import ContainerRunner
from tiphys.integrations.local.artifact_store import LocalArtifactStore
from tiphys.integrations.local.config import LocalArtifactStoreConfig
from tiphys.integrations.local.inline import InlineRunner
from tiphys.ports.clock import SystemClock
from tiphys.ports.workflows import SubmitOptions
from tiphys.services.backend import LocalBackend
from tiphys.services.recorder import MLRecorder

WORKFLOW = """
metadata: {name: demo}
spec:
  entrypoint: main
  arguments: {parameters: [{name: last, value: "3"}]}
  templates:
  - name: main
    dag:
      tasks:
      - name: make
        template: make
        arguments: {parameters: [{name: last, value: "{{workflow.parameters.last}}"}]}
      - name: use
        template: use
        dependencies: [make]
        withParam: "{{tasks.make.outputs.result}}"
        arguments:
          parameters: [{name: item, value: "{{item}}"}]
          artifacts: [{name: in, from: "{{tasks.make.outputs.artifacts.data}}"}]
      - name: fail
        template: fail
        dependencies: [use]
  - name: make
    inputs: {parameters: [{name: last}]}
    script:
      image: IMAGE
      command: [sh]
      source: |
        mkdir /out
        echo data > /out/file
        echo '[1, 2, {{inputs.parameters.last}}]'
    outputs: {artifacts: [{name: data, path: /out}]}
  - name: use
    inputs: {parameters: [{name: item}], artifacts: [{name: in, path: /in}]}
    container:
      image: IMAGE
      command: [sh, -c]
      args: ["echo $(cat /in/file) {{inputs.parameters.item}} > /tmp/p"]
    outputs: {parameters: [{name: p, valueFrom: {path: /tmp/p}}]}
  - name: fail
    retryStrategy: {limit: "1"}
    container: {image: IMAGE, command: [sh, -c, "exit 9"]}
"""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    with podman() as host:
        url = f"sqlite:///{tmp_path}/tiphys.db"
        store = open_store(url)
        backend = LocalBackend(store=store, home=tmp_path, db_url=url)
        runner = ContainerRunner(
            tmp_path,
            store=LocalArtifactStore(name="s", config=LocalArtifactStoreConfig(path=str(tmp_path / "artifacts"))),
            objects=Cluster(),
            drivers=NoDrivers(),
            settings=EngineSettings(host=host, network="none", ulimits=LIMITS),
        )
        controller = Controller(
            store,
            MLRecorder(backend),
            runners=lambda _: runner,
            lender=InlineRunner(),
            clock=SystemClock(),
            owner=this_process(),
        )
        backend.connect(controller)
        yield backend
        backend.close()


def test_a_workflow(backend: LocalBackend) -> None:
    backend.workflows.submit(yaml.safe_load(WORKFLOW.replace("IMAGE", IMAGE)), SubmitOptions(runner="container"))
    assert backend.workflows.wait("demo").phase == "Failed"
    status: dict[str, Any] = backend.workflows.get("demo")["status"]
    nodes = {node["displayName"]: node for node in status["nodes"].values()}
    assert nodes["make"]["outputs"]["result"] == "[1, 2, 3]"
    used = [nodes[name]["outputs"]["parameters"][0]["value"] for name in ("use(0:1)", "use(1:2)", "use(2:3)")]
    assert used == ["data 1", "data 2", "data 3"]
    assert nodes["fail"]["message"] == "No more retries left: main: Error (exit code 9)"
    assert nodes["fail(1)"]["outputs"]["exitCode"] == "9"
