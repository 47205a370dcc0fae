"""An evaluation ends: in time, in memory, in depth."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.expr.context import Bounds, Context
from tiphys.lang.expr.environment import to_text
from tiphys.lang.expr.program import compile_expression

NOW = datetime(2024, 1, 1, tzinfo=UTC)
SMALL = Context(NOW, bounds=Bounds(steps=5000, items=1000, characters=2000, depth=20))


def doubled(times: int, start: str, step: str) -> str:
    """A value made of itself, again and again."""
    names = [f"v{number}" for number in range(times)]
    lets = [f"let {names[0]} = {start};"]
    lets += [f"let {name} = {step.replace('x', below)};" for below, name in pairwise(names)]
    return f"{' '.join(lets)} "


GREEDY = [
    "1..10000000",
    "len(0..9223372036854775807)",
    "map(1..100, {map(1..100, {map(1..100, {0})})})",
    'repeat("\\xc4<", 10009999990)',
    "repeat('a', 3000)",
    "reduce(1..900, #acc + 'xxxxx', '')",
    "join(map(1..400, 'abcdef'))",
    "replace(repeat('a', 500), 'a', 'bbbbb')",
    "flatten(map(1..100, 1..5)) | concat(1..900)",
    doubled(15, "'ab'", "x + x") + "len(v14)",
    doubled(15, "[1]", "concat(x, x)") + "len(v14)",
]
SLOW = [
    "uniq(1..999)",
    "count(1..500, # in 1..2) + count(1..300, len(uniq([#, 1, 2, 3])) > 1)",
    "all(1..900, any([1, 2, 3, 4, 5], # > 4))",
    doubled(19, "[1]", "[x, x]") + "v18 == v18",
    doubled(19, "[1]", "[x, x]") + "max(v18)",
]
WIDE = [
    doubled(19, "[1]", "[x, x]") + "toJSON(v18)",
    doubled(19, "[1]", "[x, x]") + "string(v18)",
    doubled(19, "[1]", "[x, x]") + "flatten(v18)",
]
DEEP = [doubled(30, "[1]", "[x]") + f"{use}" for use in ("v29 == v29", "toJSON(v29)", "string(v29)", "flatten(v29)")]


@pytest.mark.parametrize("source", GREEDY)
def test_memory(source: str) -> None:
    with pytest.raises(ExpressionError, match="memory budget exceeded"):
        compile_expression(source).run({}, SMALL)


@pytest.mark.parametrize("source", SLOW)
def test_steps(source: str) -> None:
    with pytest.raises(ExpressionError, match=r"takes more than 5000 steps|memory budget exceeded"):
        compile_expression(source).run({}, SMALL)


@pytest.mark.parametrize("source", WIDE)
def test_shared_values_are_counted_where_they_are_written(source: str) -> None:
    with pytest.raises(ExpressionError, match=r"takes more than 5000 steps|memory budget exceeded"):
        compile_expression(source).run({}, SMALL)


@pytest.mark.parametrize("source", DEEP)
def test_depth(source: str) -> None:
    with pytest.raises(ExpressionError, match="recursion depth exceeded"):
        compile_expression(source).run({}, SMALL)


def test_a_value_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for source in ("x == x", "toJSON(x)", "string(x)", "flatten(x)", "max(x)"):
        with pytest.raises(ExpressionError, match="recursion depth exceeded"):
            compile_expression(source).run({"x": endless})
    with pytest.raises(ExpressionError, match="recursion depth exceeded"):
        to_text(endless)


def test_deep_json_is_refused_or_read() -> None:
    deep = "[" * 100_000
    with pytest.raises(ExpressionError, match="invalid JSON"):
        compile_expression("fromJSON(x)").run({"x": deep})


def test_without_a_context_bounds_hold_too() -> None:
    with pytest.raises(ExpressionError, match="memory budget exceeded"):
        compile_expression("1..1000000").run({})
    assert compile_expression("len(1..999999)").run({}) == 999_999
