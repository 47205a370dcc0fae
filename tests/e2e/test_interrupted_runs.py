"""Runs whose process died, and the commands for them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.programs import PATIENCE, ended_at_last, start_script, tiphys, wait_until
from tests.scenarios.helpers import statuses
from tiphys import Client
from tiphys.sdk.session import current_backend
from tiphys.services.backend import LocalBackend

RUNNERS = pytest.mark.parametrize("runner", ["inline", "process"])

SCRIPT = """
import os, sys, time
from tiphys import pipeline, step

def note(word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(word + "\\n")

@step(enable_cache=False)
def first() -> int:
    note("first")
    return 1

@step(enable_cache=False)
def second(x: int) -> int:
    note("second")
    while not os.path.exists(os.environ["NOTES"] + ".go"):
        time.sleep(0.01)
    return x + 1

@step(enable_cache=False)
def third(x: int) -> int:
    note("third")
    return x + 1

@pipeline
def p() -> None:
    third(second(first()))

if __name__ == "__main__":
    p.with_options(runner=sys.argv[1])()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "project.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


def words(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


def shutdown() -> str:
    """How the newest run's engine was told to end."""
    backend = current_backend()
    assert isinstance(backend, LocalBackend)
    with backend.store.reader() as reader:
        stored = reader.load_workflow(Client().list_pipeline_runs()[0].workflow_uid)
    assert stored is not None
    return stored.state.shutdown


def allow(notes: Path) -> None:
    Path(f"{notes}.go").touch()


def start_and_kill(script: Path, runner: str, notes: Path) -> None:
    with ended_at_last(start_script(script, runner)) as process:
        wait_until(lambda: "second" in words(notes), "the second step", process)
        process.send_signal(signal.SIGKILL)


@RUNNERS
def test_an_interrupted_run_is_told_and_resumed(script: Path, notes: Path, runner: str) -> None:
    start_and_kill(script, runner, notes)
    assert "interrupted" in tiphys("runs", "list").stdout
    assert "tiphys runs resume" in tiphys("runs", "show").stdout
    allow(notes)
    tiphys("runs", "resume", "latest")
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) == "completed"
    assert statuses(run) == dict.fromkeys(("first", "second", "third"), "completed")
    assert run.steps["third"].output.load() == 3
    assert words(notes).count("first") == 1
    assert words(notes).count("third") == 1
    # A step's own process survives, and is not begun again.
    assert words(notes).count("second") == (2 if runner == "inline" else 1)


@RUNNERS
def test_an_interrupted_run_is_stopped(script: Path, notes: Path, runner: str) -> None:
    start_and_kill(script, runner, notes)
    tiphys("runs", "stop", "latest")
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) == "stopped"
    allow(notes)
    with ended_at_last(start_script(script, runner)) as again:
        again.communicate(timeout=PATIENCE)
        assert again.returncode == 0
    assert [str(run.status) for run in Client().list_pipeline_runs()] == ["completed", "stopped"]


@RUNNERS
def test_a_graceful_stop_lets_the_running_step_end(script: Path, notes: Path, runner: str) -> None:
    with ended_at_last(start_script(script, runner)) as process:
        wait_until(lambda: "second" in words(notes), "the second step", process)
        tiphys("runs", "stop", "latest", "--graceful")
        wait_until(lambda: shutdown() == "Drain", "the owner to notice", process)
        allow(notes)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
    run = Client().list_pipeline_runs()[0]
    found = statuses(run)
    assert (found["first"], found["second"]) == ("completed", "completed")
    assert "third" not in words(notes)
    assert str(run.status) == "stopped"
