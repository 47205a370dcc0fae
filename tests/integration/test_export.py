"""Exported pipelines, carried out as Argo workflows in sandboxes that have nothing but Python and some folders."""

from __future__ import annotations

import json
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiphys
from tiphys.bootstrap import default_backend
from tiphys.ports.workflows import LogQuery, SubmitOptions

MODULE = """
from typing import Annotated

import numpy as np

from tiphys import ExternalArtifact, StepRetryConfig, get_step_context, pipeline, step


@step
def load(n: int) -> list[int]:
    print("loading", n)
    return list(range(1, n + 1))


@step
def split(rows: list[int], scale: float) -> tuple[Annotated[np.ndarray, "array"], Annotated[int, "count"]]:
    return np.array(rows) * scale, len(rows)


@step
def mean(array: np.ndarray, count: int) -> float:
    return float(array.sum() / count)


@step
def text(value: object = None) -> str:
    return f"text: {value}"


@pipeline
def chain(n: int = 3):
    array, count = split(load(n), scale=2.0)
    value = mean(array, count)
    text(value, id="high", when=value > 3)
    text(value, id="low", when=value < 3)


@step
def square(x: int, by: int = 1) -> int:
    return x * x * by


@step
def array_of(x: int) -> np.ndarray:
    return np.full(3, x)


@step
def total(xs: list[int], start: list[int]) -> int:
    return sum(int(np.sum(x)) for x in xs) + sum(start)


@pipeline
def loops():
    squares = square.map(load(3), by=2)
    again = array_of.map(squares)
    total(again, ExternalArtifact([100]), id="all")
    total(squares, ExternalArtifact([100]), id="plain")


@step
def mixed(xs: list[int]) -> int:
    return sum(xs)


@pipeline
def lists():
    mixed([square(2), 10, square(3)])


@step(retry=StepRetryConfig(max_retries=2, delay=0.01), environment={"GREETING": "hello"})
def flaky() -> str:
    import os

    if get_step_context().attempt < 2:
        raise ConnectionError("not yet")
    return os.environ["GREETING"]


@step(retry=StepRetryConfig(max_retries=2, never=[LookupError]))
def hopeless() -> str:
    return {}["key"]


@pipeline
def retries():
    flaky()
    hopeless()
"""


def export(folder: Path, name: str, *options: str) -> dict[str, Any]:
    """The manifest of a pipeline, with this machine's packages at /packages and Tiphys at /tiphys-src."""
    arguments = [f"jobs.py:{name}", *options, "--env", "PYTHONPATH=/tiphys-src:/packages", "-n", "default"]
    called = subprocess.run(
        [sys.executable, "-m", "tiphys", "argo", "export", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(tiphys.__file__).parents[1]), "PATH": "/usr/bin:/bin"},
    )
    assert called.returncode == 0, called.stderr
    manifest: dict[str, Any] = yaml.safe_load(called.stdout)
    folders = {"tiphys-src": Path(tiphys.__file__).parents[1], "packages": Path(site.getsitepackages()[0])}
    if "--git" not in options:
        folders["src"] = folder
    manifest["spec"]["volumes"] = [{"name": key, "hostPath": {"path": str(path)}} for key, path in folders.items()]
    for template in manifest["spec"]["templates"]:
        if "container" in template:
            mounts = [{"name": key, "mountPath": f"/{key}", "readOnly": True} for key in folders]
            template["container"]["volumeMounts"] = mounts
    return manifest


class Ended:
    """A workflow that has ended."""

    def __init__(self, manifest: dict[str, Any], scratch: Path) -> None:
        self.service = default_backend().workflows
        made = self.service.submit(manifest, SubmitOptions(runner="sandbox"))
        self.name = made["metadata"]["name"]
        self.phase = self.service.wait(self.name).phase
        self.nodes = {node["displayName"]: node for node in self.service.get(self.name)["status"]["nodes"].values()}
        self.scratch = scratch

    def value(self, node: str, output: str = "output") -> Any:
        """An output that is JSON."""
        target = self.scratch / f"{node}-{output}"
        self.service.fetch_artifact(self.name, self.nodes[node]["id"], output, target)
        return json.loads((target / "data" / "value.json").read_text())

    def log(self) -> str:
        return "\n".join(line.content for line in self.service.logs(self.name, LogQuery()))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "jobs.py").write_text(MODULE)
    return folder


def test_values_artifacts_and_conditions(project: Path, tmp_path: Path) -> None:
    ended = Ended(export(project, "chain", "-p", "n=4"), tmp_path)
    assert ended.phase == "Succeeded", ended.log()
    assert ended.value("mean") == 5.0
    assert ended.value("high") == "text: 5.0"
    assert ended.nodes["low"]["phase"] == "Skipped"
    assert "loading 4" in ended.log()


def test_loops_over_values_and_over_results(project: Path, tmp_path: Path) -> None:
    ended = Ended(export(project, "loops"), tmp_path)
    assert ended.phase == "Succeeded", [n.get("message") for n in ended.nodes.values() if n.get("message")]
    assert ended.value("plain") == 2 + 8 + 18 + 100
    assert ended.value("all") == 3 * (2 + 8 + 18) + 100


def test_the_code_comes_from_a_git_repository(project: Path, tmp_path: Path) -> None:
    inner = project / "jobs"
    inner.mkdir()
    (project / "jobs.py").rename(inner / "jobs.py")
    for command in (
        ["init", "--quiet"],
        ["add", "-A"],
        ["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "x"],
        ["tag", "v1"],
    ):
        subprocess.run(["git", *command], cwd=project, check=True)
    manifest = export(inner, "lists", "--git", str(project), "--revision", "v1")
    ended = Ended(manifest, tmp_path)
    assert ended.phase == "Succeeded", ended.log()
    assert ended.value("mixed") == 4 + 10 + 9


def test_retries_and_failures_that_are_final(project: Path, tmp_path: Path) -> None:
    ended = Ended(export(project, "retries"), tmp_path)
    assert ended.phase == "Failed"
    assert ended.value("flaky(2)") == "hello"
    assert [ended.nodes[f"flaky({number})"]["phase"] for number in range(3)] == ["Failed", "Failed", "Succeeded"]
    assert ended.nodes["flaky(0)"]["outputs"]["exitCode"] == "1"
    assert ended.nodes["hopeless(0)"]["outputs"]["exitCode"] == "3"
    assert "hopeless(1)" not in ended.nodes
    log = ended.log()
    assert "KeyError: 'key'" in log
    assert 'jobs.py", line' in log
    assert "sdk/runtime.py" not in log
