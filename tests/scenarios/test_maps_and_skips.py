"""Loops and conditions together: skips that spread, empty and failing loops, reductions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.helpers import statuses
from tiphys import Client, ExecutionMode, StepRetryConfig, pipeline, step
from tiphys.errors import RunFailedError

RUNNERS = pytest.mark.parametrize("runner", ["inline", "process"])


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def double(x: int) -> int:
    if x == 2:
        raise ValueError("two is bad")
    return 2 * x


@step
def total(xs: list[Any]) -> float:
    return sum(xs)


@step
def score(value: float) -> float:
    return value


@step
def follow(x: float, beside: float = 0.0) -> float:
    return x + beside


@step
def report() -> str:
    return "done"


def last_run() -> Any:
    return Client().list_pipeline_runs()[0]


@RUNNERS
def test_map_and_reduce(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        total(double.map(numbers(2)))

    assert p().steps["total"].output.load() == 2
    assert set(statuses(p()).values()) == {"cached"}


@pytest.mark.parametrize("mode", list(ExecutionMode))
def test_a_failing_element_fails_the_loop_and_what_reduces_it(mode: ExecutionMode) -> None:
    @pipeline(execution_mode=mode)
    def p() -> None:
        total(double.map(numbers(4)))

    with pytest.raises(RunFailedError, match="two is bad"):
        p()
    found = statuses(last_run())
    doubles = [status for name, status in found.items() if name.startswith("double")]
    assert doubles.count("failed") == 1
    if mode is ExecutionMode.CONTINUE_ON_FAILURE:
        assert sorted(doubles) == ["completed"] * 3 + ["failed"]
        assert found["total"] == "skipped"
    else:
        assert "total" not in found


def test_elements_that_succeeded_are_not_repeated() -> None:
    begun: list[int] = []
    broken = [True]

    @step(cache_policy={"include_step_code": False})
    def work(x: int) -> int:
        begun.append(x)
        if x == 1 and broken[0]:
            raise ValueError("not yet")
        return x

    @pipeline
    def p() -> None:
        total(work.map(numbers(3)))

    with pytest.raises(RunFailedError):
        p()
    broken[0] = False
    begun.clear()
    assert p().steps["total"].output.load() == 3
    assert begun == [1]


def test_each_element_is_retried_alone() -> None:
    begun: list[int] = []

    @step(retry=StepRetryConfig(max_retries=3, delay=0), enable_cache=False)
    def flaky(x: int) -> int:
        begun.append(x)
        if begun.count(x) <= x:
            raise ValueError("again")
        return x

    @pipeline
    def p() -> None:
        total(flaky.map(numbers(3)))

    assert p().steps["total"].output.load() == 3
    assert sorted(begun) == [0, 1, 1, 2, 2, 2]


@RUNNERS
def test_an_empty_list_says_so(runner: str) -> None:
    @pipeline(runner=runner)
    def p() -> None:
        total(double.map(numbers(0)))

    with pytest.raises(RunFailedError, match=r"(?s)numbers.*empty"):
        p()
    assert statuses(last_run())["numbers"] == "failed"


def test_an_empty_list_that_was_cached_says_so_too() -> None:
    @pipeline
    def alone() -> None:
        numbers(0)

    @pipeline
    def p() -> None:
        total(double.map(numbers(0)))

    alone()
    with pytest.raises(RunFailedError, match=r"(?s)numbers.*empty"):
        p()


@RUNNERS
def test_skips_spread_along_data_and_not_along_order(runner: str) -> None:
    @pipeline(runner=runner)
    def p(value: float) -> None:
        found = score(value)
        first = follow(found, id="first", when=found > 0.5)
        second = follow(first, id="second")
        follow(found, second, id="third")
        follow(found, id="other", when=found <= 0.5)
        report(after=["first"], id="at_the_end")
        follow(second, id="inner", when=found > 0.9)

    low = statuses(p(0.25))
    assert low == {
        "score": "completed",
        "first": "skipped",
        "second": "skipped",
        "third": "skipped",
        "other": "completed",
        "at_the_end": "completed",
        "inner": "skipped",
    }
    high = p(0.75)
    assert statuses(high) == {
        "score": "completed",
        "first": "completed",
        "second": "completed",
        "third": "completed",
        "other": "skipped",
        "at_the_end": "cached",
        "inner": "skipped",
    }
    assert str(high.status) == "completed"
    assert high.steps["third"].output.load() == 1.5


def test_a_condition_on_a_loop() -> None:
    @pipeline
    def p(value: float) -> None:
        found = score(value)
        reduced = total(double.map(numbers(2), when=found > 0.5))
        follow(reduced, id="after_reduction")
        total(follow.map(double.map(numbers(2), id="inner", when=found > 0.5)), id="of_two_loops")

    skipped = p(0.1)
    assert str(skipped.status) == "completed"
    found = statuses(skipped)
    assert {found[name] for name in found if not name.startswith(("score", "numbers"))} == {"skipped"}
    assert {"total", "after_reduction", "of_two_loops"} <= set(found)
    run = p(0.9)
    assert [run.steps[name].output.load() for name in ("total", "after_reduction", "of_two_loops")] == [2, 2, 2]


def test_a_condition_on_a_reduction() -> None:
    @pipeline
    def p(count: int) -> None:
        found = total(double.map(numbers(count)))
        report(when=found > 1)

    assert statuses(p(1))["report"] == "skipped"
    assert statuses(p(2))["report"] == "completed"


def test_a_condition_on_a_step_that_failed() -> None:
    @pipeline(execution_mode=ExecutionMode.CONTINUE_ON_FAILURE)
    def p() -> None:
        bad = double(2)
        report(when=bad > 1)
        report(id="other")

    with pytest.raises(RunFailedError, match="two is bad"):
        p()
    assert statuses(last_run()) == {"double": "failed", "report": "skipped", "other": "completed"}
