"""Parts of times; the first moment is that of argo-workflows, util/strftime/strftime_test.go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.strftime import CHARACTERS, format_strftime

THURSDAY = datetime.fromtimestamp(1340244776, UTC)
SUNDAY = datetime(2024, 12, 1, 0, 5, 9, 123456, timezone(timedelta(hours=-5, minutes=-30), "LCL"))

FORMATTED = [
    ("Y", "2012", "2024"),
    ("y", "12", "24"),
    ("m", "06", "12"),
    ("d", "21", "01"),
    ("H", "02", "00"),
    ("I", "02", "12"),
    ("M", "12", "05"),
    ("S", "56", "09"),
    ("L", ".000", ".123"),
    ("p", "AM", "AM"),
    ("A", "Thursday", "Sunday"),
    ("a", "Thu", "Sun"),
    ("B", "June", "December"),
    ("b", "Jun", "Dec"),
    ("Z", "UTC", "LCL"),
    ("z", "+0000", "-0530"),
]


@pytest.mark.parametrize(("character", "thursday", "sunday"), FORMATTED)
def test_formats_parts(character: str, thursday: str, sunday: str) -> None:
    assert format_strftime(character, THURSDAY) == thursday
    assert format_strftime(character, SUNDAY) == sunday


def test_the_table_has_every_character() -> None:
    assert {character for character, _, _ in FORMATTED} == set(CHARACTERS)


@pytest.mark.parametrize("character", ["", "%", "s", "YY", "D"])
def test_others_are_refused(character: str) -> None:
    with pytest.raises(ExpressionError, match=f"'{character}' is not a part of a time"):
        format_strftime(character, THURSDAY)


def test_a_time_without_a_zone_is_utc() -> None:
    naive = THURSDAY.replace(tzinfo=None)
    assert [format_strftime(character, naive) for character in "HZz"] == ["02", "UTC", "+0000"]


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_parts_make_the_time_again(moment: datetime) -> None:
    text = "".join(format_strftime(character, moment) for character in "YmdHMSLz")
    assert datetime.strptime(text, "%Y%m%d%H%M%S.%f%z") == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
