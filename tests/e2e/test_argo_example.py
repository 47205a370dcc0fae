"""The manifest of examples/argo, as docs/argo.md tells a new user to run it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.programs import tiphys
from tests.needs import lacking, needs_sandbox
from tiphys.integrations.local.pods.runner import usable

ROOT = Path(__file__).parents[2]
HELLO = str(ROOT / "examples" / "argo" / "hello.yaml")


@needs_sandbox
def test_hello() -> None:
    tiphys("argo", "submit", HELLO, "-p", "who=Argo", "--wait")
    found = json.loads(tiphys("argo", "get", "@latest", "-o", "json").stdout)
    assert found["status"]["phase"] == "Succeeded"
    assert "hello Argo" in tiphys("argo", "logs", "@latest").stdout
    tree = tiphys("argo", "get", "@latest").stdout
    assert "✔ read" in tree.replace("─", " ")
    assert tiphys("argo", "list", "-o", "name").stdout.strip() == found["metadata"]["name"]


def test_a_mistake_is_found_before_anything_is_stored(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(HELLO).read_text().replace("template: read", "template: raed"))
    refused = tiphys("argo", "submit", str(wrong), code=2)
    assert "'raed'" in refused.stderr
    assert "raed" in tiphys("argo", "lint", str(wrong), code=1).stdout
    assert "No workflows found" in tiphys("argo", "list").stdout


@pytest.mark.parametrize("runner", ["process", "sandbox"])
def test_the_plugin_of_the_documentation(runner: Literal["process", "sandbox"], tmp_path: Path) -> None:
    if usable(runner) is not None:
        lacking(f"no {runner}: {usable(runner)}")
    page = (ROOT / "docs" / "argo.md").read_text().partition("## Executor plugins")[2]
    with socket.create_server(("127.0.0.1", 0)) as free:
        page = page.replace("14355", str(free.getsockname()[1]))
    server, plugin, workflow = re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL)
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "server.py").write_text(server)
    (folder / "plugin.yaml").write_text(plugin)
    (tmp_path / "hello.yaml").write_text(workflow)
    manifest = folder / "hello-executor-plugin-configmap.yaml"
    built = tiphys("argo", "executor-plugin", "build", str(folder))
    assert built.stdout.splitlines() == [f"{manifest} created", f"{folder / 'README.md'} created"]
    tiphys("configmap", "create", "-f", str(manifest))
    tiphys("argo", "submit", str(tmp_path / "hello.yaml"), "--runner", runner, "--wait")
    assert "Hello Argo!" in tiphys("argo", "get", "@latest").stdout
    assert tiphys("argo", "logs", "@latest").stdout.strip().endswith(": Hello Argo!")
    found = json.loads(tiphys("argo", "get", "@latest", "-o", "json").stdout)
    nodes = {node["displayName"]: node for node in found["status"]["nodes"].values()}
    assert (nodes["greet"]["type"], nodes["greet"]["message"]) == ("Plugin", "Hello Argo!")
    assert nodes["greet"]["outputs"]["parameters"][0]["value"] == "Hello Argo!"
