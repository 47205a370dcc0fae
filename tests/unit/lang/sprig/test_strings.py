"""Text; the table carries over values of sprig's strings_test.go and functions_test.go, and xstrings' examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

FUNCTIONS = function_map(datetime(2026, 1, 2, tzinfo=UTC), b"seed")

GIVES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("substr", (0, 3, "fooo"), "foo"),
    ("substr", (0, 10, "foo"), "foo"),
    ("substr", (-1, 2, "fooo"), "fo"),
    ("substr", (1, -1, "fooo"), "ooo"),
    ("substr", (0, 3, "日本"), "日"),
    ("trunc", (3, "foooooo"), "foo"),
    ("trunc", (-3, "baaaaaar"), "aar"),
    ("trunc", (-999, "baaaaaar"), "baaaaaar"),
    ("trunc", (0, "baaaaaz"), ""),
    ("trunc", (4, "日本"), "日\ufffd"),
    ("quote", ("a", "b", "c"), '"a" "b" "c"'),
    ("quote", ('"a"', "b"), r'"\"a\"" "b"'),
    ("quote", (1, 2, 3), '"1" "2" "3"'),
    ("quote", (None,), ""),
    ("quote", ("a\nb",), r'"a\nb"'),
    ("squote", ("a", 1, None), "'a' '1'"),
    ("contains", ("cat", "fair catch"), True),
    ("hasPrefix", ("cat", "catch"), True),
    ("hasSuffix", ("cat", "ducat"), True),
    ("hasSuffix", ("cat", "catch"), False),
    ("trim", ("   5.00   ",), "5.00"),
    ("trimAll", ("$", "$5.00$"), "5.00"),
    ("trimall", ("", " 5 "), " 5 "),
    ("trimPrefix", ("$", "$5.00"), "5.00"),
    ("trimSuffix", ("$", "5.00$"), "5.00"),
    ("split", ("$", "foo$bar$baz"), {"_0": "foo", "_1": "bar", "_2": "baz"}),
    ("splitn", ("$", 2, "foo$bar$baz"), {"_0": "foo", "_1": "bar$baz"}),
    ("splitn", ("$", 0, "foo$bar"), {}),
    ("splitn", ("$", -1, "a$b$c"), {"_0": "a", "_1": "b", "_2": "c"}),
    ("splitn", ("", 2, "abc"), {"_0": "a", "_1": "bc"}),
    ("splitList", ("", "aé"), ["a", "é"]),
    ("splitList", (",", "a,,b"), ["a", "", "b"]),
    ("toString", (1,), "1"),
    ("toString", (b"bytes",), "bytes"),
    ("toString", ([1, "a"],), "[1 a]"),
    ("toString", (None,), "<nil>"),
    ("toStrings", ([1, None, 2.5],), ["1", "2.5"]),
    ("toStrings", (None,), []),
    ("toStrings", ("a",), ["a"]),
    ("join", ("-", ["a", "b", "c"]), "a-b-c"),
    ("join", ("-", [1, 2, 3]), "1-2-3"),
    ("join", ("-", "abc"), "abc"),
    ("join", ("-", ["1", None, "2"]), "1-2"),
    ("sortAlpha", (["c", "a", "b"],), ["a", "b", "c"]),
    ("sortAlpha", ([2, 1, 4, 3],), ["1", "2", "3", "4"]),
    ("sortAlpha", ("b",), ["b"]),
    ("abbrev", (5, "hello world"), "he..."),
    ("abbrev", (3, "hello world"), "hello world"),
    ("abbrev", (20, "hello world"), "hello world"),
    ("abbrevboth", (5, 10, "1234 5678 9123"), "...5678..."),
    ("abbrevboth", (0, 7, "1234 5678 9123"), "1234..."),
    ("abbrevboth", (20, 10, "1234 5678 9123"), "...78 9123"),
    ("nospace", ("h e l l o ",), "hello"),
    ("untitle", ("First Try",), "first try"),
    ("title", ("hello big-world o'neil x_y",), "Hello Big-World O'Neil X_y"),
    ("initials", ("First Try",), "FT"),
    ("wrap", (5, "Hello World"), "Hello\nWorld"),
    ("wrap", (3, "Hello big World"), "Hello\nbig\nWorld"),
    ("wrapWith", (5, "\t", "Hello World"), "Hello\tWorld"),
    ("wrapWith", (3, "–", "Hello"), "Hel–lo"),
    ("wrapWith", (4, "", "ab cd ef"), "ab\ncd\nef"),
    ("cat", ("a", "b", "c"), "a b c"),
    ("cat", ("a", None, 1), "a 1"),
    ("indent", (4, "a\nb\nc"), "    a\n    b\n    c"),
    ("nindent", (4, "a\nb"), "\n    a\n    b"),
    ("replace", (" ", "-", "I Am Henry VIII"), "I-Am-Henry-VIII"),
    ("replace", ("", "-", "ab"), "-a-b-"),
    ("plural", ("1 char", "chars", 3), "chars"),
    ("plural", ("cheese", "chars", 1), "cheese"),
    ("repeat", (3, "ab"), "ababab"),
    ("upper", ("aß",), "Aß"),
    ("lower", ("ÄΣ",), "ä\u03c3"),
    ("swapcase", ("This Is a tEST",), "tHIS iS A Test"),
    ("snakecase", ("FirstName",), "first_name"),
    ("snakecase", ("HTTPServer",), "http_server"),
    ("snakecase", ("NoHTTPS",), "no_https"),
    ("snakecase", ("GO_PATH",), "go_path"),
    ("snakecase", ("GO PATH",), "go_path"),
    ("snakecase", ("http2xx",), "http_2xx"),
    ("snakecase", ("HTTP20xOK",), "http_20x_ok"),
    ("snakecase", ("Duration2m3s",), "duration_2m3s"),
    ("snakecase", ("Bld4Floor3rd",), "bld4_floor_3rd"),
    ("snakecase", ("",), ""),
    ("snakecase", ("v2",), "v2"),
    ("kebabcase", ("GO_PATH.ok",), "go-path.ok"),
    ("kebabcase", ("HTTPServer",), "http-server"),
    ("camelcase", ("http_server",), "HttpServer"),
    ("camelcase", ("_camel_case",), "_CamelCase"),
    ("camelcase", ("_complex__case_",), "_Complex_Case_"),
    ("camelcase", ("all",), "All"),
    ("camelcase", ("GOLANG_IS_GREAT",), "GolangIsGreat"),
    ("camelcase", ("",), ""),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: Any) -> None:
    assert FUNCTIONS[name](*args) == expected


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("substr", (5, 10, "foo"), "slice bounds out of range"),
        ("substr", (2, 1, "foo"), "slice bounds out of range"),
        ("repeat", (-1, "a"), "negative Repeat count"),
        ("indent", (-1, "a"), "negative Repeat count"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        FUNCTIONS[name](*args)


@given(st.integers(4, 30), st.text(st.characters(codec="ascii"), max_size=60))
def test_an_abbreviation_is_no_longer_than_asked_for(width: int, text: str) -> None:
    assert len(FUNCTIONS["abbrev"](width, text)) <= max(width, min(len(text), width))


@given(st.integers(1, 20), st.text("ab ", max_size=60))
def test_wrapping_keeps_all_but_spaces(width: int, text: str) -> None:
    wrapped = FUNCTIONS["wrapWith"](width, "\n", text)
    assert wrapped.replace("\n", "").replace(" ", "") == text.replace(" ", "")
    assert all(len(line) <= width for line in wrapped.split("\n"))
