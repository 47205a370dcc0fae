"""The manifest of examples/argo, as docs/argo.md tells a new user to run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.programs import tiphys
from tiphys.integrations.local.pods.runner import usable

HELLO = str(Path(__file__).parents[2] / "examples" / "argo" / "hello.yaml")


@pytest.mark.skipif(usable("sandbox") is not None, reason=f"no sandbox: {usable('sandbox')}")
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
