"""Laws: what is written out reads the same; arithmetic is Go's."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from tiphys.lang.expr.durations import Duration, read_duration
from tiphys.lang.expr.nodes import (
    Array,
    Binary,
    Builtin,
    Call,
    Conditional,
    Identifier,
    Let,
    Literal,
    Map,
    Member,
    Nil,
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    Unary,
)
from tiphys.lang.expr.parser import parse
from tiphys.lang.expr.program import compile_expression
from tiphys.lang.expr.source_text import source_text

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.sampled_from(["a", "b_1", "$x", "ä", "len2"])
BINARY = st.sampled_from(
    ["+", "-", "*", "/", "%", "**", "==", "!=", "<", ">=", "and", "or", "in", "matches", "contains", "..", "??"]
)
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.builds(Nil),
    st.builds(Literal, st.booleans()),
    st.builds(Literal, st.integers(0, 2**63 - 1)),
    st.builds(Literal, st.floats(0, allow_infinity=False, allow_nan=False)),
    st.builds(Literal, TEXT),
    st.builds(Literal, st.binary(max_size=4)),
    st.builds(Identifier, NAMES),
)


def bigger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, max_size=3).map(tuple)
    key = st.one_of(st.builds(Literal, TEXT), inner)
    predicate = st.builds(
        Predicate, st.one_of(inner, st.builds(Member, st.just(Pointer("")), st.builds(Literal, NAMES)))
    )
    return st.one_of(
        st.builds(Unary, st.sampled_from(["-", "+", "not"]), inner),
        st.builds(Binary, BINARY, inner, inner),
        st.builds(Member, inner, key),
        st.builds(Slice, inner, st.none() | inner, st.none() | inner),
        st.builds(Call, st.builds(Identifier, NAMES), several),
        st.builds(Builtin, st.sampled_from(["len", "concat"]), several),
        st.builds(lambda array, test: Builtin("filter", (array, test)), inner, predicate),
        st.builds(Conditional, inner, inner, inner, st.booleans()),
        st.builds(Let, st.sampled_from(["x", "y"]), inner, inner),
        st.builds(Sequence, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Array, several),
        st.builds(Map, st.lists(st.tuples(key, inner), max_size=2).map(tuple)),
    )


@given(st.recursive(LEAVES, bigger, max_leaves=12))
def test_what_is_written_reads_the_same(tree: Node) -> None:
    assert parse(source_text(tree)) == tree


def wrapped(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


@given(INT64, INT64)
def test_int_arithmetic(a: int, b: int) -> None:
    def value(source: str) -> object:
        return compile_expression(source).run({"a": a, "b": b})

    assert value("a + b") == wrapped(a + b)
    assert value("a - b") == wrapped(a - b)
    assert value("a * b") == wrapped(a * b)
    assert value("-a") == wrapped(-a)
    assert value("a < b") is (a < b)
    assert value("a < b or a == b or a > b") is True
    assert value("bitxor(bitxor(a, b), b) == a and bitnot(bitnot(a)) == a") is True
    if b:
        rest = value("a % b")
        assert isinstance(rest, int)
        assert rest == int(math.copysign(1, a)) * (abs(a) % abs(b))
        assert value("a / b") == float(a) / float(b)


@given(INT64)
def test_durations_are_read_as_they_are_printed(nanoseconds: int) -> None:
    if nanoseconds > -(2**63):
        assert read_duration(str(Duration(nanoseconds))) == Duration(nanoseconds)


@given(st.lists(st.integers(-5, 5)))
def test_arrays(values: list[int]) -> None:
    def value(source: str) -> object:
        return compile_expression(source).run({"x": values})

    assert value("sort(x)") == sorted(values)
    assert value("reverse(reverse(x)) == x") is True
    assert value("sum(x)") == sum(values)
    assert value("uniq(x)") == list(dict.fromkeys(values))
    assert value("concat(x[:2], x[2:]) == x") is True
    assert value("all(x, # > 0) == none(x, # <= 0)") is True
    assert value("len(filter(x, # > 0)) == count(x, # > 0)") is True
    assert value("flatten(map(x, [[#], #])) == flatten(map(x, [#, [[#]]]))") is True


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_json_is_read_as_it_is_written(value: object) -> None:
    text = compile_expression("toJSON(x)").run({"x": value})
    assert compile_expression("fromJSON(x)").run({"x": text}) == value
    assert json.loads(text, parse_int=float) == value
    assert compile_expression("fromJSON(toJSON(x)) == x").run({"x": value}) is True


@given(TEXT, TEXT)
def test_strings(a: str, b: str) -> None:
    def value(source: str) -> object:
        return compile_expression(source).run({"a": a, "b": b})

    assert value("(a + b) startsWith a and (a + b) endsWith b and (a + b) contains b") is True
    assert value("trimPrefix(a + b, a) == b") is True
    assert value("join(split(a, b), b) == a") is True
    assert value("join(splitAfter(a, b)) == a") is True
    assert value("fromBase64(toBase64(a)) == a") is True
    assert value("len(a) + len(b) == len(a + b)") is True
    assert value("indexOf(a + b, b) <= lastIndexOf(a + b, b)") is True
