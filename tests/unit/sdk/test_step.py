"""The @step decorator."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import tiphys
from tiphys import CachePolicy, Step, StepRetryConfig, pipeline, step
from tiphys.errors import DefinitionError
from tiphys.sdk.sources import source_of


@step
def at_module_level(x: int, y: float = 2) -> float:
    """Says what it does."""
    return x * y


def test_bare_and_called() -> None:
    def f() -> int:
        return 1

    bare, called = step(f), step(enable_cache=False, name="other")(f)
    assert (bare.name, called.name) == ("f", "other")
    assert (bare.options, called.options["enable_cache"]) == ({}, False)


def test_the_bare_function() -> None:
    assert at_module_level.entrypoint(3) == 6
    assert at_module_level.__doc__ == "Says what it does."
    assert str(inspect.signature(at_module_level)) == "(x: 'int', y: 'float' = 2) -> 'float'"
    assert source_of(at_module_level.entrypoint) == f"{__name__}:at_module_level"


def test_copies_leave_the_original_alone() -> None:
    changed = at_module_level.with_options(name="n", extra={"a": 1}).with_options(extra={"b": 2}, enable_cache=False)
    assert changed.options == {"name": "n", "extra": {"a": 1, "b": 2}, "enable_cache": False}
    assert at_module_level.options == {}
    assert at_module_level.copy() is not at_module_level
    assert changed.entrypoint is at_module_level.entrypoint


def test_configure_changes_it() -> None:
    @step
    def s() -> None: ...

    assert s.configure(name="t", enable_cache=True) is s
    assert (s.name, s.options["enable_cache"]) == ("t", True)


def test_options_are_brought_into_one_form() -> None:
    @step(
        timeout="1h30m",
        retry=3,
        cache_policy={"ignored_inputs": ["x"]},
        environment={"A": 1},
        experiment_tracker="mlflow",
        on_failure="math.sqrt",
        model="m",
    )
    def s(x: int) -> None: ...

    options = s.options
    assert options["timeout"] == 5400
    assert options["retry"] == StepRetryConfig(max_retries=3)
    assert options["cache_policy"] == CachePolicy(ignored_inputs=["x"])
    assert options["environment"] == {"A": "1"}
    assert options["experiment_tracker"] == ("mlflow",)
    assert options["on_failure"](4) == 2
    assert options["model"].name == "m"
    assert s.with_options(timeout=timedelta(seconds=90)).options["timeout"] == 90


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"enable_cach": True}, r"'s' has no option 'enable_cach'(.|\n)*Did you mean 'enable_cache'"),
        ({"enable_cache": "yes"}, "enable_cache='yes'"),
        ({"timeout": "soon"}, "timeout of Step 's' is 'soon'"),
        ({"timeout": 0}, "above zero"),
        ({"retry": "often"}, "retry='often'"),
        ({"retry": {"max_retry": 3}}, r"unknown field 'max_retry'(.|\n)*max_retries"),
        ({"cache_policy": "never"}, "cache_policy of Step 's' is 'never'"),
        ({"settings": 3}, "settings=3"),
        ({"on_success": "no.such.module"}, "cannot be loaded"),
        ({"on_success": 3}, "on_success=3"),
        ({"name": ""}, "name=''"),
        ({"output_materializers": {"other": dict}}, "unknown output 'other'"),
        ({"model": 3}, "model=3"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], problem: str) -> None:
    def s() -> int:
        return 1

    with pytest.raises(DefinitionError, match=problem):
        step(**options)(s)
    with pytest.raises(DefinitionError, match=problem):
        step(s).with_options(**options)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"delay": -1}, "delay"),
        ({"backoff": 0}, "backoff"),
        ({"jitter": 2}, "jitter"),
        ({"max_delay": 0}, "max_delay"),
    ],
)
def test_retries_that_make_no_sense(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        StepRetryConfig(**values)


def variable(*args: int) -> None: ...


def keywords(**kwargs: int) -> None: ...


def reserved(after: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (variable, "variable number"),
        (keywords, "variable number"),
        (reserved, "parameter 'after'"),
        (lambda: 1, "needs a name"),
        (int, "no function"),
        (3, "no function"),
    ],
)
def test_functions_that_cannot_be_steps(function: Any, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        step(function)


def test_lambdas_and_wrapped_functions() -> None:
    def double(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) * 2

        return wrapper

    @step
    @double
    def s(x: int) -> int:
        return x

    assert step(lambda x: x, name="same").entrypoint(3) == 3
    assert list(s.signature.parameters) == ["x"]
    assert s.entrypoint(3) == 6


def test_inside_of_a_running_step_it_is_a_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from tiphys.sdk import context

    monkeypatch.setattr(context, "current_step_context", object)
    assert at_module_level(2, y=4) == 8


def test_map_outside_of_a_pipeline() -> None:
    with pytest.raises(DefinitionError, match=r"at_module_level.map\(\) is called outside"):
        at_module_level.map([1, 2])


def test_public_names() -> None:
    for name in tiphys.__all__:
        assert getattr(tiphys, name) is not None
    assert sorted(dir(tiphys)) == sorted(tiphys.__all__)
    assert (Step.__module__, step.__module__, CachePolicy.__module__, pipeline.__module__) == ("tiphys",) * 4
    assert pickle.loads(pickle.dumps(StepRetryConfig(max_retries=2))) == StepRetryConfig(max_retries=2)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tiphys.nonsense
