"""`tiphys argo executor-plugin build`."""

from __future__ import annotations

import pytest

from tiphys.spec.yaml import load

PLUGIN = """\
apiVersion: argoproj.io/v1alpha1
kind: ExecutorPlugin
metadata:
  name: hello
  annotations:
    workflows.argoproj.io/description: Says hello.
spec:
  sidecar:
    container:
      image: python:3.12
      command: [python, -c]
      ports: [{containerPort: 4355}]
      resources: {requests: {}, limits: {}}
      securityContext: {}
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "plugin.yaml").write_text(PLUGIN)
    return folder


def test_build(invoke, folder):
    (folder / "server.py").write_text("import json\n")
    made = folder / "hello-executor-plugin-configmap.yaml"
    told = invoke("argo", "executor-plugin", "build", str(folder)).stdout
    assert told == f"{made} created\n{folder / 'README.md'} created\n"
    assert load(load(made.read_text())["data"]["sidecar.container"])["args"] == ["import json\n"]
    assert "Says hello." in (folder / "README.md").read_text()
    assert "tiphys configmap delete hello-executor-plugin" in (folder / "README.md").read_text()
    assert invoke("configmap", "create", "-f", str(made)).stdout == "configmap/hello-executor-plugin stored\n"
    # What it made it makes again.
    assert invoke("argo", "executor-plugin", "build", str(folder)).stdout == told


def test_a_readme_of_somebody_else_stays(invoke, folder):
    (folder / "README.md").write_text("mine")
    assert "README.md left as it is" in invoke("argo", "executor-plugin", "build", str(folder)).stdout
    assert (folder / "README.md").read_text() == "mine"


def test_what_is_wrong_is_told_with_its_line(invoke, folder):
    (folder / "plugin.yaml").write_text(
        PLUGIN.replace("image:", "imgae:").replace("ports: [{containerPort: 4355}]", "")
    )
    told = invoke("argo", "executor-plugin", "build", str(folder), code=2).stderr
    assert "line 10: spec.sidecar.container.imgae unknown field" in told
    assert "at least one port is mandatory" in told
    assert not list(folder.glob("*-configmap.yaml"))


def test_files_that_are_missing_or_too_many(invoke, folder):
    for name in ("server.py", "server.js"):
        (folder / name).write_text("")
    told = invoke("argo", "executor-plugin", "build", str(folder), code=2).stderr
    assert "more than one server.* file: server.js, server.py" in told
    (folder / "plugin.yaml").unlink()
    assert "plugin.yaml' cannot be read" in invoke("argo", "executor-plugin", "build", str(folder), code=2).stderr


def test_a_config_map_that_installs_nothing_is_refused(invoke, folder):
    manifest = folder / "wrong.yaml"
    labels = "labels: {workflows.argoproj.io/configmap-type: ExecutorPlugin}"
    manifest.write_text(f"kind: ConfigMap\nmetadata: {{name: x, {labels}}}\ndata: {{}}\n")
    assert "at least one port is mandatory" in invoke("configmap", "create", "-f", str(manifest), code=2).stderr
