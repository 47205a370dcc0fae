"""A process that is killed in the middle of a run loses nothing and repeats no finished step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tiphys import Client

SCRIPT = """
import os, sys, time
from tiphys import pipeline, step

def note(word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(word + "\\n")

@step(enable_cache=False)
def work(number: int, before: list[int]) -> int:
    note(f"begin {number}")
    time.sleep(0.25)
    note(f"end {number}")
    return number

@pipeline(runner=sys.argv[1])
def chain() -> None:
    first = work(0, [])
    pair = [work(1, [first]), work(2, [first])]
    work(4, [work(3, pair)])

print("status", chain().status)
"""


def start(script: Path, runner: str, notes: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), runner],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NOTES": str(notes)},
    )


def wait_for_note(notes: Path, word: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not (notes.exists() and word in notes.read_text().splitlines()):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no '{word}': {process.communicate()[0]}")
        time.sleep(0.01)


@pytest.mark.parametrize("runner", ["inline", "process"])
@pytest.mark.parametrize("moment", ["begin 0", "begin 1", "end 2", "begin 4"])
def test_killed_and_started_again(tmp_path: Path, runner: str, moment: str) -> None:
    script, notes = tmp_path / "project.py", tmp_path / "notes"
    script.write_text(SCRIPT)
    first = start(script, runner, notes)
    wait_for_note(notes, moment, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()

    second = start(script, runner, notes)
    output, _ = second.communicate(timeout=120)
    assert "status completed" in output
    runs = Client().list_pipeline_runs()
    assert len(runs) == 1
    completed = Counter(
        found.name for found in Client().list_run_steps(pipeline_run_id=runs[0].id) if str(found.status) == "completed"
    )
    assert completed == {"work": 1, "work_2": 1, "work_3": 1, "work_4": 1, "work_5": 1}
    ends = Counter(line for line in notes.read_text().splitlines() if line.startswith("end"))
    assert set(ends) == {f"end {number}" for number in range(5)}
    # What had ended and was written down is not repeated; only what was running at that moment may be.
    assert sum(ends.values()) <= 7
    assert ends["end 0"] == 1 or moment == "begin 0"
