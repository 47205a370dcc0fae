"""The grammar of `depends`."""

from __future__ import annotations

import itertools

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.depends import BARE, Term, all_of, parse


def holds(text: str, **results: str) -> bool:
    return parse(text).holds(lambda term: results[term.task] in term.results)


def test_names_are_told_once_in_order() -> None:
    assert parse("b-1.Failed || (a && !b-1)").names == ("b-1", "a")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("a.Failed", lambda a, b, c: a),
        ("!a.Failed", lambda a, b, c: not a),
        ("!!a.Failed", lambda a, b, c: a),
        ("a.Failed && b.Failed || c.Failed", lambda a, b, c: (a and b) or c),
        ("a.Failed || b.Failed && c.Failed", lambda a, b, c: a or (b and c)),
        ("(a.Failed || b.Failed) && c.Failed", lambda a, b, c: (a or b) and c),
        ("!(a.Failed && b.Failed) || c.Failed", lambda a, b, c: not (a and b) or c),
        ("!a.Failed&&!b.Failed&&!c.Failed", lambda a, b, c: not (a or b or c)),
    ],
)
def test_operators(text: str, reference: object) -> None:
    for a, b, c in itertools.product([True, False], repeat=3):
        results = {name: "Failed" if value else "Succeeded" for name, value in zip("abc", (a, b, c), strict=True)}
        assert holds(text, **results) is reference(a, b, c)  # type: ignore[operator]


def test_a_bare_name_accepts_success_and_skipping() -> None:
    assert holds("a", a="Succeeded")
    assert holds("a", a="Skipped")
    assert not holds("a", a="Omitted")
    assert not holds("a", a="Failed")


def test_a_bare_name_may_accept_more() -> None:
    condition = parse("a && b", bare=lambda name: BARE | {"Failed"} if name == "a" else BARE)

    assert list(condition.terms()) == [Term("a", BARE | {"Failed"}), Term("b", BARE)]


def test_a_list_of_dependencies_means_all_of_them() -> None:
    assert all_of(["a", "b", "a"]) == parse("a && b")
    assert all_of([]).holds(lambda term: False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a task name was expected"),
        ("a &&", "a task name was expected"),
        ("a b", "an operator was expected"),
        ("a && || b", "a task name was expected"),
        ("(a", "unbalanced '('"),
        ("a)", "unbalanced ')'"),
        ("a.Done", "'Done' is not a result of task 'a'"),
        ("a & b", "unexpected character at position 2"),
        ("a ! b", "an operator was expected"),
    ],
)
def test_wrong(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_size_and_depth_have_no_limit() -> None:
    many = parse(" && ".join(f"t{n}.Succeeded" for n in range(20_000)))
    assert len(many.names) == 20_000
    assert many.holds(lambda term: True)

    deep = parse("!(" * 20_000 + "a" + ")" * 20_000)
    assert deep.holds(lambda term: True)
