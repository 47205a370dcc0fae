"""Scenarios 1 and 2: how outputs are named and versioned."""

from __future__ import annotations

from typing import Annotated

import pytest

from tiphys import Client, pipeline, step
from tiphys.errors import DefinitionError, RunFailedError


def test_01_default_names_and_versions() -> None:
    @step
    def s() -> int:
        return 7

    @pipeline(enable_cache=False)
    def p() -> None:
        s()

    first, second = p(), p()
    assert (first.status, second.status) == ("completed", "completed")
    assert [v.version for v in Client().list_artifact_versions(name="p::s::output", sort_by="asc:created")] == [
        "1",
        "2",
    ]
    assert first.steps["s"].output.name == "p::s::output"
    assert second.steps["s"].output.version == "2"
    assert second.steps["s"].output.load() == 7


def test_01_annotated_name() -> None:
    @step
    def s() -> Annotated[int, "n"]:
        return 7

    @pipeline
    def p() -> None:
        s()

    p()
    assert Client().get_artifact_version("n").load() == 7


def test_02_tuple_literal_makes_two_outputs() -> None:
    @step
    def s() -> tuple[int, int]:
        return 1, 2

    @pipeline
    def p() -> None:
        s()

    outputs = p().steps["s"].outputs
    assert {name: found.load() for name, found in outputs.items()} == {"output_0": 1, "output_1": 2}


def test_02_tuple_variable_is_one_output() -> None:
    @step
    def s() -> tuple[int, int]:
        x = (1, 2)
        return x

    @pipeline
    def p() -> None:
        s()

    outputs = p().steps["s"].outputs
    assert {name: found.load() for name, found in outputs.items()} == {"output": (1, 2)}


def test_02_variable_length_tuple_literal_is_an_error_at_definition() -> None:
    with pytest.raises(DefinitionError, match="s"):

        @step
        def s() -> tuple[int, ...]:
            return 1, 2


def test_02_wrong_type_fails_naming_the_output() -> None:
    @step
    def s() -> int:
        return "text"  # type: ignore[return-value]  # the point of the test

    @pipeline
    def p() -> None:
        s()

    with pytest.raises(RunFailedError, match=r"output.*int|int.*output"):
        p()


def test_02_a_wrong_type_is_told_by_the_steps_own_name_and_without_our_frames() -> None:
    @step
    def my_step() -> int:
        return "text"  # type: ignore[return-value]  # the point of the test

    @pipeline
    def p() -> None:
        my_step(id="the_id")

    with pytest.raises(RunFailedError) as caught:
        p()
    assert "The output 'output' of the step 'the_id' has the wrong type: expected int, got str." in str(caught.value)
    assert "Traceback" not in str(caught.value)
