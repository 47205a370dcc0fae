"""Go's times; the tables carry over values of Go's time/format_test.go and time_test.go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.gotime import LAYOUTS, STRING_LAYOUT, format_time, parse_time

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
MOMENT = datetime(2009, 2, 4, 21, 0, 57, 12345, tzinfo=LOS_ANGELES)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (LAYOUTS["ANSIC"], "Wed Feb  4 21:00:57 2009"),
        (LAYOUTS["UnixDate"], "Wed Feb  4 21:00:57 PST 2009"),
        (LAYOUTS["RubyDate"], "Wed Feb 04 21:00:57 -0800 2009"),
        (LAYOUTS["RFC822"], "04 Feb 09 21:00 PST"),
        (LAYOUTS["RFC850"], "Wednesday, 04-Feb-09 21:00:57 PST"),
        (LAYOUTS["RFC1123"], "Wed, 04 Feb 2009 21:00:57 PST"),
        (LAYOUTS["RFC1123Z"], "Wed, 04 Feb 2009 21:00:57 -0800"),
        (LAYOUTS["RFC3339"], "2009-02-04T21:00:57-08:00"),
        (LAYOUTS["RFC3339Nano"], "2009-02-04T21:00:57.012345-08:00"),
        (LAYOUTS["Kitchen"], "9:00PM"),
        ("3pm", "9pm"),
        ("3PM", "9PM"),
        ("06 01 02", "09 02 04"),
        ("Hi Janet, the Month is January", "Hi Janet, the Month is February"),
        (LAYOUTS["Stamp"], "Feb  4 21:00:57"),
        (LAYOUTS["StampMilli"], "Feb  4 21:00:57.012"),
        (LAYOUTS["StampMicro"], "Feb  4 21:00:57.012345"),
        (LAYOUTS["StampNano"], "Feb  4 21:00:57.012345000"),
        ("Jan  2 002 __2 2", "Feb  4 035  35 4"),
        ("15:04_20060102", "21:00_20090204"),
        ("05,000", "57,012"),
        ("05.99", "57.01"),
        ("2006.010", "2009.020"),
        ("Z07 Z0700 -07 -070000", "-08 -0800 -08 -080000"),
        (STRING_LAYOUT, "2009-02-04 21:00:57.012345 -0800 PST"),
        ("", ""),
    ],
)
def test_format(layout: str, expected: str) -> None:
    assert format_time(MOMENT, layout) == expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (UTC, "Z +0000 UTC"),
        (timezone(timedelta(hours=-5)), "-05:00 -0500 -0500"),
        (timezone(timedelta(hours=-5), "EST"), "-05:00 -0500 EST"),
        (timezone(timedelta(minutes=260), "OTO"), "+04:20 +0420 OTO"),
        (ZoneInfo("Asia/Kolkata"), "+05:30 +0530 IST"),
    ],
)
def test_zones(zone: tzinfo, expected: str) -> None:
    assert format_time(datetime(2000, 12, 26, 1, 15, 6, tzinfo=zone), "Z07:00 -0700 MST") == expected


def test_noon_and_midnight() -> None:
    assert format_time(datetime(2000, 1, 1, 12, tzinfo=UTC), "3:04PM 03") == "12:00PM 12"
    assert format_time(datetime(2000, 1, 1, 0, tzinfo=UTC), "3:04PM 03") == "12:00AM 12"
    assert parse_time("3:04PM", "12:00PM").hour == 12
    assert parse_time("03:04pm", "12:00am").hour == 0


PACIFIC = timezone(timedelta(hours=-8))
EVENING = datetime(2010, 2, 4, 21, 0, 57, tzinfo=PACIFIC)
IN_UTC = EVENING.replace(tzinfo=UTC)
PARSED = [
    ("UnixDate", "Thu Feb  4 21:00:57 PST 2010", EVENING),
    ("RubyDate", "Thu Feb 04 21:00:57 -0800 2010", EVENING),
    ("RFC850", "Thursday, 04-Feb-10 21:00:57 PST", EVENING),
    ("RFC1123", "Thu, 04 Feb 2010 22:00:57 PDT", EVENING),
    ("RFC3339", "2010-02-04T21:00:57-08:00", EVENING),
    ("RFC3339", "2010-02-05T05:00:57Z", EVENING),
    ("2006-01-02 15:04:05-07", "2010-02-04 21:00:57-08", EVENING),
    ("UnixDate", "Thu Feb  4 21:00:57.01 PST 2010", EVENING.replace(microsecond=10_000)),
    ("RFC3339", "2010-02-04T21:00:57.012345678-08:00", EVENING.replace(microsecond=12_345)),
    ("UnixDate", "Fri Feb  5 05:00:57 GMT-8 2010", EVENING + timedelta(hours=8)),
    ("2006-01-02 15:04:05.9999 -0700 MST", "2010-02-04 21:00:57 -0800 PST", EVENING),
    ("2006-01-02 15:04:05,999 -0700 MST", "2010-02-04 21:00:57.0123 -0800 PST", EVENING.replace(microsecond=12_300)),
]
PARSED_IN_UTC = [
    ("ANSIC", "Thu Feb  4 21:00:57 2010", IN_UTC),
    ("ANSIC", "Thu Feb 4 21:00:57 2010", IN_UTC),
    ("ANSIC", "thu      feb     4     21:00:57     2010", IN_UTC),
    ("Mon Jan _2 15:04:05,000 2006", "Thu Feb  4 21:00:57.012 2010", IN_UTC.replace(microsecond=12_000)),
    ("2006.01.02.15.04.05.00", "2010.02.04.21.00.57.01", IN_UTC.replace(microsecond=10_000)),
    ("Hi Janet, the Month is January: Jan _2 15:04:05 2006", "Hi Janet, the Month is Feb: Feb  4 21:00:57 2010", None),
    ("January Jan _2 15:04:05 2006", "February Feb  4 21:00:57 2010", IN_UTC),
    ("2006-01-02 002 15:04:05", "2010-02-04 035 21:00:57", IN_UTC),
    ("200600204 15:04:05", "201003504 21:00:57", IN_UTC),
    ("06-1-2 15:04:05", "10-2-4 21:00:57", IN_UTC),
    ("DateOnly", "2012-02-29", datetime(2012, 2, 29, tzinfo=UTC)),
    ("2006-002", "2020-366", datetime(2020, 12, 31, tzinfo=UTC)),
    ("06", "69", datetime(1969, 1, 1, tzinfo=UTC)),
    ("06", "68", datetime(2068, 1, 1, tzinfo=UTC)),
    ("2006 MST", "2020 CEST", datetime(2020, 1, 1, tzinfo=timezone(timedelta(), "CEST"))),
]


@pytest.mark.parametrize(("layout", "text", "expected"), PARSED)
def test_parse_in_a_zone(layout: str, text: str, expected: datetime) -> None:
    moment = parse_time(LAYOUTS.get(layout, layout), text, LOS_ANGELES)
    assert moment == expected


@pytest.mark.parametrize(("layout", "text", "expected"), PARSED_IN_UTC)
def test_parse(layout: str, text: str, expected: datetime | None) -> None:
    if expected is None:
        with pytest.raises(ExpressionError, match="cannot parse"):
            parse_time(layout, text)
    else:
        assert parse_time(LAYOUTS.get(layout, layout), text) == expected


@pytest.mark.parametrize("name", ["ChST", "MeST", "GMT", "GMT+12", "WITA", "ESAST", "MSD", "+03", "-11"])
def test_unknown_zone_is_kept_by_name(name: str) -> None:
    moment = parse_time("2006 MST", f"2020 {name}")
    assert format_time(moment, "MST") == name


ANSIC = LAYOUTS["ANSIC"]
RFC3339 = LAYOUTS["RFC3339"]
REFUSED = [
    (ANSIC, "Feb  4 21:00:60 2010", "cannot parse"),
    (ANSIC, "Thu Feb  4 21:00:57 @2010", 'cannot parse "@2010" as "2006"'),
    (ANSIC, "Thu Feb  4 21:00:60 2010", "second out of range"),
    (ANSIC, "Thu Feb  4 21:61:57 2010", "minute out of range"),
    (ANSIC, "Thu Feb  4 24:00:60 2010", "hour out of range"),
    (ANSIC, "Thu Feb 29 21:00:57 2010", "day out of range"),
    (ANSIC, "Thu Dec 00 21:00:57 2010", "day out of range"),
    ("Mon Jan _2 15:04:05.000 2006", "Thu Feb  4 23:00:59x01 2010", "cannot parse"),
    ("Mon Jan _2 15:04:05.000 2006", "Thu Feb  4 23:00:59.-123 2010", "fractional second out of range"),
    (LAYOUTS["StampNano"], "Dec  7 11:22:01.000000", 'cannot parse ".000000" as ".000000000"'),
    (LAYOUTS["StampNano"], "Dec  7 11:22:01.0000000000", 'extra text: "0"'),
    (RFC3339, "2006-01-02T15:04:05Z07:00", 'parsing time "2006-01-02T15:04:05Z07:00": extra text: "07:00"'),
    (RFC3339, "2006-01-02T15:04_abc", f'as "{RFC3339}": cannot parse "_abc" as ":"'),
    (RFC3339, "2006-01-02T15:04:05_abc", 'cannot parse "_abc" as "Z07:00"'),
    (RFC3339, "2010-02-04T21:00:67.012345678-08:00", "second out of range"),
    ("_2 Jan 06 15:04 MST", "4 --- 00 00:00 GMT", "cannot parse"),
    ("Jan _2 002 2006", "Feb  4 034 2006", "day-of-year does not match day"),
    ("Jan _2 002 2006", "Feb  4 004 2006", "day-of-year does not match month"),
    ("2006-002", "2010-366", "day-of-year out of range"),
    ("01 MST", "0 MST", 'cannot parse "0 MST" as "01"'),
    ("01-02", "13-01", "month out of range"),
    ("-0700", "+2500", "time zone offset hour out of range"),
    ("-0700", "+0099", "time zone offset minute out of range"),
    ("2006", "0000", "year out of range"),
    (RFC3339, "9999-12-31T23:00:00-02:00", "year out of range"),
    ("MST", "MSDY", "cannot parse"),
    ("MST", "-24", "cannot parse"),
    ("3PM", "3pm", "cannot parse"),
]


@pytest.mark.parametrize(("layout", "text", "message"), REFUSED)
def test_refused(layout: str, text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_time(layout, text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("layout", "text", "seconds"),
    [
        ("2006-01-02T15:04:05-070000", "1871-01-01T05:33:02-003408", -2048),
        ("2006-01-02T15:04:05-07:00:00", "1871-01-01T05:33:02+00:34:08", 2048),
        ("2006-01-02T15:04:05Z070000", "1871-01-01T05:33:02-003408", -2048),
        ("2006-01-02T15:04:05Z07", "1871-01-01T05:33:02-02", -7200),
        (LAYOUTS["RubyDate"], "Mon Jan 02 15:04:05 +0123 2006", 4980),
    ],
)
def test_offsets(layout: str, text: str, seconds: int) -> None:
    moment = parse_time(layout, text)
    assert moment.utcoffset() == timedelta(seconds=seconds)
    assert format_time(moment, layout) == text


offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets),  # noqa: DTZ001 the bounds must be naive
    st.sampled_from(["RFC3339Nano", "Jan _2 2006 3:04:05.000000 PM Z07:00", "002 2006 15:4:5.999999-0700"]),
)
def test_what_is_formatted_can_be_parsed(moment: datetime, layout: str) -> None:
    layout = LAYOUTS.get(layout, layout)
    assert parse_time(layout, format_time(moment, layout)) == moment
