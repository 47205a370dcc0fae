"""The command line on a real home: every command once, in every format, with its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.e2e.programs import tiphys
from tiphys.cli.main import main

Invoke = Callable[..., Result]

PROJECT = '''
from typing import Annotated

import pandas as pd

from tiphys import Model, log_metadata, pipeline, step
from tiphys.types import HTMLString


@step
def load(rows: int) -> Annotated[pd.DataFrame, "rows"]:
    print("loading", rows)
    return pd.DataFrame({"a": range(rows), "b": ["x"] * rows})


@step
def train(frame: pd.DataFrame, rate: float = 0.5) -> Annotated[float, "score"]:
    print("training")
    log_metadata({"accuracy": rate})
    return rate * len(frame)


@step
def draw(score: float) -> Annotated[HTMLString, "page"]:
    return HTMLString(f"<h1>{score}</h1>")


@step
def fragile(score: float, broken: bool) -> float:
    if broken:
        raise ValueError("asked to fail")
    return score


@pipeline(model=Model(name="churn_model"), tags=["nightly"])
def churn(rows: int = 3, rate: float = 0.5, broken: bool = False):
    """Who leaves?"""
    score = train(load(rows), rate)
    draw(score)
    fragile(score, broken)


@pipeline
def other():
    load(1)
'''


@pytest.fixture
def invoke() -> Invoke:
    def call(*arguments: str, code: int = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(main, arguments, input=input, catch_exceptions=False)
        assert result.exit_code == code, f"{arguments}: {result.exit_code}\n{result.output}"
        return result

    return call


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    path = folder / f"churn_{abs(hash(str(tmp_path)))}.py"
    path.write_text(PROJECT)
    return path


@pytest.fixture
def two_runs(invoke: Invoke, project: Path) -> tuple[str, str]:
    invoke("run", f"{project}:churn", "--name", "one")
    invoke("run", f"{project}:churn", "-p", "rate=0.75", "--name", "two")
    return "one", "two"


def test_run_and_its_exit_codes(invoke: Invoke, project: Path) -> None:
    done = json.loads(invoke("run", f"{project}:churn", "-p", "rows=4", "-o", "json").stdout)
    assert (done["status"], done["parameters"]["rows"]) == ("completed", 4)
    assert yaml.safe_load(invoke("run", f"{project}:churn", "-o", "yaml").stdout)["status"] == "completed"
    assert invoke("run", f"{project}:churn", "--name", "mine", "-o", "name").stdout == "mine\n"
    answer = tiphys("run", f"{project}:churn", "-p", "rows=5", "-o", "name", "--name", "piped", "--runner", "process")
    assert answer.stdout == "piped\n"
    assert "loading 5" in answer.stderr
    failed = tiphys("run", f"{project}:churn", "-p", "broken=true", code=1)
    assert "ValueError: asked to fail" in failed.stderr
    ambiguous = tiphys("run", str(project), code=2).stderr
    assert "churn" in ambiguous
    assert "other" in ambiguous
    for arguments in (
        ("run", "nowhere.py"),
        ("run", f"{project}:nobody"),
        ("run", f"{project}:churn", "-p", "rows=many"),
        ("run", f"{project}:churn", "-p", "rowz=1"),
        ("run", f"{project}:churn", "-p", "rows"),
        ("run", f"{project}:churn", "--stack", "nowhere"),
        ("runs", "show", "nothing"),
        ("runs", "nothing"),
        ("artifact", "show", "nothing"),
    ):
        assert invoke(*arguments, code=2).stderr.startswith(("Error: ", "Usage: "))


#: Command → what its table shows.
COMMANDS = {
    "pipeline list": ["churn"],
    "pipeline show churn": ["churn", "Who leaves?"],
    "pipeline runs churn": ["one", "two"],
    "runs list": ["one", "two", "completed"],
    "runs list --pipeline churn --status completed": ["one", "two"],
    "runs show two": ["two", "train", "cached", "nightly", "churn_model"],
    "runs compare one two": ["rate", "0.5", "0.75", "accuracy"],
    "runs diff one two": ["rate", "0.5", "0.75"],
    "artifact list": ["rows", "score"],
    "artifact versions score": ["score", "1", "2"],
    "artifact show rows": ["rows", "DataFrame", "load"],
    "artifact gc --dry-run": [],
    "model list": ["churn_model"],
    "model show churn_model": ["churn_model"],
    "model versions churn_model": ["1", "2"],
    "cache explain two train": ["rate", "0.5", "0.75"],
    "stack list": ["default"],
    "stack describe": ["default", "artifact_store"],
    "stack active": ["default"],
    "tag list": ["nightly"],
    "status": ["default", "tiphys-home"],
    "version": ["tiphys"],
    "integration list": ["mlflow", "pandas"],
    "artifact-store list": ["default"],
    "artifact-store flavors": ["local"],
    "artifact-store describe default": ["default", "local"],
    "model-deployer flavors": ["mlflow"],
}


def test_every_command_in_every_format(invoke: Invoke, two_runs: tuple[str, str]) -> None:
    problems = []
    for command, shown in COMMANDS.items():
        words = command.split()
        text = invoke(*words).output
        problems += [f"{command}: no {part!r} in\n{text}" for part in shown if part.lower() not in text.lower()]
        as_json = json.loads(invoke(*words, "-o", "json").stdout)
        if yaml.safe_load(invoke(*words, "-o", "yaml").stdout) != as_json and "status" not in command:
            problems.append(f"{command}: yaml is not what json is")
        names = invoke(*words, "-o", "name").stdout.split()
        if shown and not names:
            problems.append(f"{command} -o name: nothing")
    assert not problems, "\n".join(problems)


def test_logs(invoke: Invoke, two_runs: tuple[str, str]) -> None:
    assert invoke("runs", "logs", "one").stdout == "[load] loading 3\n[train] training\n"
    assert invoke("runs", "logs", "one", "-f", "--step", "train").stdout == "training\n"
    invoke("runs", "logs", "one", "--step", "nothing", code=2)


def test_pictures(invoke: Invoke, two_runs: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    invoke("artifact", "visualize", "page", "-o", str(page))
    assert page.read_text() == "<h1>2.25</h1>"
    written = Path(invoke("artifact", "visualize", "page:1").stdout.strip().splitlines()[-1])
    assert written.read_text() == "<h1>1.5</h1>"
    assert "0,x" in Path(invoke("artifact", "visualize", "rows").stdout.strip()).read_text()
    invoke("artifact", "visualize", "score", code=2)


def test_promotion_of_models(invoke: Invoke, two_runs: tuple[str, str]) -> None:
    invoke("model", "promote", "churn_model", "1", "production")
    assert "--force" in tiphys("model", "promote", "churn_model", "2", "production", code=2).stderr
    invoke("model", "promote", "churn_model", "latest", "production", "--force")
    versions = json.loads(invoke("model", "versions", "churn_model", "-o", "json").stdout)
    assert {version["name"]: version["stage"] for version in versions} == {"1": "archived", "2": "production"}
    invoke("model", "promote", "churn_model", "1", "nonsense", code=2)
    invoke("model", "promote", "churn_model", "7", "staging", code=2)


def test_comparison_says_all_that_differs(invoke: Invoke, two_runs: tuple[str, str]) -> None:
    found: dict[str, Any] = json.loads(invoke("runs", "compare", "one", "two", "-o", "json").stdout)
    text = json.dumps(found)
    for part in ("rate", "accuracy", "duration", "score", "sha256:"):
        assert part in text
    changed = invoke("runs", "compare", "one", "two", "--changed").stdout
    assert "rate" in changed
    assert "rows" not in changed.replace("rows:1", "")


def test_differences_in_code(invoke: Invoke, project: Path, two_runs: tuple[str, str]) -> None:
    project.write_text(PROJECT.replace("return rate * len(frame)", "return rate * len(frame) + 1"))
    tiphys("run", f"{project}:churn", "-p", "rate=0.75", "--name", "three")
    assert "code" in invoke("runs", "diff", "two", "three").stdout
    explained = invoke("cache", "explain", "three", "train").stdout
    assert "code" in explained
    assert "rate" not in explained.replace("0.75", "").split("code", 1)[0]


def test_stopping_and_deleting(invoke: Invoke, two_runs: tuple[str, str]) -> None:
    assert "has ended already" in invoke("runs", "stop", "one").stdout
    invoke("artifact", "delete", "score:1", "--yes")
    invoke("runs", "delete", "one", "--yes")
    assert invoke("runs", "list", "-o", "name").stdout == "two\n"
    invoke("artifact", "delete", "score:1", "--yes")
    assert json.loads(invoke("artifact", "versions", "score", "-o", "json").stdout)[0]["version"] == "2"
    invoke("artifact", "gc", "--yes")
    invoke("model", "delete", "churn_model", "--yes")
    assert json.loads(invoke("model", "list", "-o", "json").stdout) == []
    invoke("tag", "create", "fresh")
    invoke("tag", "delete", "fresh", "--yes")


def test_stacks(invoke: Invoke, project: Path, tmp_path: Path) -> None:
    invoke("artifact-store", "register", "elsewhere", "--flavor=local", f"--path={tmp_path / 'b'}")
    invoke("stack", "register", "second", "-a", "elsewhere")
    assert "second" in invoke("stack", "list", "-o", "name").stdout.split()
    invoke("run", f"{project}:other", "--stack", "second", "--name", "there")
    assert json.loads(invoke("runs", "show", "there", "-o", "json").stdout)["stack"] == "second"
    invoke("stack", "set", "second")
    assert invoke("stack", "active", "-o", "name").stdout == "second\n"
    assert "elsewhere" in invoke("stack", "describe", "second").stdout
    invoke("stack", "copy", "second", "third")
    invoke("stack", "delete", "third", "--yes")
    invoke("stack", "set", "default")
    invoke("stack", "delete", "second", "--yes")
    invoke("artifact-store", "delete", "elsewhere", "--yes")
    invoke("stack", "register", "broken", "-a", "nowhere", code=2)
    invoke("artifact-store", "register", "broken", "--flavor=nothing", code=2)


def test_a_home_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "file" / "home"))
    told = invoke("runs", "list", code=2).stderr
    assert "cannot be made: Not a directory." in told
    assert "TIPHYS_HOME" in told


def test_a_projects_own_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIPHYS_HOME")
    tiphys("init")
    tiphys("init")
    tiphys("run", f"{project}:other", "--name", "mine")
    assert (project.parent / ".tiphys" / "tiphys.db").exists()
    (project.parent / "deeper").mkdir()
    monkeypatch.chdir(project.parent / "deeper")
    assert tiphys("runs", "list", "-o", "name").stdout == "mine\n"
    assert str(project.parent / ".tiphys") in tiphys("status").stdout
