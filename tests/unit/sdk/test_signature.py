"""Types of values, and the JSON form of parameters."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NewType, Optional, TypedDict, TypeVar, Union

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tiphys import UnmaterializedArtifact, step
from tiphys.errors import DefinitionError
from tiphys.sdk.signature import check_type, decode_parameter, encode_parameter, type_text

if TYPE_CHECKING:
    from elsewhere import Missing  # type: ignore[import-not-found]


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Settings(BaseModel):
    rate: float = 0.1
    names: list[str] = []


class Row(TypedDict):
    a: int


UserId = NewType("UserId", int)
T = TypeVar("T")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int),
        (True, bool),
        (1, float),
        (1.5, float),
        (np.int64(1), int),
        (np.float32(1), float),
        (np.bool_(True), bool),
        ("a", str),
        (None, None),
        (None, Optional[int]),  # noqa: UP045
        (1, Union[int, str]),  # noqa: UP007
        ("a", int | str),
        ([1], list[int]),
        (["a"], list[int]),
        ({}, dict[str, int]),
        ((1,), tuple[int, int]),
        ("a", Literal["a", "b"]),
        (1, UserId),
        ("x", T),
        ({"a": 1}, Row),
        (len, Callable[[str], int]),
        (int, type[int]),
        (pd.DataFrame(), pd.DataFrame),
        (1, Any),
        (1, object),
        (1, "a forward reference"),
    ],
)
def test_values_that_fit(value: Any, annotation: Any) -> None:
    assert check_type(value, annotation) is None


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("a", int, "expected int, got str"),
        (1.5, int, "expected int, got float"),
        (1, bool, "expected bool, got int"),
        (1, str, "expected str, got int"),
        (None, int, "expected int, got None"),
        (1, None, "expected None, got int"),
        ([], dict[str, int], "expected dict[str, int], got list"),
        (1.5, int | str, "expected int | str, got float"),
        (True, Literal[1], "expected Literal[1], got bool"),
        (np.array([1.0]), float, "expected float, got numpy.ndarray"),
        ([], pd.DataFrame, "expected pandas.core.frame.DataFrame, got list"),
    ],
)
def test_values_that_do_not(value: Any, annotation: Any, text: str) -> None:
    found = check_type(value, annotation)
    assert found is not None
    assert found.replace("pandas.DataFrame", "pandas.core.frame.DataFrame") == text


def test_types_for_people() -> None:
    assert [type_text(t) for t in (None, int, list[int], int | None)] == ["None", "int", "list[int]", "int | None"]


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        (1, int, "1"),
        (1, float, "1.0"),
        (True, Any, "true"),
        (None, Any, "null"),
        ("a", str, '"a"'),
        ("{{x}}", str, '"{\\u007bx}}"'),
        ([1, {"a": None}], Any, '[1, {"a": null}]'),
        (np.int64(3), int, "3"),
        (Color.RED, Color, '"red"'),
        (Point(1), Point, '{"x":1,"y":0.5}'),
        (Settings(rate=1), Settings, '{"rate":1.0,"names":[]}'),
        ({1: 2}, dict[int, int], '{"1":2}'),
        ((1, 2), tuple[int, int], "[1,2]"),
        ({3}, set[int], "[3]"),
        (datetime.date(2030, 1, 2), datetime.date, '"2030-01-02"'),
        (Path("a/b"), Path, '"a/b"'),
        ([Color.RED], list[Color], '["red"]'),
    ],
)
def test_there_and_back(value: Any, annotation: Any, text: str) -> None:
    assert encode_parameter(value, annotation) == text
    back = decode_parameter(text, annotation)
    assert back == value
    assert isinstance(back, type(value)) or isinstance(value, np.generic) or annotation is float


def test_a_files_values_become_the_annotated_types() -> None:
    assert decode_parameter(encode_parameter("red", Color), Color) is Color.RED
    assert decode_parameter(encode_parameter({"x": 3}, Point), Point) == Point(3)
    assert decode_parameter(encode_parameter([1, 2], tuple[int, int]), tuple[int, int]) == (1, 2)


@pytest.mark.parametrize(
    ("value", "annotation", "problem"),
    [
        ("a", int, "expected int, got str"),
        ("blue", Color, "expected .*Color, got str"),
        (float("nan"), float, "JSON does not have"),
        ([float("inf")], list[float], "JSON does not have"),
        (object(), Any, "no JSON form"),
        (pd.DataFrame({"a": [1]}), Any, "no JSON form|would arrive"),
        ({1: 2}, Any, "would arrive as {'1': 2}"),
        ({1, 2}, Any, r"would arrive as \[1, 2\] \(annotate it as set\)"),
    ],
)
def test_what_has_no_json_form(value: Any, annotation: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        encode_parameter(value, annotation)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_every_json_value_survives_and_holds_no_tag(value: Any) -> None:
    text = encode_parameter(value, Any)
    assert "{{" not in text
    assert json.loads(text) == value
    assert decode_parameter(text, Any) == value


def test_annotations_as_text_with_local_names() -> None:
    class Local:
        pass

    @step
    def s(x: Local, y: int = 3) -> Local:
        return x

    assert s.signature.parameters["x"].annotation is Local
    assert s.signature.outputs[0].annotation is Local
    assert dict(s.defaults) == {"y": "3"}


def test_a_name_that_is_defined_later() -> None:
    @step
    def s(x: Later) -> Later:
        return x

    assert s.signature.parameters["x"].annotation is Later


class Later:
    pass


def test_a_name_for_type_checking_only_is_not_checked() -> None:
    @step
    def s(x: Missing.Inner[int] | None, y: Optional[Missing]) -> list[Missing]:  # noqa: UP045
        return []

    assert check_type(1, s.signature.parameters["y"].annotation) is None
    assert [output.name for output in s.signature.outputs] == ["output"]


def test_an_annotation_that_is_wrong() -> None:
    def s(x):  # type: ignore[no-untyped-def]
        return x

    s.__annotations__["x"] = "int["
    with pytest.raises(DefinitionError, match=r"'int\['"):
        step(s)


def test_unmaterialized_inputs() -> None:
    @step
    def s(x: UnmaterializedArtifact, y: int) -> None: ...

    assert {name: p.unmaterialized for name, p in s.signature.parameters.items()} == {"x": True, "y": False}
