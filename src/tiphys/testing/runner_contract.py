"""What every runner of Python steps must do.

A runner's test class inherits the suite and makes the runner::

    class TestMyRunner(RunnerContract):
        def make_runner(self, home):
            return MyRunner(home)
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine.events import TaskFinished, TaskProgressed, TaskReady
from tiphys.engine.model import Phase
from tiphys.ports.artifact_store import ArtifactStore
from tiphys.ports.runner import Runner, Task
from tiphys.ports.step_result import StepResult
from tiphys.records.artifacts import ArtifactRef
from tiphys.sdk.components import components_of
from tiphys.sdk.materializing import load_value
from tiphys.testing.stored_logs import read_log
from tiphys.testing.tasks import components, step_task

#: Seconds after which something that should have happened counts as missing.
LONG = 60.0


class Desk:
    """Stands for the controller: launches tasks and collects their reports.

    Args:
        runner: What is tested.
        home: Where artifacts and logs go.
    """

    def __init__(self, runner: Runner, home: Path) -> None:
        self.runner = runner
        self.home = home
        self.reports: queue.SimpleQueue[TaskFinished | TaskReady | TaskProgressed] = queue.SimpleQueue()

    def task(self, function: Callable[..., Any], **rest: Any) -> Task:
        return step_task(function, home=self.home, **rest)

    def launch(self, function: Callable[..., Any], **rest: Any) -> Task:
        task = self.task(function, **rest)
        self.runner.launch(task, self.reports.put)
        return task

    def next_report(self) -> TaskFinished:
        report = self.reports.get(timeout=LONG)
        assert isinstance(report, TaskFinished)
        return report

    def run(self, function: Callable[..., Any], **rest: Any) -> TaskFinished:
        task = self.launch(function, **rest)
        finished = self.next_report()
        assert finished.task_id == task.id
        return finished

    def no_more_reports(self) -> bool:
        return self.reports.empty()

    @property
    def store(self) -> ArtifactStore:
        return components_of({"components": components(self.home)}).store

    def value(self, finished: TaskFinished, output: str = "output") -> Any:
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        reference = finished.outputs.artifacts[output]
        assert isinstance(reference, dict)
        return load_value(ArtifactRef.from_json(reference), self.store)

    def log(self, finished: TaskFinished) -> list[tuple[str, str]]:
        digest = result(finished).log_digest
        return [] if digest is None else [(line.source, line.text) for line in read_log(self.store, digest)]


def result(finished: TaskFinished) -> StepResult:
    """What the step left behind."""
    assert isinstance(finished.details, StepResult)
    return finished.details


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait for something that happens elsewhere."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def add(a: int, b: int = 1) -> int:
    """A step that can be imported."""
    return a + b


class RunnerContract(ABC):
    """The suite."""

    @abstractmethod
    def make_runner(self, home: Path) -> Runner:
        """A fresh runner."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[Desk]:
        runner = self.make_runner(tmp_path)
        yield Desk(runner, tmp_path)
        runner.close()

    def test_it_has_a_name(self, desk: Desk) -> None:
        assert desk.runner.name

    def test_success(self, desk: Desk) -> None:
        finished = desk.run(add, parameters={"a": 2})
        assert desk.value(finished) == 3
        assert result(finished).outputs[0].ref.name == "p::add::output"
        assert result(finished).started_at <= result(finished).finished_at

    def test_launching_returns_at_once(self, desk: Desk, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def wait() -> None:
            wait_until(go.exists)

        desk.launch(wait, outputs=())
        assert desk.no_more_reports()
        go.touch()
        assert desk.next_report().phase is Phase.SUCCEEDED

    def test_failure_shows_the_users_frames(self, desk: Desk) -> None:
        code = "def inner():\n    raise ValueError('no good')\ndef outer() -> None:\n    inner()\n"
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(code, "/project/steps.py", "exec"), names)  # noqa: S102  # this file itself is no user's code
        finished = desk.run(names["outer"], outputs=())
        assert (finished.phase, finished.message, finished.retryable) == (Phase.FAILED, "ValueError: no good", True)
        told = result(finished).exception
        assert told is not None
        assert (told["type"], told["location"]) == ("ValueError", "/project/steps.py:2")
        frames = [line.strip() for line in told["traceback"].splitlines() if line.startswith("  File")]
        assert frames == [
            'File "/project/steps.py", line 4, in outer',
            'File "/project/steps.py", line 2, in inner',
        ]

    def test_filters_of_exceptions_are_obeyed(self, desk: Desk) -> None:
        def step() -> None:
            raise ValueError

        assert not desk.run(step, outputs=(), body={"retry": {"never": ["ValueError"]}}).retryable

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt_is_reported_and_final(self, desk: Desk, error: type[BaseException]) -> None:
        def step() -> None:
            raise error

        finished = desk.run(step, outputs=())
        assert (finished.phase, finished.retryable) == (Phase.FAILED, False)
        assert desk.value(desk.run(add, parameters={"a": 1})) == 2

    def test_functions_that_cannot_be_imported(self, desk: Desk) -> None:
        factor = 3

        def nested(x: int) -> int:
            return x * factor

        assert desk.value(desk.run(nested, parameters={"x": 4})) == 12

    def test_logs_are_kept(self, desk: Desk) -> None:
        def step() -> None:
            print("to out")
            print("to err", file=sys.stderr)
            logging.getLogger("lib").warning("careful")

        finished = desk.run(step, outputs=())
        assert desk.log(finished) == [("stdout", "to out"), ("stderr", "to err"), ("WARNING", "lib: careful")]

    def test_logs_of_a_failure_are_kept(self, desk: Desk) -> None:
        def step() -> None:
            print("last words")
            raise ValueError

        assert desk.log(desk.run(step, outputs=())) == [("stdout", "last words")]

    def test_output_is_shown(self, desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
        def step() -> None:
            print("seen by people")

        desk.run(step, outputs=())
        wait_until(lambda: "seen by people" in capfd.readouterr().out)

    def test_one_id_is_carried_out_once(self, desk: Desk, tmp_path: Path) -> None:
        noted, go = tmp_path / "noted", tmp_path / "go"

        def step() -> None:
            with noted.open("a") as file:
                file.write("x")
            wait_until(go.exists)

        task = desk.launch(step, outputs=())
        desk.runner.launch(task, desk.reports.put)
        wait_until(noted.exists)
        desk.runner.launch(task, desk.reports.put)
        go.touch()
        assert desk.next_report().phase is Phase.SUCCEEDED
        assert noted.read_text() == "x"

    def test_an_ended_id_is_reported_again(self, desk: Desk, tmp_path: Path) -> None:
        noted = tmp_path / "noted"

        def step() -> None:
            with noted.open("a") as file:
                file.write("x")

        task = desk.launch(step, outputs=())
        first = desk.next_report()
        desk.runner.launch(task, desk.reports.put)
        assert desk.next_report() == first
        assert noted.read_text() == "x"

    def test_a_sleeping_step_is_cancelled(self, desk: Desk, tmp_path: Path) -> None:
        started, cleaned = tmp_path / "started", tmp_path / "cleaned"

        def step() -> None:
            try:
                started.touch()
                while True:
                    time.sleep(0.01)
            finally:
                cleaned.touch()

        task = desk.launch(step, outputs=())
        wait_until(started.exists)
        desk.runner.cancel(task.id, 10)
        wait_until(cleaned.exists)
        assert desk.value(desk.run(add, parameters={"a": 1})) == 2
        assert desk.no_more_reports()

    def test_cancelling_what_is_unknown_or_over_does_nothing(self, desk: Desk) -> None:
        desk.runner.cancel("w/n/0", 1)
        task = desk.launch(add, parameters={"a": 1})
        desk.next_report()
        desk.runner.cancel(task.id, 1)
        assert desk.value(desk.run(add, parameters={"a": 1})) == 2

    def test_a_task_that_was_not_begun_is_cancelled(self, desk: Desk, tmp_path: Path) -> None:
        noted = tmp_path / "noted"

        def step(x: int) -> None:
            if x == 29:
                noted.touch()

        for number in range(30):
            task = desk.launch(step, parameters={"x": number}, outputs=())
        desk.runner.cancel(task.id, 0)
        reported = {desk.next_report().task_id for _ in range(29)}
        assert task.id not in reported
        assert len(reported) == 29

    def test_tasks_run_at_the_same_time(self, desk: Desk, tmp_path: Path) -> None:
        def meet(me: str, other: str) -> None:
            (tmp_path / me).touch()
            wait_until((tmp_path / other).exists)

        desk.launch(meet, parameters={"me": "a", "other": "b"}, outputs=())
        desk.launch(meet, parameters={"me": "b", "other": "a"}, outputs=())
        assert {desk.next_report().phase for _ in range(2)} == {Phase.SUCCEEDED}

    def test_fifty_at_once(self, desk: Desk) -> None:
        tasks = {}
        for number in range(50):
            tasks[desk.launch(add, parameters={"a": number}, name=f"s{number}").id] = number + 1
        ends = [desk.next_report() for _ in tasks]
        assert {end.task_id: desk.value(end) for end in ends} == tasks

    def test_tasks_that_it_has_are_taken_up_again(self, desk: Desk, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def wait() -> int:
            wait_until(go.exists)
            return 5

        running = desk.launch(wait)
        unknown = replace(running, id="w/other/0")
        later: queue.SimpleQueue[TaskFinished | TaskReady | TaskProgressed] = queue.SimpleQueue()
        wait_until(lambda: desk.runner.reattach([running, unknown], later.put) == {running.id})
        go.touch()
        report = later.get(timeout=LONG)
        assert isinstance(report, TaskFinished)
        assert desk.value(report) == 5
        assert desk.no_more_reports()

    def test_closing_ends_what_runs(self, tmp_path: Path) -> None:
        runner = self.make_runner(tmp_path)
        desk = Desk(runner, tmp_path)
        started, ended = tmp_path / "started", tmp_path / "ended"

        def step() -> None:
            try:
                started.touch()
                while True:
                    time.sleep(0.01)
            finally:
                ended.touch()

        desk.launch(step, outputs=())
        wait_until(started.exists)
        runner.close()
        wait_until(ended.exists)
        assert desk.no_more_reports()

    def test_closing_twice_and_unused(self, tmp_path: Path) -> None:
        runner = self.make_runner(tmp_path)
        runner.close()
        runner.close()

    def test_the_environment_and_the_folder_are_the_callers(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def step() -> list[str | None]:
            return [os.environ.get("TIPHYS_TEST_X"), str(Path.cwd())]

        monkeypatch.setenv("TIPHYS_TEST_X", "1")
        monkeypatch.chdir(tmp_path)
        assert desk.value(desk.run(step)) == ["1", str(tmp_path)]
        monkeypatch.setenv("TIPHYS_TEST_X", "2")
        assert desk.value(desk.run(step)) == ["2", str(tmp_path)]

    def test_a_step_that_leaves_a_thread_behind_ends(self, desk: Desk) -> None:
        def step() -> int:
            threading.Thread(target=time.sleep, args=[3600], daemon=True).start()
            return 1

        assert desk.value(desk.run(step)) == 1
