"""Which outputs a step has."""

from __future__ import annotations

from typing import Annotated, Any, Optional, Tuple, Union  # noqa: UP035  as users write it

import pytest

from tiphys import ArtifactConfig, step
from tiphys.errors import DefinitionError
from tiphys.sdk.outputs import resolve_own
from tiphys.sdk.step import Step


def outputs(found: Step) -> list[tuple[str, Any]]:
    return [(output.name, output.annotation) for output in found.signature.outputs]


def names(found: Step) -> list[tuple[str, str | None]]:
    return [(output.name, output.artifact_name) for output in found.signature.outputs]


def test_none_gives_none() -> None:
    @step
    def s() -> None:
        return

    assert outputs(s) == []


def test_one() -> None:
    @step
    def s() -> int:
        return 1

    assert outputs(s) == [("output", int)]


def test_without_annotation_the_return_statements_decide() -> None:
    @step
    def nothing():  # type: ignore[no-untyped-def]
        def inner() -> int:
            return 1

        inner()

    @step
    def something(flag):  # type: ignore[no-untyped-def]
        if flag:
            return 1
        return None

    assert outputs(nothing) == []
    assert outputs(something) == [("output", Any)]


def test_tuple_literal() -> None:
    @step
    def s(flag: bool) -> Tuple[int, str]:  # noqa: UP006
        with open(__file__):  # noqa: PTH123
            if flag:
                return 1, "a"
        return (2, "b")

    assert outputs(s) == [("output_0", int), ("output_1", str)]


def test_tuple_variable_is_one_output() -> None:
    @step
    def s() -> tuple[int, str]:
        def inner() -> tuple[int, int]:
            return 1, 2

        x = (inner()[0], "a")
        return x

    assert outputs(s) == [("output", tuple[int, str])]


def test_variable_length() -> None:
    @step
    def s() -> tuple[int, ...]:
        values = (1, 2)
        return values

    assert outputs(s) == [("output", tuple[int, ...])]
    with pytest.raises(DefinitionError, match=r"'t'.*tuple\[int, ...\]"):

        @step
        def t() -> tuple[int, ...]:
            return 1, 2


def test_number_of_values_and_types_differ() -> None:
    with pytest.raises(DefinitionError, match=r"'s' returns 3 values.*2 types"):

        @step
        def s() -> tuple[int, int]:
            return 1, 2, 3  # type: ignore[return-value]


def test_names_in_annotations() -> None:
    @step
    def one() -> Annotated[tuple[int, int], "pair"]:
        return 1, 2

    @step
    def two(x: int) -> tuple[Annotated[int, "first"], Annotated[str, ArtifactConfig(name="second", version="3")]]:
        return x, "a"

    @step
    def named_without_literal(x: Any) -> tuple[Annotated[int, "a"], int]:
        return x  # type: ignore[no-any-return]

    assert names(one) == [("pair", "pair")]
    assert names(two) == [("first", "first"), ("second", "second")]
    assert two.signature.outputs[1].config == ArtifactConfig(name="second", version="3")
    assert names(named_without_literal) == [("a", "a"), ("output_1", None)]


def test_a_configuration_without_name() -> None:
    @step
    def s() -> Annotated[int, ArtifactConfig(tags=["a"])]:
        return 1

    assert names(s) == [("output", None)]


def test_names_that_argo_would_refuse() -> None:
    @step
    def s() -> Annotated[int, "my model {date}"]:
        return 1

    assert names(s) == [("my_model_date", "my model {date}")]


@pytest.mark.parametrize("annotation", [Optional[int], Union[int, str], int | None])  # noqa: UP007, UP045
def test_unions(annotation: Any) -> None:
    def s():  # type: ignore[no-untyped-def]
        return 1

    s.__annotations__["return"] = annotation
    assert outputs(step(s)) == [("output", annotation)]


def test_bad_names() -> None:
    with pytest.raises(DefinitionError, match="two outputs named 'a'"):

        @step
        def s() -> tuple[Annotated[int, "a"], Annotated[int, "a"]]:
            return 1, 2

    with pytest.raises(DefinitionError, match="several names"):

        @step
        def t() -> Annotated[int, "a", "b"]:
            return 1

    with pytest.raises(DefinitionError, match="braces"):

        @step
        def u() -> Annotated[int, "a{"]:
            return 1


def test_functions_without_source() -> None:
    scope: dict[str, Any] = {}
    exec(
        "def pair() -> 'tuple[int, int]':\n    return 1, 2\n"
        "def built(a, b) -> 'tuple[int, int]':\n    return a, b\n"
        "def variable(a, b) -> 'tuple[int, int]':\n    x = a, b\n    return x\n"
        "def nothing():\n    pass\n"
        "def value(a):\n    return a\n",
        scope,
    )
    assert outputs(step(scope["pair"])) == [("output_0", int), ("output_1", int)]
    assert outputs(step(scope["built"])) == [("output_0", int), ("output_1", int)]
    assert outputs(step(scope["variable"])) == [("output", tuple[int, int])]
    assert outputs(step(scope["nothing"])) == []
    assert outputs(step(scope["value"])) == [("output", Any)]


def test_notebook_cells_have_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    source = "def f(a) -> 'tuple[int, int]':\n    if a:\n        with a:\n            return a, 1\n"
    monkeypatch.setitem(linecache.cache, "<cell-1>", (len(source), None, source.splitlines(keepends=True), "<cell-1>"))
    scope: dict[str, Any] = {}
    exec(compile(source, "<cell-1>", "exec"), scope)
    assert outputs(step(scope["f"])) == [("output_0", int), ("output_1", int)]


def test_own_placeholders() -> None:
    later = ("date", "time")
    assert resolve_own("a-{mine}-{date}", {"mine": "x"}, later=later, what="It") == "a-x-{date}"
    assert resolve_own("{date}", {"date": "today"}, later=later, what="It") == "today"
    with pytest.raises(DefinitionError, match=r"It has the unknown placeholder '\{dat\}'") as caught:
        resolve_own("{dat}", {}, later=later, what="It")
    assert caught.value.hint == "Did you mean 'date'?"
