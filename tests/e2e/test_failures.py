"""What a person sees when a step fails: their own lines, the step, the run, and the command that shows its log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.programs import PATIENCE, start_script, tiphys

SCRIPT = """\
import sys

import pandas as pd

from tiphys import pipeline, step


@step
def load() -> pd.DataFrame:
    print("loading")
    return pd.DataFrame({"a": [1, 2]})


def pick(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column]


@step
def total(frame: pd.DataFrame) -> int:
    print("adding up")
    return int(pick(frame, "b").sum())


@pipeline(runner=RUNNER)
def churn() -> None:
    total(load())


if __name__ == "__main__":
    churn.with_options(run_name="first")()
"""

EXPECTED = """\
The run 'first' failed in step 'total': KeyError: 'b'

Traceback (most recent call last):
  …
KeyError: 'b'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "project.py", line 21, in total
    return int(pick(frame, "b").sum())
               ^^^^^^^^^^^^^^^^
  File "project.py", line 15, in pick
    return frame[column]
           ~~~~~^^^^^^^^
  …
KeyError: 'b'

  tiphys runs logs first --step total
"""


def folded(text: str, folder: Path) -> str:
    """The text without what depends on the machine: folders, and the lines of libraries."""
    text = text.replace(f"{folder}/", "")
    # A frame of a library, with its source lines, or a fold of several.
    foreign = r'(?:  File "(?:/|pandas/)[^"]*", line \d+, in \S+\n(?:    .*\n)*|  … \d+ frames in \S+ …\n)'
    return re.sub(f"(?:{foreign})+", "  …\n", text)


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_a_script_whose_step_fails(tmp_path: Path, runner: str) -> None:
    script = tmp_path / "project.py"
    script.write_text(SCRIPT.replace("RUNNER", repr(runner)))
    process = start_script(script)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    told = errors[errors.index("The run 'first'") :]
    assert folded(told, tmp_path) == EXPECTED
    # The rest is Python's own way of showing an error of the script: its last line, without our frames.
    before = errors[: errors.index("The run 'first'")]
    assert f'File "{script}", line 30, in <module>' in before
    assert before.count('  File "') == 2  # the script's line, and the one that raised


@pytest.mark.parametrize("runner", ["inline", "process"])
def test_the_command_line_when_a_step_fails(tmp_path: Path, runner: str) -> None:
    script = tmp_path / "project.py"
    script.write_text(SCRIPT.replace("RUNNER", repr(runner)))
    done = tiphys("run", str(script), "--name", "first", code=1)
    told = done.stderr[done.stderr.index("The run 'first'") :]
    assert folded(told, tmp_path) == EXPECTED.replace("  tiphys runs", "Hint: tiphys runs")
    assert "site-packages/click" not in done.stderr
    command = told.rstrip().splitlines()[-1].split()[2:]
    assert tiphys(*command).stdout.splitlines()[0] == "adding up"
    shown = tiphys("runs", "show", "first").stdout
    assert "return frame[column]" in shown
    assert "KeyError: 'b'" in shown
