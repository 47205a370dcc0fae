"""`tiphys run` and what follows it, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tiphys.cli

PROJECT = """
from typing import Annotated
from tiphys.sdk.pipeline import pipeline
from tiphys.sdk.step import step

@step
def load(n: int) -> list[int]:
    print("loading", n)
    return list(range(n))

@step
def total(rows: list[int], fail: bool) -> Annotated[int, "total"]:
    if fail:
        raise ValueError("no total today")
    return sum(rows)

@pipeline
def churn(n: int, fail: bool = False):
    total(load(n), fail)
"""

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Call the command line in a project that has a `train.py`."""
    (tmp_path / "train.py").write_text(PROJECT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(tiphys.cli.__file__).parents[2]),
        "TIPHYS_HOME": str(tmp_path / "home"),
        "TIPHYS_PROGRESS": "plain",
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tiphys", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_run_is_shown_recorded_cached_and_compared(call: Call) -> None:
    first = call("run", "train.py", "-p", "n=4", "--name", "first", "-o", "name")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "first\n"
    assert "loading 4" in first.stderr.splitlines()
    lines = [line for line in first.stderr.splitlines() if line != "loading 4"]
    assert lines[0] == "Run first of pipeline churn"
    assert [line.split()[:2] for line in lines if line[0] == "✓"][:2] == [["✓", "load"], ["✓", "total"]]
    assert lines[-1].startswith("✓ Run first completed in ")
    assert lines[-1].endswith("(2 of 2 steps)")

    second = call("run", "train.py:churn", "-p", "n=4", "-p", "fail=true", "--name", "second")
    assert second.returncode == 1
    assert "ValueError: no total today" in second.stderr
    assert second.stderr.splitlines()[1] == "● load  cached"
    assert "\nHint: tiphys runs " in second.stderr
    assert "lazy.py" not in second.stderr

    shown = json.loads(call("runs", "show", "first", "-o", "json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["completed", "completed"]
    shown = json.loads(call("runs", "show", "second", "-o", "json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["cached", "failed"]
    assert call("runs", "logs", "first").stdout == "[load] loading 4\n"
    explained = call("cache", "explain", "second", "total").stdout
    assert "parameter fail changed: false → true" in explained
    assert "* " in call("runs", "compare", "first", "second").stdout


def test_what_is_wrong_is_said_before_anything_runs(call: Call) -> None:
    for arguments, message in (
        (["train.py"], "Pipeline churn needs n."),
        (["train.py", "-p", "n=many"], "Parameter 'n'"),
        (["trin.py"], "Did you mean train.py?"),
        (["train.py", "-p", "n=1", "--stack", "nowhere"], "nowhere"),
    ):
        done = call("run", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert done.stderr.startswith("Error: ")
    assert call("runs", "list").stderr == "No runs.\n"
