"""Lists, dictionaries, defaults and kinds; values of sprig's list_test.go, dict_test.go, defaults_test.go."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FUNCTIONS = function_map(NOW, b"seed")

SOURCE_1 = {"a": 1, "b": 2, "d": {"e": "four"}, "g": [6, 7], "i": "aye", "j": "jay", "k": {"l": False}}
SOURCE_2 = {"h": 10, "i": "i", "j": "j"}
TARGET = {"a": "one", "c": 3, "d": {"f": 5}, "g": [8, 9], "i": "eye", "k": {"l": True}}

GIVES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("list", (1, "a", "foo"), [1, "a", "foo"]),
    ("tuple", (), []),
    ("append", ([1, 2], 3), [1, 2, 3]),
    ("mustPush", ([], [1]), [[1]]),
    ("prepend", ([1, 2], 0), [0, 1, 2]),
    ("chunk", (3, [1, 2, 3, 4, 5, 6, 7]), [[1, 2, 3], [4, 5, 6], [7]]),
    ("chunk", (3, []), []),
    ("first", ([1, 2, 3],), 1),
    ("first", ([],), None),
    ("last", ([1, 2, 3],), 3),
    ("mustLast", ([],), None),
    ("initial", ([1, 2, 3],), [1, 2]),
    ("initial", ([],), []),
    ("rest", ([1, 2, 3],), [2, 3]),
    ("reverse", ([1, 2, 3],), [3, 2, 1]),
    ("compact", ([1, 0, "", "hello", None, [], False],), [1, "hello"]),
    ("uniq", (["foo", 1, 1, "foo", 1.0, True, [1], [1]],), ["foo", 1, 1.0, True, [1]]),
    ("without", ([1, 2, 3, 4], 1, 3), [2, 4]),
    ("without", ([1, 2],), [1, 2]),
    ("has", (1, [1, 2, 3]), True),
    ("has", (4, [1, 2, 3]), False),
    ("has", (1.0, [1]), False),
    ("has", ({"a": [1]}, [{"a": [1]}]), True),
    ("has", ("bar", None), False),
    ("slice", ([1, 2, 3],), [1, 2, 3]),
    ("slice", ([1, 2, 3], 0, 1), [1]),
    ("slice", ([1, 2, 3], "1"), [2, 3]),
    ("slice", ([], 1, 2), None),
    ("concat", ([1, 2], [3], [], [None], [["foo"]]), [1, 2, 3, None, ["foo"]]),
    ("dict", (1, 2, "three", "four", 5), {"1": 2, "three": "four", "5": ""}),
    ("get", ({"one": 1}, "one"), 1),
    ("get", ({}, "two"), ""),
    ("set", ({"one": 1}, "two", 2), {"one": 1, "two": 2}),
    ("unset", ({"one": 1, "two": 2}, "two"), {"one": 1}),
    ("unset", ({"one": 1}, "two"), {"one": 1}),
    ("hasKey", ({"one": None}, "one"), True),
    ("hasKey", ({}, "one"), False),
    ("pluck", ("two", {"two": 2}, {"one": 1}, {"two": 22}), [2, 22]),
    ("keys", ({"foo": 1, "bar": 2}, {"bar": 3}), ["bar", "foo", "bar"]),
    ("values", ({"b": 2, "a": 1},), [1, 2]),
    ("pick", ({"one": 1, "two": 2}, "two", "three"), {"two": 2}),
    ("omit", ({"one": 1, "two": 2}, "one", "three"), {"two": 2}),
    ("dig", ("a", "b", "c", "", {"a": {"b": {"c": 1}}}), 1),
    ("dig", ("a", "b", "z", "2", {"a": {"b": {"c": 1}}}), "2"),
    ("dig", ("z", "2", {"a": 1}), "2"),
    ("deepCopy", ({"a": [1]},), {"a": [1]}),
    (
        "merge",
        (TARGET, SOURCE_1, SOURCE_2),
        {
            "a": "one",
            "b": 2,
            "c": 3,
            "d": {"e": "four", "f": 5},
            "g": [8, 9],
            "h": 10,
            "i": "eye",
            "j": "jay",
            "k": {"l": True},
        },
    ),
    (
        "mergeOverwrite",
        (TARGET, SOURCE_1, SOURCE_2),
        {
            "a": 1,
            "b": 2,
            "c": 3,
            "d": {"e": "four", "f": 5},
            "g": [6, 7],
            "h": 10,
            "i": "i",
            "j": "j",
            "k": {"l": False},
        },
    ),
    (
        "merge",
        ({"a": 0, "b": [], "c": {}}, {"a": 1, "b": [2], "c": {"d": 3}, "e": None}),
        {"a": 1, "b": [2], "c": {"d": 3}},
    ),
    ("merge", ({"a": "x", "b": {"c": 1}}, {"a": {"y": 1}, "b": 2}), {"a": "x", "b": {"c": 1}}),
    (
        "mergeOverwrite",
        ({"a": 1, "b": {"c": 1}, "d": [1]}, {"a": None, "b": "", "d": []}),
        {"a": None, "b": "", "d": []},
    ),
    ("default", ("foo", ""), "foo"),
    ("default", ("foo", 234), 234),
    ("default", ("123", None), "123"),
    ("default", ("123",), "123"),
    ("empty", (1,), False),
    ("empty", (0.0,), True),
    ("empty", ({},), True),
    ("empty", (NOW,), False),
    ("empty", (timedelta(),), True),
    ("coalesce", ("", 0, None, 2), 2),
    ("coalesce", (), None),
    ("all", (1, "a"), True),
    ("all", ("", 1), False),
    ("all", (), True),
    ("any", ("", 0, None, 2), True),
    ("any", (), False),
    ("ternary", ("foo", "bar", True), "foo"),
    ("ternary", ("foo", "bar", False), "bar"),
    ("typeOf", ({"a": 1},), "map[string]interface {}"),
    ("typeOf", (1.0,), "float64"),
    ("typeIs", ("string", "a"), True),
    ("typeIsLike", ("int", 1), True),
    ("typeIsLike", ("int", "1"), False),
    ("kindOf", ([],), "slice"),
    ("kindOf", (None,), "invalid"),
    ("kindOf", (True,), "bool"),
    ("kindOf", (timedelta(),), "int64"),
    ("kindIs", ("struct", NOW), True),
    ("deepEqual", ([1, {"a": "b"}], [1, {"a": "b"}]), True),
    ("deepEqual", (1, 1.0), False),
    ("deepEqual", (1, True), False),
    ("deepEqual", (None, None), True),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: Any) -> None:
    before = copy.deepcopy(args)
    result = FUNCTIONS[name](*args)
    assert result == expected
    assert type(result) is type(expected)
    assert args == before


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("append", ("a", 1), "Cannot push on type string"),
        ("first", ({},), "Cannot find first on type map"),
        ("first", (None,), "Cannot find first on type invalid"),
        ("chunk", (0, [1]), "Cannot chunk into pieces of 0"),
        ("slice", ([1, 2], 1, 3), "slice bounds out of range"),
        ("slice", ("abc", 1), "list should be type of slice or array but string"),
        ("concat", ([1], "a"), "Cannot concat type string as list"),
        ("dig", ("a", {}), "takes at least 2 arguments|at least three arguments"),
        ("dig", ("a", "b", "", {"a": 1}), "'b' is looked up in a int"),
        ("dig", (1, "", {"a": 1}), "a key is a int"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        FUNCTIONS[name](*args)


def test_a_copy_shares_nothing() -> None:
    given = {"a": [1]}
    FUNCTIONS["deepCopy"](given)["a"].append(2)
    assert given == {"a": [1]}
