"""Step ids and task names are turned into each other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.spec.step_names import STEP_NAMES, exceptions, plain_task_name, read_exceptions, step_name, task_names


@pytest.mark.parametrize(
    ("step", "task"), [("train", "train"), ("train_model_2", "train-model-2"), ("reduce_", "reduce-")]
)
def test_names_that_the_rule_turns_back(step: str, task: str) -> None:
    assert plain_task_name(step) == task
    assert step_name(task, {}) == step


@pytest.mark.parametrize("step", ["a-b", "_a", "1st", "größe", "a b", "", "true", "x" * 121])
def test_names_that_it_does_not(step: str) -> None:
    assert plain_task_name(step) is None


def test_odd_names_stay_apart_from_all_others() -> None:
    names = task_names(["step_a_b", "a-b", "a b", "a_b"])
    assert names == {"step_a_b": "step-a-b", "a_b": "a-b", "a-b": "step-a-b-2", "a b": "step-a-b-3"}
    assert exceptions(names) == {"step-a-b-2": "a-b", "step-a-b-3": "a b"}


def test_exceptions_are_read_from_annotations() -> None:
    assert read_exceptions(None) == {}
    assert read_exceptions({STEP_NAMES: '{"step-a":"_a"}'}) == {"step-a": "_a"}


@given(st.lists(st.text(max_size=12), unique=True, max_size=12))
def test_every_name_comes_back(ids: list[str]) -> None:
    names = task_names(ids)
    known = exceptions(names)
    assert [step_name(names[step_id], known) for step_id in ids] == ids
    assert all(re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}", name) for name in names.values())
    assert len(set(names.values())) == len(ids)
