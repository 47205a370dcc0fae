"""Scenarios 15 and 16, in pipelines whose shape is fixed: maps, products, and conditions on values of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.scenarios.helpers import statuses
from tiphys import pipeline, step, unmapped
from tiphys.errors import DefinitionError, RunFailedError


@step
def numbers(count: int = 3) -> list[int]:
    return list(range(1, count + 1))


@step
def double(x: int) -> int:
    return x * 2


@step
def both(x: int) -> tuple[int, int]:
    return x * 2, x * 3


@step
def total(xs: list[int]) -> int:
    return sum(xs)


@step
def scale(x: int, factors: list[int]) -> int:
    return x * sum(factors)


@step
def join(n: int, letter: str) -> str:
    return f"{n}{letter}"


@step
def collect(xs: list[Any]) -> list[Any]:
    return xs


def test_15_map_over_a_list() -> None:
    @pipeline
    def p() -> None:
        total(double.map([1, 2, 3]))
        first, second = both.map([1, 2])
        collect(first, id="first")
        collect(second, id="second")

    run = p()
    assert run.steps["total"].output.load() == 12
    assert (run.steps["first"].output.load(), run.steps["second"].output.load()) == ([2, 4], [3, 6])


def test_15_map_over_an_output() -> None:
    @pipeline
    def p() -> None:
        ns = numbers()
        total(double.map(ns))
        first, second = both.map(ns)
        collect(first, id="first")
        collect(second, id="second")

    run = p()
    assert run.steps["total"].output.load() == 12
    assert (run.steps["first"].output.load(), run.steps["second"].output.load()) == ([2, 4, 6], [3, 6, 9])
    assert set(statuses(p()).values()) == {"cached"}


def test_15_a_longer_list_runs_only_what_is_new() -> None:
    @pipeline
    def p(count: int) -> None:
        total(double.map(numbers(count)))

    p(2)
    found = statuses(p(3))
    assert [found[name] for name in found if name.startswith("double")] == ["cached", "cached", "completed"]


def test_15_map_over_a_map_of_arrays() -> None:
    @step
    def array(x: int) -> np.ndarray:
        return np.arange(x, dtype=float)

    @step
    def norm(a: np.ndarray) -> float:
        assert isinstance(a, np.ndarray)
        return float(a.sum())

    @pipeline
    def p() -> None:
        collect(norm.map(array.map(numbers())))

    run = p()
    assert run.steps["collect"].output.load() == [0.0, 1.0, 3.0]
    assert set(statuses(p()).values()) == {"cached"}


def test_15_different_lengths_and_empty_lists() -> None:
    @pipeline
    def different() -> None:
        scale.map([1, 2], [[1], [2], [3]])

    @pipeline
    def nothing() -> None:
        double.map([])

    @pipeline
    def nothing_at_run_time() -> None:
        double.map(numbers(0))

    for broken in (different, nothing):
        with pytest.raises(DefinitionError):
            broken()
    with pytest.raises(RunFailedError, match="empty"):
        nothing_at_run_time()


def test_16_product_and_unmapped() -> None:
    @pipeline
    def p() -> None:
        collect(join.product([1, 2], ["a", "b", "c"]))
        scaled = scale.map(numbers(), factors=unmapped([1, 2]))
        collect(scaled, id="scaled")

    run = p()
    assert run.steps["collect"].output.load() == ["1a", "1b", "1c", "2a", "2b", "2c"]
    assert run.steps["scaled"].output.load() == [3, 6, 9]


@step
def evaluate(score: float, label: str = "it's {{odd}}") -> tuple[float, bool, str]:
    return score, score > 0.5, label


@pytest.mark.parametrize("score", [0.25, 0.75, 1e-7])
def test_conditions_on_values_of_the_run(score: float) -> None:
    @pipeline
    def p() -> None:
        value, good, label = evaluate(score)
        deployed = double(1, id="deploy", when=(value > 0.5) & good & (label == "it's {{odd}}"))
        double(deployed, id="after_deploy")
        double(2, id="repair", when=~good)
        double(3, id="tiny", when=value < 1e-6)
        double(4, id="always", after=["deploy", "repair"])

    found = statuses(p())
    deploys = score > 0.5
    assert {name: found[name] for name in ("deploy", "after_deploy", "repair", "tiny", "always")} == {
        "deploy": "completed" if deploys else "skipped",
        "after_deploy": "completed" if deploys else "skipped",
        "repair": "skipped" if deploys else "completed",
        "tiny": "completed" if score < 1e-6 else "skipped",
        "always": "completed",
    }
