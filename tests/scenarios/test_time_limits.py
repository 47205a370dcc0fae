"""Step and pipeline time limits, in each runner, with and without retries."""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.scenarios.helpers import statuses
from tiphys import Client, ExecutionMode, StepRetryConfig, pipeline, step
from tiphys.errors import RunFailedError

RUNNERS = pytest.mark.parametrize("runner", ["inline", "process"])
#: Much longer than a test may take.
LONG = 300.0


@step(enable_cache=False)
def sleep(seconds: float, before: int = 0) -> int:
    time.sleep(seconds)
    return 1


def attempts(name: str) -> list[str]:
    run = Client().list_pipeline_runs()[0]
    return [str(s.status) for s in Client().list_run_steps(pipeline_run_id=run.id, name=name, sort_by="asc:created")]


@RUNNERS
def test_a_step_that_takes_too_long_fails_and_what_follows_is_not_begun(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        late = sleep.with_options(timeout=0.2)(LONG, id="late")
        sleep(0, late, id="follows")
        sleep(0, id="quick")

    with pytest.raises(RunFailedError, match="'late'.*deadline"):
        p()
    run = Client().list_pipeline_runs()[0]
    assert str(run.status) == "failed"
    assert statuses(run) == {"late": "failed", "quick": "completed", "follows": "skipped"}


@RUNNERS
def test_each_attempt_has_the_whole_time(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        sleep.with_options(timeout=0.2, retry=StepRetryConfig(max_retries=2, delay=0))(LONG)

    with pytest.raises(RunFailedError, match="deadline"):
        p()
    assert attempts("sleep") == ["retried", "retried", "failed"]


def test_an_attempt_that_is_quick_enough_ends_it() -> None:
    began: list[float] = []

    @step(enable_cache=False, timeout=0.3, retry=StepRetryConfig(max_retries=1, delay=0))
    def slow_at_first() -> int:
        began.append(time.monotonic())
        time.sleep(LONG if len(began) == 1 else 0)
        return 1

    @pipeline
    def p() -> None:
        slow_at_first()

    assert str(p().status) == "completed"
    assert attempts("slow_at_first") == ["retried", "completed"]


@RUNNERS
def test_a_pipeline_that_takes_too_long(runner: str) -> None:
    @pipeline(runner=runner, timeout=0.5)
    def p() -> None:
        sleep(LONG, sleep(0, id="quick"), id="late")
        sleep(LONG, id="beside")

    with pytest.raises(RunFailedError, match="deadline"):
        p()
    run = Client().list_pipeline_runs()[0]
    found = statuses(run)
    assert str(run.status) == "failed"
    found.pop("quick")  # on a busy machine it may be too late, too
    assert set(found.values()) <= {"failed", "stopped"}
    assert found["beside"] in ("failed", "stopped")


def test_the_main_thread_is_really_interrupted() -> None:
    """A single step runs in the main thread; its sleep ends with its time, and so does the run."""
    seen: list[object] = []

    @step(enable_cache=False, timeout=0.2)
    def late() -> int:
        seen.append(threading.current_thread())
        try:
            time.sleep(LONG)
        finally:
            seen.append("left")
        return 1

    @pipeline(parallelism=1)
    def p() -> None:
        late()

    with pytest.raises(RunFailedError, match="deadline"):
        p()
    assert seen == [threading.main_thread(), "left"]


def test_other_branches_go_on_after_a_time_limit() -> None:
    @pipeline(execution_mode=ExecutionMode.CONTINUE_ON_FAILURE)
    def p() -> None:
        sleep.with_options(timeout=0.1)(LONG, id="late")
        sleep(0, sleep(0.3, id="other"), id="follows")

    with pytest.raises(RunFailedError, match="late"):
        p()
    found = statuses(Client().list_pipeline_runs()[0])
    assert found == {"late": "failed", "other": "completed", "follows": "completed"}


def test_independent_steps_run_at_the_same_time_by_default() -> None:
    both = threading.Barrier(min(2, os.cpu_count() or 1), timeout=30)

    @step(enable_cache=False)
    def meet() -> int:
        both.wait()
        return 1

    @pipeline
    def p() -> None:
        meet()
        meet()

    assert str(p().status) == "completed"


def test_one_at_a_time_is_the_main_thread() -> None:
    threads: list[object] = []

    @step(enable_cache=False)
    def where() -> int:
        threads.append(threading.current_thread())
        return 1

    @pipeline(parallelism=1)
    def p() -> None:
        for _ in range(4):
            where()

    p()
    assert threads == [threading.main_thread()] * 4


def test_no_more_steps_than_cores_run_at_once_by_default() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    @step(enable_cache=False)
    def count(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return number

    @pipeline
    def p() -> None:
        for number in range(12):
            count(number)

    p()
    assert most[0] <= (os.cpu_count() or 1)
