"""Go's fmt; the tables carry over values of Go's fmt/fmt_test.go and strconv/quote_test.go."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_quote, go_string, sprintf, type_name

MOMENT = datetime(2009, 2, 4, 21, 0, 57, 12300, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "<nil>"),
        (True, "true"),
        (-5, "-5"),
        ("a b", "a b"),
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (100000.0, "100000"),
        (1000000.0, "1e+06"),
        (1234567.8, "1.2345678e+06"),
        (123456789.0, "1.23456789e+08"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (12.5, "12.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        ([1, "a", None, 2.0], "[1 a <nil> 2]"),
        ([], "[]"),
        ({"b": 2, "a": [1]}, "map[a:[1] b:2]"),
        ({10: "x", 9: "y"}, "map[9:y 10:x]"),
        ({}, "map[]"),
        (b"ab", "[97 98]"),
        (MOMENT, "2009-02-04 21:00:57.0123 +0000 UTC"),
        (timedelta(minutes=90), "1h30m0s"),
    ],
)
def test_go_string(value: Any, expected: str) -> None:
    assert go_string(value) == expected


@pytest.mark.parametrize(
    ("template", "args", "expected"),
    [
        ("%d", [12345], "12345"),
        ("%v", [12345], "12345"),
        ("%t", [True], "true"),
        ("%s", ["abc"], "abc"),
        ("%q", ["abc"], '"abc"'),
        ("%x", ["xyz"], "78797a"),
        ("%X", ["xyz"], "78797A"),
        ("%x", ["日本語"], "e697a5e69cace8aa9e"),
        ("% x", ["xyz"], "78 79 7a"),
        ("%# x", ["xyz"], "0x78 0x79 0x7a"),
        ("%s", [b"abc"], "abc"),
        ("%5s", ["abc"], "  abc"),
        ("%-5s|", ["abc"], "abc  |"),
        ("%05s", ["abc"], "00abc"),
        ("%5s", ["日本"], "   日本"),
        ("%.2s", ["日本語"], "日本"),
        ("%.3q", ["日本語日本語"], '"日本語"'),
        ("%.0s|", ["abc"], "|"),
        ("%#q", ["a\tb"], "`a\tb`"),
        ("%#q", ["a`b"], '"a`b"'),
        ("%c", [ord("x")], "x"),
        ("%q", [ord("\n")], "'\\n'"),
        ("%U", [0x61], "U+0061"),
        ("%#U", [0x1F600], "U+1F600 '😀'"),
        ("%08b|%o|%O|%#o|%#x|%#X", [5, 64, 64, 64, 255, 255], "00000101|100|0o100|0100|0xff|0XFF"),
        ("%x", [-255], "-ff"),
        ("%+d % d % d", [5, 5, -5], "+5  5 -5"),
        ("%6d|%-6d|%06d|%+06d", [42, 42, -42, 42], "    42|42    |-00042|+00042"),
        ("%.4d|%6.3d|%06.3d|%.0d|", [-7, 7, 7, 0], "-0007|   007|   007||"),
        ("%6.2f|%-8.1f|%08.3f|%+.2f", [3.14159, 2.0, -1.5, 1.0], "  3.14|2.0     |-001.500|+1.00"),
        ("%f %e %g %G", [1.0, 1.0, 1e-7, 1e-7], "1.000000 1.000000e+00 1e-07 1E-07"),
        ("%.3g %.10g %.3g", [1234567.8, 1234567.8, 100.0], "1.23e+06 1234567.8 100"),
        ("%.0f %.0e", [68.0, 68.0], "68 7e+01"),
        ("%20f|% f|%+f|%-8v|", [math.inf, math.inf, math.nan, math.inf], "                +Inf| Inf|+NaN|+Inf    |"),
        ("%v %d", [[1, 2], [1, 2]], "[1 2] [1 2]"),
        ("%q", [["a", "b"]], '["a" "b"]'),
        ("%s", [{"b": "y", "a": "x"}], "map[a:x b:y]"),
        ("%3d", [[1, 2]], "[  1   2]"),
        ("%v|%s|%d", [timedelta(seconds=1.5), timedelta(seconds=1.5), timedelta(seconds=1.5)], "1.5s|1.5s|1500000000"),
        ("%T %T %T %T", [1, "a", 1.0, None], "int string float64 <nil>"),
        ("100%% %d%%", [5], "100% 5%"),
        ("%*d|%-*d|%.*f", [5, 42, 5, 42, 2, 1.0], "   42|42   |1.00"),
        ("%[2]d %[1]d", [1, 2], "2 1"),
        ("%[3]*.[2]*[1]f", [12.0, 2, 6], " 12.00"),
        # what is wrong shows in the text
        ("%d", ["x"], "%!d(string=x)"),
        ("%s", [5], "%!s(int=5)"),
        ("%s", [True], "%!s(bool=true)"),
        ("%d", [1.5], "%!d(float64=1.5)"),
        ("%t", [1], "%!t(int=1)"),
        ("%z", [3], "%!z(int=3)"),
        ("%d", [None], "%!d(<nil>)"),
        ("%d", [["a"]], "[%!d(string=a)]"),
        ("%d %d", [1], "1 %!d(MISSING)"),
        ("%d", [1, 2, "x"], "1%!(EXTRA int=2, string=x)"),
        ("x%", [], "x%!(NOVERB)"),
        ("%*d", ["a", 1], "%!(BADWIDTH)1"),
        ("%.*d", [-1, 1], "%!(BADPREC)1"),
        ("%[5]d", [1], "%!d(BADINDEX)"),
        ("", [1], "%!(EXTRA int=1)"),
        ("plain", [], "plain"),
    ],
)
def test_sprintf(template: str, args: list[Any], expected: str) -> None:
    assert sprintf(template, *args) == expected


def test_too_wide() -> None:
    with pytest.raises(ExpressionError, match="too large"):
        sprintf("%1000001d", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\a\b\f\r\n\t\v", r'"\a\b\f\r\n\t\v"'),
        ("\\", r'"\\"'),
        ("say \"x\" 'y'", r'''"say \"x\" 'y'"'''),
        ("☺", '"☺"'),
        ("\x04\x7f", r'"\x04\x7f"'),
        ("\u2028\ufeff", r'"\u2028\ufeff"'),
        ("\U0010ffff", r'"\U0010ffff"'),
    ],
)
def test_go_quote(text: str, expected: str) -> None:
    assert go_quote(text) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_can_be_read_again(value: float) -> None:
    assert float(go_string(value)) == value


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30), st.sampled_from(["", "-", "0", "+", "+0"]))
def test_integers_agree_with_c(value: int, width: int, flags: str) -> None:
    assert sprintf(f"%{flags}{width or ''}d", value) == f"%{flags}{width or ''}d" % value


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 12), st.sampled_from("efEF"))
def test_floats_agree_with_c(value: float, precision: int, verb: str) -> None:
    assert sprintf(f"%.{precision}{verb}", value) == f"%.{precision}{verb}" % value


def test_type_name() -> None:
    assert [type_name(value) for value in (None, True, [1], {"a": 1}, MOMENT, timedelta())] == [
        "<nil>",
        "bool",
        "[]interface {}",
        "map[string]interface {}",
        "time.Time",
        "time.Duration",
    ]
