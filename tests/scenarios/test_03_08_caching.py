"""Scenarios 3 to 8: when a step's result is used again."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.scenarios.helpers import statuses
from tiphys import CachePolicy, pipeline, step
from tiphys.errors import DefinitionError


def load_module(path: Path, source: str) -> ModuleType:
    """A module from a file, as if it had been edited and imported in a new process."""
    import importlib.util
    import linecache
    import sys

    path.write_text(textwrap.dedent(source))
    linecache.checkcache(str(path))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def edit(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Write the source of a project's file, and import it anew."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    return lambda source: load_module(tmp_path / f"project_{name}.py", source)


def test_03_a_run_without_work_shows_its_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIPHYS_PROGRESS", "plain")

    @step
    def s(x: int) -> int:
        return x + 1

    @pipeline
    def p() -> None:
        s(s(1))

    p()
    capsys.readouterr()
    p()
    shown = capsys.readouterr().err
    assert "● s  cached" in shown
    assert "(2 of 2 steps, 2 cached)" in shown


def test_03_a_second_run_is_cached() -> None:
    calls: list[int] = []

    @step
    def s(x: int) -> int:
        calls.append(x)
        return x + 1

    @pipeline
    def p() -> None:
        s(1)

    runs = [p(), p(), p()]
    assert [str(run.status) for run in runs] == ["completed"] * 3
    assert [str(run.steps["s"].status) for run in runs] == ["completed", "cached", "cached"]
    assert len({run.steps["s"].output.id for run in runs}) == 1
    assert calls == [1]


PROJECT = """
    from tiphys import pipeline, step

    def helper(x):
        return x + {added}

    @step({options})
    def first(x: int) -> int:
        return helper(x){body}

    @step
    def second(x: int) -> int:
        return x * 2

    @pipeline
    def p():
        second(first(1))
"""


def source(*, added: int = 1, options: str = "", body: str = "") -> str:
    return PROJECT.format(added=added, options=options, body=body)


def test_04_editing_the_body_runs_it_and_its_descendants_again(edit: Callable[[str], Any]) -> None:
    edit(source()).p()
    assert statuses(edit(source(body=" + 1")).p()) == {"first": "completed", "second": "completed"}


def test_04_an_edit_that_does_not_change_the_value_spreads_no_further(edit: Callable[[str], Any]) -> None:
    edit(source()).p()
    assert statuses(edit(source(body=" + 0")).p()) == {"first": "completed", "second": "cached"}


def test_04_editing_only_decorator_arguments_stays_cached(edit: Callable[[str], Any]) -> None:
    edit(source()).p()
    assert statuses(edit(source(options="enable_artifact_metadata=False")).p()) == {
        "first": "cached",
        "second": "cached",
    }


def test_04_editing_a_helper_runs_the_step_again(edit: Callable[[str], Any]) -> None:
    edit(source()).p()
    assert statuses(edit(source(added=2)).p()) == {"first": "completed", "second": "completed"}


def make(calls: list[int], **options: Any) -> Callable[[int], Any]:
    @step(**options)
    def s(x: int) -> int:
        calls.append(x)
        return 1

    def run(value: int) -> Any:
        @pipeline
        def p() -> None:
            s(value)

        return p()

    return run


def test_05_a_parameter_change_misses() -> None:
    run = make([])
    run(1)
    assert statuses(run(2)) == {"s": "completed"}


def test_05_an_ignored_input_still_hits() -> None:
    run = make([], cache_policy=CachePolicy(ignored_inputs=["x"]))
    run(1)
    assert statuses(run(2)) == {"s": "cached"}


def test_05_without_step_code_an_edit_still_hits(edit: Callable[[str], Any]) -> None:
    options = "cache_policy={'include_step_code': False}"
    edit(source(options=options)).p()
    assert statuses(edit(source(options=options, body=" + 5")).p())["first"] == "cached"


@pytest.mark.parametrize("kind", ["int", "frame", "array", "model"])
def test_06_an_uncached_producer_of_equal_data_leaves_its_consumers_cached(kind: str) -> None:
    def value() -> Any:
        if kind == "frame":
            return pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
        if kind == "array":
            return np.arange(12.0).reshape(3, 4)
        if kind == "model":
            return LinearRegression().fit(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0])
        return 5

    @step(enable_cache=False)
    def produce() -> Any:
        return value()

    @step
    def consume(data: Any) -> str:
        return type(data).__name__

    @pipeline
    def p() -> None:
        consume(produce())

    p()
    assert statuses(p()) == {"produce": "completed", "consume": "cached"}


def test_07_expires_after() -> None:
    run = make([], cache_policy=CachePolicy(expires_after=1))
    run(1)
    assert statuses(run(1)) == {"s": "cached"}
    time.sleep(1.1)
    assert statuses(run(1)) == {"s": "completed"}


def test_07_cache_func() -> None:
    token = ["a"]
    run = make([], cache_policy=CachePolicy(cache_func=lambda: token[0]))
    run(1)
    assert statuses(run(1)) == {"s": "cached"}
    token[0] = "b"
    assert statuses(run(1)) == {"s": "completed"}
    token[0] = 3  # type: ignore[call-overload]  # the point of the test
    with pytest.raises(DefinitionError, match=r"cache_func.*str"):
        run(1)


def test_07_file_dependencies(tmp_path: Path) -> None:
    calls: list[int] = []
    listed = tmp_path / "listed.txt"
    listed.write_text("a")
    run = make(calls, cache_policy=CachePolicy(file_dependencies=[str(listed)]))
    run(1)
    assert statuses(run(1)) == {"s": "cached"}
    listed.write_text("b")
    assert statuses(run(1)) == {"s": "completed"}
    listed.unlink()
    with pytest.raises(DefinitionError, match="listed.txt"):
        run(1)
    assert len(calls) == 2


def test_08_run_level_false_beats_a_steps_true() -> None:
    calls: list[int] = []

    @step(enable_cache=True)
    def s() -> int:
        calls.append(1)
        return 1

    @pipeline(enable_cache=False)
    def p() -> None:
        s()

    p()
    assert statuses(p()) == {"s": "cached"}
    assert statuses(p.with_options(enable_cache=False)()) == {"s": "completed"}
    assert len(calls) == 2


def test_08_an_environment_name_is_part_of_the_key() -> None:
    @step
    def s() -> int:
        return 1

    @pipeline(environment={"A": "1"})
    def p() -> None:
        s()

    p()
    assert statuses(p.with_options(environment={"A": "2"})()) == {"s": "cached"}
    assert statuses(p.with_options(environment={"B": "1"})()) == {"s": "completed"}
