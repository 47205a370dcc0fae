"""`tiphys argo export`: what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tiphys.errors import DefinitionError, SpecError, UsageError
from tiphys.spec.yaml import load

MODULE = """
from tiphys import pipeline, step

@step
def count(n: int) -> int:
    return n

@pipeline(enable_cache=False)
def counting(n: int = 1):
    count(n)

@pipeline
def local():
    @step
    def inner() -> int:
        return 1

    inner()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `pkg_of_test_export` with a module `jobs`, in a git repository, the working directory."""
    package = tmp_path / "repository" / "code" / "pkg_of_test_export"
    package.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text(MODULE)
    monkeypatch.chdir(package)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        monkeypatch.delitem(sys.modules, name)
    return package


def container(text: str) -> dict[str, object]:
    found: dict[str, object] = load(text)["spec"]["templates"][1]["container"]
    return found


def test_a_pipeline_as_yaml(folder, invoke):
    ended = invoke("argo", "export", "jobs.py:counting", "-p", "n=5", "--image", "mine:1", "--env", "A=b=c")
    manifest = load(ended.stdout)
    assert ended.stderr == ""
    assert (manifest["apiVersion"], manifest["kind"]) == ("argoproj.io/v1alpha1", "Workflow")
    assert manifest["metadata"]["generateName"] == "counting-"
    (task,) = manifest["spec"]["templates"][0]["dag"]["tasks"]
    assert task["arguments"]["parameters"] == [{"name": "n", "value": "5"}]
    found = container(ended.stdout)
    assert found["args"][0] == "pkg_of_test_export.jobs:count"
    assert (found["image"], found["env"], found["workingDir"]) == ("mine:1", [{"name": "A", "value": "b=c"}], "/src")


def test_as_json_in_a_namespace(folder, invoke):
    manifest = json.loads(invoke("argo", "export", "jobs.py:counting", "-o", "json", "-n", "team").stdout)
    assert manifest["metadata"]["namespace"] == "team"


def test_the_folder_that_code_is_imported_from(folder, invoke):
    git = ["--git", "https://example.com/x.git"]
    assert container(invoke("argo", "export", "jobs.py:counting", *git).stdout)["workingDir"] == "/src/code"
    assert container(invoke("argo", "export", "jobs.py:counting", "--workdir", "/app").stdout)["workingDir"] == "/app"


def test_what_is_written_can_be_submitted(folder, invoke, tmp_path, backend):
    manifest = tmp_path / "counting.yaml"
    manifest.write_text(invoke("argo", "export", "jobs.py:counting").stdout)
    assert "no linting errors found" in invoke("argo", "lint", str(manifest)).stdout
    assert invoke("argo", "submit", str(manifest), "-o", "name").stdout.startswith("counting-")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["jobs.py"], UsageError, "'jobs.py' has 2 pipelines"),
        (["jobs.py:local"], DefinitionError, "Step 'inner' of pipeline 'local' cannot be exported"),
        (["jobs.py:counting", "--env", "A"], UsageError, "NAME=VALUE, not 'A'"),
        (
            ["jobs.py:counting", "--env", "A={{inputs.parameters.b}}"],
            SpecError,
            "makes no valid workflow: .*parameters.b",
        ),
    ],
)
def test_what_is_refused(folder, invoke, arguments, error, said):
    ended = invoke("argo", "export", *arguments, code=error.exit_code)
    assert ended.stdout == ""
    assert re.search(said, ended.stderr)
