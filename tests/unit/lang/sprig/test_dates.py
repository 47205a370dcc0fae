"""Dates; the tables carry over values of sprig's date_test.go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.functions import function_map

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FUNCTIONS = function_map(NOW, b"seed")
THEN = datetime(2019, 6, 13, 20, 39, 39, tzinfo=timezone(timedelta(), "GMT"))

GIVES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("htmlDate", (THEN,), "2019-06-13"),
    ("htmlDateInZone", (THEN, "Asia/Tokyo"), "2019-06-14"),
    ("date", ("2006", "not a date"), "2026"),
    ("date", ("2006-01-02T15:04:05Z07:00", 0), "1970-01-01T00:00:00Z"),
    ("date", ("Jan 2", THEN), "Jun 13"),
    ("dateInZone", ("02 Jan 06 15:04 -0700", THEN, "UTC"), "13 Jun 19 20:39 +0000"),
    ("date_in_zone", ("02 Jan 06 15:04 -0700", 1560458379, "Europe/Berlin"), "13 Jun 19 22:39 +0200"),
    ("dateInZone", ("02 Jan 06 15:04 MST", THEN, "foobar"), "13 Jun 19 20:39 UTC"),
    ("dateInZone", ("15:04 MST", "", "../etc"), "03:04 UTC"),
    ("ago", (NOW - timedelta(seconds=125),), "2m5s"),
    ("ago", (NOW - timedelta(hours=2, minutes=34, seconds=17.4),), "2h34m17s"),
    ("ago", (NOW + timedelta(seconds=4.5),), "-5s"),
    ("ago", ("x",), "0s"),
    ("unixEpoch", (THEN,), "1560458379"),
    ("unixEpoch", (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),), "-1"),
    ("duration", ("61",), "1m1s"),
    ("duration", ("93784",), "26h3m4s"),
    ("duration", (3600,), "1h0m0s"),
    ("duration", ("a day",), "0s"),
    ("duration", (1.5,), "0s"),
    ("durationRound", ("2h5s",), "2h"),
    ("durationRound", ("24h5s",), "1d"),
    ("durationRound", ("2400h5s",), "3mo"),
    ("durationRound", ("8761h",), "1y"),
    ("durationRound", ("-90s",), "1m"),
    ("durationRound", ("1s",), "0s"),
    ("durationRound", ("1h",), "60m"),
    ("durationRound", (2_000_000_001,), "2s"),
    ("durationRound", (NOW - timedelta(days=3, hours=1),), "3d"),
    ("durationRound", (timedelta(hours=5, seconds=1),), "5h"),
    ("durationRound", ([],), "0s"),
    ("toDate", ("2006-01-02", "2017-12-31"), datetime(2017, 12, 31, tzinfo=UTC)),
    ("toDate", ("2006-01-02", "yesterday"), datetime(1, 1, 1, tzinfo=UTC)),
    ("mustToDate", ("2006-01-02", "2017-12-31"), datetime(2017, 12, 31, tzinfo=UTC)),
    ("dateModify", ("24h", THEN), THEN + timedelta(days=1)),
    ("date_modify", ("-1.5h", THEN), THEN - timedelta(minutes=90)),
    ("dateModify", ("1f", THEN), THEN),
    ("dateModify", ("5", THEN), THEN),
    ("dateModify", ("0", THEN), THEN),
]


@pytest.mark.parametrize(("name", "args", "expected"), GIVES)
def test_gives(name: str, args: tuple[Any, ...], expected: Any) -> None:
    assert FUNCTIONS[name](*args) == expected


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("must_date_modify", ("1f", THEN), "is not a duration"),
        ("mustDateModify", ("5", THEN), "invalid duration"),
        ("mustDateModify", ("9999999h", THEN), "invalid duration"),
        ("mustDateModify", ("2500000h", datetime(9999, 1, 1, tzinfo=UTC)), "not in the years"),
        ("mustToDate", ("2006-01-02", "yesterday"), "cannot parse"),
        ("date", ("2006", 10**15), "not in the years"),
        ("duration", (10**10,), "more than a duration can hold"),
    ],
)
def test_refused(name: str, args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        FUNCTIONS[name](*args)
