"""`tiphys step run`: exit codes, and what it tells."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tiphys.cli.main import main
from tiphys.errors import UsageError

MODULE = """
def double(x: int) -> int:
    print("doubling", x)
    return 2 * x

def fail():
    raise KeyError("not there")

def hook():
    raise ValueError("hooks may fail")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory, which is not on the path."""
    name = "steps_of_test_step"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def run(source: str, *options: str, **body: Any) -> Result:
    text = json.dumps({"step": "s", "pipeline": "p", "inputs": {}, "outputs": [], **body})
    arguments = ["step", "run", source, "--body", text, "--root", "files", *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_step_that_succeeds(module: str, tmp_path: Path) -> None:
    inputs, outputs = {"x": {"kind": "parameter"}}, [{"name": "o", "exposed": True}]
    ended = run(f"{module}:double", "--parameter", "x=21", inputs=inputs, outputs=outputs)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "doubling 21\n", "")
    assert (tmp_path / "files" / "parameters" / "o").read_text() == "42"


@pytest.mark.parametrize(
    ("retry", "code"), [({}, 1), ({"never": ["builtins:KeyError"]}, 3), ({"only": ["builtins:OSError"]}, 3)]
)
def test_a_step_that_fails_shows_the_users_traceback(module: str, retry: dict[str, Any], code: int) -> None:
    ended = run(f"{module}:fail", retry=retry, hooks={"on_failure": f"{module}:hook"})
    assert ended.exit_code == code
    lines = ended.stderr.splitlines()
    assert lines[0] == "The hook on_failure failed: ValueError: hooks may fail"
    assert lines[1] == "Traceback (most recent call last):"
    assert f'{module}.py", line 7, in fail' in lines[2]
    assert lines[-1] == "KeyError: 'not there'"
    assert "runtime.py" not in ended.stderr


def test_a_function_that_is_not_there(module: str) -> None:
    ended = run(f"{module}:missing")
    assert ended.exit_code == 1
    assert f"The function '{module}:missing' cannot be found" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--body", "{"], "--body is no JSON"),
        (["--body", "[]"], "--body does not describe a step"),
        (["--body", '{"step": "s"}', "--parameter", "x"], "A parameter is given as NAME=JSON, not 'x'"),
    ],
)
def test_what_is_refused(module: str, arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(main, ["step", "run", f"{module}:double", *arguments])
    assert ended.exit_code == UsageError.exit_code
    assert said in ended.stderr


def test_it_is_not_listed() -> None:
    assert "\n  step " not in CliRunner().invoke(main, ["--help"]).stdout
