"""Durations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10.0),
        ("0", 0.0),
        ("-5", -5.0),
        ("1h2m3.5s", 3723.5),
        ("1.5h", 5400.0),
        (".5m", 30.0),
        ("500ms", 0.5),
        ("100us", 1e-4),
        ("7µs", 7e-6),
        ("2ns", 2e-9),
        ("-1m", -60.0),
        ("+1m30s", 90.0),
        (" 90s ", 90.0),
    ],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1.5", "1d", "1h 2m", "--1s", "1s2", "ten", "-"])
def test_wrong(text: str) -> None:
    with pytest.raises(ExpressionError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (3600, "1h0m0s"),
        (1e-9, "1ns"),
        (1.1e-6, "1.1µs"),
        (0.0022, "2.2ms"),
        (3.3, "3.3s"),
        (245, "4m5s"),
        (245.001, "4m5.001s"),
        (18367.001, "5h6m7.001s"),
        (8 * 60 + 1e-9, "8m0.000000001s"),
        (timedelta(days=1, hours=1), "25h0m0s"),
        (-90, "-1m30s"),
        (timedelta(microseconds=-1), "-1µs"),
    ],
)
def test_format(duration: float | timedelta, expected: str) -> None:
    assert format_duration(duration) == expected


@given(st.integers(0, 10**9))
def test_what_is_printed_is_read_back(millis: int) -> None:
    assert parse_duration(format_duration(millis / 1000)) == pytest.approx(millis / 1000)
