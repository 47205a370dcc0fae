"""Ctrl-C, debuggers, and stopping a run from another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.programs import PATIENCE, ended_at_last, start_script, tiphys, wait_until
from tests.scenarios.helpers import statuses
from tiphys import Client

RUNNERS = pytest.mark.parametrize("runner", ["inline", "process"])

SLEEPER = """
import os, sys, time
from tiphys import StepRetryConfig, pipeline, step

def note(word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{word} {os.getpid()}\\n")

@step(enable_cache=False, retry=StepRetryConfig(max_retries=5, delay=0))
def sleeper(before: int = 0) -> int:
    note("begin")
    print("asleep", flush=True)
    time.sleep(300)
    note("end")
    return 1

@pipeline(runner=sys.argv[1])
def p(beside: bool):
    first = sleeper()
    sleeper(first)
    if beside:
        sleeper()

p(len(sys.argv) > 2)
"""


def begun(notes: Path) -> list[int]:
    """Processes that began a step."""
    return [int(line.split()[1]) for line in notes.read_text().splitlines()] if notes.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@RUNNERS
@pytest.mark.parametrize("beside", [False, True])
def test_ctrl_c_ends_the_run_and_everything_it_started(tmp_path: Path, runner: str, beside: bool) -> None:
    script, notes = tmp_path / "project.py", tmp_path / "notes"
    script.write_text(SLEEPER)
    arguments = [runner, *(["beside"] if beside else [])]
    with ended_at_last(start_script(script, *arguments, NOTES=str(notes))) as process:
        wait_until(lambda: len(begun(notes)) == 1 + beside, "the step", process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGINT, output + errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) in ("stopped", "failed")
    assert set(statuses(run).values()) <= {"stopped", "failed", "skipped"}
    attempts = Client().list_run_steps(pipeline_run_id=run.id)
    assert {step.version for step in attempts} == {1}
    assert "retried" not in {str(step.status) for step in attempts}
    pids = begun(notes)
    assert len(pids) == 1 + beside
    wait_until(lambda: not any(map(is_running, pids)), "the end of the steps' processes")


def test_ctrl_c_of_the_command_is_exit_code_130(tmp_path: Path) -> None:
    script, notes = tmp_path / "project.py", tmp_path / "notes"
    script.write_text(SLEEPER.replace("sys.argv[1]", "'inline'").rpartition("p(len")[0])
    command = subprocess.Popen(
        [sys.executable, "-m", "tiphys", "run", str(script), "-p", "beside=false"],
        env={**os.environ, "NOTES": str(notes)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended_at_last(command):
        wait_until(lambda: begun(notes), "the step", command)
        command.send_signal(signal.SIGINT)
        output, errors = command.communicate(timeout=PATIENCE)
    assert command.returncode == 130, output + errors
    assert "Traceback" not in errors


@RUNNERS
def test_stopping_a_run_from_another_process(tmp_path: Path, runner: str) -> None:
    script, notes = tmp_path / "project.py", tmp_path / "notes"
    script.write_text(SLEEPER)
    with ended_at_last(start_script(script, runner, NOTES=str(notes))) as process:
        pids = wait_until(lambda: begun(notes), "the step", process)
        assert json.loads(tiphys("runs", "show", "latest", "-o", "json").stdout)["status"] == "running"
        tiphys("runs", "stop", "latest")
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, output + errors
        assert "stopped" in errors
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) == "stopped"
    assert statuses(run)["sleeper"] == "stopped"
    assert len(begun(notes)) == 1
    wait_until(lambda: not any(map(is_running, pids)), "the end of the steps' processes")


@RUNNERS
def test_following_a_log_while_the_run_goes_on(tmp_path: Path, runner: str) -> None:
    script, notes = tmp_path / "project.py", tmp_path / "notes"
    script.write_text(SLEEPER)
    with ended_at_last(start_script(script, runner, NOTES=str(notes))) as process:
        wait_until(lambda: begun(notes), "the step", process)
        follow = subprocess.Popen(
            [sys.executable, "-m", "tiphys", "runs", "logs", "-f"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended_at_last(follow):
            assert follow.stdout is not None
            assert follow.stdout.readline() == "[sleeper] asleep\n"
            assert follow.poll() is None
            tiphys("runs", "stop", "latest")
            follow.communicate(timeout=PATIENCE)
            assert follow.returncode == 0
        process.communicate(timeout=PATIENCE)


DEBUGGED = """
import threading
from tiphys import pipeline, step

@step(enable_cache=False)
def inspected() -> int:
    secret = 41
    assert threading.current_thread() is threading.main_thread()
    breakpoint()
    return secret + 1

@pipeline(PARALLELISM)
def p():
    inspected()

print("result", p().steps["inspected"].output.load())
"""


@pytest.mark.parametrize("options", ["parallelism=1", ""])
def test_a_breakpoint_in_a_step(tmp_path: Path, options: str) -> None:
    script = tmp_path / "project.py"
    script.write_text(DEBUGGED.replace("PARALLELISM", options))
    done = subprocess.run(
        [sys.executable, str(script)],
        input="p secret * 1000\nsecret = 99\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "(Pdb) 41000" in done.stdout
    assert "result 100" in done.stdout


def test_leaving_the_debugger_fails_the_step(tmp_path: Path) -> None:
    script = tmp_path / "project.py"
    script.write_text(DEBUGGED.replace("PARALLELISM", ""))
    done = subprocess.run(
        [sys.executable, str(script)], input="quit\n", capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode != 0
    assert "BdbQuit" in done.stderr
    assert str(Client().list_pipeline_runs()[0].status) == "failed"
