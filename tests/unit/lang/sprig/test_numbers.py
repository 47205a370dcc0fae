"""Arithmetic; the table carries over values of sprig's numeric_test.go and cast's number_test.go."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

FUNCTIONS = function_map(datetime(2026, 1, 2, tzinfo=UTC), b"seed")

GIVES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("until", (5,), [0, 1, 2, 3, 4]),
    ("until", (-5,), [0, -1, -2, -3, -4]),
    ("untilStep", (0, 5, 1), [0, 1, 2, 3, 4]),
    ("untilStep", (3, 6, 1), [3, 4, 5]),
    ("untilStep", (0, -10, -2), [0, -2, -4, -6, -8]),
    ("untilStep", (3, 0, 1), []),
    ("untilStep", (3, 99, 0), []),
    ("untilStep", (3, 99, -1), []),
    ("biggest", (1, 2, 3, 345, 5, 6, 7), 345),
    ("max", (345,), 345),
    ("maxf", (1, 2, 3, 345.7, 5, 6, 7), 345.7),
    ("min", (1, 2, 3, 345), 1),
    ("min", ("7", 3.9), 3),
    ("minf", (1.4, 2, 3, 345.6), 1.4),
    ("int64", (102.9,), 102),
    ("int64", (-102.9,), -102),
    ("int64", ("102",), 102),
    ("int64", ("frankie",), 0),
    ("int64", ("",), 0),
    ("int64", ("12.9",), 12),
    ("int64", ("-.5",), 0),
    ("int64", ("0x1F",), 31),
    ("int64", ("-0b11",), -3),
    ("int64", ("017",), 15),
    ("int64", ("0o17",), 15),
    ("int64", ("1_000",), 1000),
    ("int64", ("08",), 0),
    ("int64", ("9223372036854775808",), 0),
    ("int64", ("-9223372036854775808",), -(2**63)),
    ("int64", (True,), 1),
    ("int64", (None,), 0),
    ("int64", ([1],), 0),
    ("int", (math.nan,), -(2**63)),
    ("float64", ("102.1234",), 102.1234),
    ("float64", ("1e3",), 1000.0),
    ("float64", ("0x1p-2",), 0.25),
    ("float64", ("frankie",), 0.0),
    ("float64", ("1e999",), 0.0),
    ("float64", ("-Inf",), -math.inf),
    ("float64", (True,), 1.0),
    ("float64", (None,), 0.0),
    ("atoi", ("12",), 12),
    ("atoi", ("-12",), -12),
    ("atoi", ("12.5",), 0),
    ("atoi", ("99999999999999999999",), 2**63 - 1),
    ("toDecimal", ("777",), 511),
    ("toDecimal", (755,), 493),
    ("toDecimal", ("789",), 0),
    ("add1", (3,), 4),
    ("add", (1, 2, 3), 6),
    ("add", (), 0),
    ("add", ("1", 2.9, None), 3),
    ("add", (2**63 - 1, 1), -(2**63)),
    ("sub", (14, 3), 11),
    ("mul", ("2", 3, "4", 1), 24),
    ("div", (5, 4), 1),
    ("div", (-7, 2), -3),
    ("mod", (-7, 2), -1),
    ("mod", (7, -2), 1),
    ("add1f", (3.4,), 4.4),
    ("addf", (1.5, 2.2, 3), 6.7),
    ("addf", (0.1, 0.2), 0.3),
    ("subf", (4.5, 1, 3), 0.5),
    ("mulf", ("2.4", 10, "4", 1.2), 115.2),
    ("divf", (5, 4, 2), 0.625),
    ("divf", (1, 3), 0.3333333333333333),
    ("divf", (-2, 3), -0.6666666666666667),
    ("ceil", (123,), 123.0),
    ("ceil", ("123.01",), 124.0),
    ("floor", ("123.9999",), 123.0),
    ("floor", (-0.5,), -1.0),
    ("floor", (math.inf,), math.inf),
    ("round", (123.5555, 3), 123.556),
    ("round", ("123.55555", 3), 123.556),
    ("round", (123.500001, 0), 124.0),
    ("round", (123.49999999, 0), 123.0),
    ("round", (123.2329999, 2, 0.3), 123.23),
    ("round", (123.233, 2, 0.3), 123.24),
    ("round", (-1.5, 0), -2.0),
    ("round", (1234, -2), 1200.0),
    ("seq", (0, 1, 3), "0 1 2 3"),
    ("seq", (0, 3, 10), "0 3 6 9"),
    ("seq", (3, 3, 2), ""),
    ("seq", (3, -3, 2), "3"),
    ("seq", (), ""),
    ("seq", (0, 4), "0 1 2 3 4"),
    ("seq", (5,), "1 2 3 4 5"),
    ("seq", (-5,), "1 0 -1 -2 -3 -4 -5"),
    ("seq", (0,), "1 0"),
    ("seq", (0, 1, 2, 3), ""),
    ("seq", (0, -4), "0 -1 -2 -3 -4"),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: Any) -> None:
    result = FUNCTIONS[name](*args)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("div", (1, 0), "integer divide by zero"),
        ("mod", (1, "x"), "integer divide by zero"),
        ("divf", (1, 0), "decimal division by 0"),
        ("addf", (1, "inf"), "cannot be used in decimal arithmetic"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        FUNCTIONS[name](*args)


def test_nothing_is_greater_than_not_a_number() -> None:
    assert math.isnan(FUNCTIONS["maxf"](1, math.nan, 2))


integers = st.integers(-(2**63), 2**63 - 1)


@given(integers, integers.filter(bool))
def test_quotient_and_remainder_make_the_dividend(dividend: int, divisor: int) -> None:
    quotient, remainder = FUNCTIONS["div"](dividend, divisor), FUNCTIONS["mod"](dividend, divisor)
    assert FUNCTIONS["add"](FUNCTIONS["mul"](quotient, divisor), remainder) == dividend
    assert abs(remainder) < abs(divisor)
