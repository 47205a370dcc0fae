"""Scenarios 9 to 13: failures, retries and hooks."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.scenarios.helpers import statuses
from tiphys import Client, ExecutionMode, StepRetryConfig, pipeline, step
from tiphys.errors import RunFailedError


def run_diamond(mode: ExecutionMode) -> Any:
    """1 → (2, 3, 4) → (5, 6, 7) → 8, where 2 fails at once."""

    @step(enable_cache=False)
    def work(n: int, seconds: float, inputs: list[int]) -> int:
        if n == 2:
            time.sleep(0.1)
            raise RuntimeError("two fails")
        time.sleep(seconds)
        return n

    @pipeline(execution_mode=mode, parallelism=4)
    def diamond() -> None:
        one = work(1, 0.0, [], id="s1")
        two, three, four = (work(n, 0.6, [one], id=f"s{n}") for n in (2, 3, 4))
        five, six, seven = (work(n, 0.0, [up], id=f"s{n}") for n, up in ((5, two), (6, three), (7, four)))
        work(8, 0.0, [five, six, seven], id="s8")

    with pytest.raises(RunFailedError, match="two fails"):
        diamond()
    return Client().list_pipeline_runs()[0]


def test_09_fail_fast() -> None:
    run = run_diamond(ExecutionMode.FAIL_FAST)
    assert str(run.status) == "failed"
    assert statuses(run) == {"s1": "completed", "s2": "failed", "s3": "stopped", "s4": "stopped"}


def test_09_stop_on_failure() -> None:
    run = run_diamond(ExecutionMode.STOP_ON_FAILURE)
    assert str(run.status) == "failed"
    assert statuses(run) == {"s1": "completed", "s2": "failed", "s3": "completed", "s4": "completed"}


def test_09_continue_on_failure() -> None:
    run = run_diamond(ExecutionMode.CONTINUE_ON_FAILURE)
    assert str(run.status) == "failed"
    assert statuses(run) == {
        "s1": "completed",
        "s2": "failed",
        "s3": "completed",
        "s4": "completed",
        "s5": "skipped",
        "s6": "completed",
        "s7": "completed",
        "s8": "skipped",
    }


def test_10_a_mode_that_the_orchestrator_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiphys.integrations.local.orchestrator import LocalOrchestrator

    calls: list[int] = []

    @step
    def s() -> int:
        calls.append(1)
        return 1

    @pipeline(execution_mode=ExecutionMode.FAIL_FAST)
    def p() -> None:
        s()

    monkeypatch.setattr(
        LocalOrchestrator, "supported_execution_modes", frozenset({ExecutionMode.CONTINUE_ON_FAILURE.value})
    )
    with pytest.raises(ValueError, match="FAIL_FAST|fail_fast"):
        p()
    assert calls == []


class Flaky:
    """Fails a given number of times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.moments: list[float] = []

    def __call__(self) -> int:
        self.moments.append(time.monotonic())
        if len(self.moments) <= self.failures:
            raise RuntimeError(f"failure {len(self.moments)}")
        return 1


def attempts(run: Any, name: str) -> list[str]:
    return [
        str(found.status) for found in Client().list_run_steps(pipeline_run_id=run.id, name=name, sort_by="asc:created")
    ]


def test_11_two_failures_then_success() -> None:
    flaky = Flaky(2)

    @step(retry=StepRetryConfig(max_retries=2, delay=0.1, backoff=3), enable_cache=False)
    def s() -> int:
        return flaky()

    @pipeline
    def p() -> None:
        s()

    run = p()
    assert str(run.status) == "completed"
    assert attempts(run, "s") == ["retried", "retried", "completed"]
    first, second = (b - a for a, b in zip(flaky.moments, flaky.moments[1:], strict=False))
    assert first >= 0.1
    assert second >= 0.3


def test_11_always_failing_has_three_attempts() -> None:
    flaky = Flaky(99)

    @step(retry=StepRetryConfig(max_retries=2, delay=0), enable_cache=False)
    def s() -> int:
        return flaky()

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError, match="failure 3"):
        p()
    run = Client().list_pipeline_runs()[0]
    assert attempts(run, "s") == ["retried", "retried", "failed"]
    assert str(run.status) == "failed"


def test_11_an_excluded_exception_is_not_retried() -> None:
    flaky = Flaky(99)

    @step(retry=StepRetryConfig(max_retries=5, delay=0, never=[RuntimeError]), enable_cache=False)
    def s() -> int:
        return flaky()

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError):
        p()
    assert len(flaky.moments) == 1


def test_12_hooks_of_a_retried_step() -> None:
    flaky, seen = Flaky(2), []

    @step(
        retry=StepRetryConfig(max_retries=2, delay=0),
        enable_cache=False,
        on_start=lambda: seen.append("start"),
        on_end=lambda: seen.append("end"),
        on_success=lambda: seen.append("success"),
        on_failure=lambda error: seen.append(f"failure {error}"),
    )
    def s() -> int:
        return flaky()

    @pipeline
    def p() -> None:
        s()

    p()
    assert sorted(seen) == ["end"] * 3 + ["start"] * 3 + ["success"]


def test_12_terminal_failure_calls_on_failure_once_with_the_exception() -> None:
    flaky, seen = Flaky(99), []

    @step(
        retry=StepRetryConfig(max_retries=2, delay=0), enable_cache=False, on_failure=lambda error: seen.append(error)
    )
    def s() -> int:
        return flaky()

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError):
        p()
    assert [(type(error), str(error)) for error in seen] == [(RuntimeError, "failure 3")]


def test_12_a_raising_hook_leaves_the_step_unaffected() -> None:
    def hook() -> None:
        raise ValueError("bad hook")

    @step(on_success=hook)
    def s() -> int:
        return 1

    @pipeline
    def p() -> None:
        s()

    run = p()
    assert statuses(run) == {"s": "completed"}
    assert "bad hook" in run.steps["s"].hook_errors["on_success"]


def test_12_on_success_comes_after_the_outputs_are_stored() -> None:
    seen: list[str] = []

    class Unsavable:
        def __reduce__(self) -> str:
            raise TypeError("cannot be saved")

    @step(on_success=lambda: seen.append("success"), on_failure=lambda: seen.append("failure"))
    def s() -> Any:
        return Unsavable()

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError):
        p()
    assert seen == ["failure"]


def test_13_a_pipelines_hook_is_each_steps_default() -> None:
    seen: list[str] = []

    @step(enable_cache=False)
    def good() -> int:
        return 1

    @step(enable_cache=False, on_failure=lambda: seen.append("own"))
    def own(x: int) -> int:
        raise RuntimeError("own")

    @step(enable_cache=False)
    def default(x: int) -> int:
        raise RuntimeError("default")

    @pipeline(on_failure=lambda: seen.append("pipeline"), execution_mode=ExecutionMode.CONTINUE_ON_FAILURE)
    def p() -> None:
        x = good()
        own(x)
        default(x)

    with pytest.raises(RunFailedError):
        p()
    assert sorted(seen) == ["own", "pipeline"]
