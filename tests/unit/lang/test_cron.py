"""Cron schedules; the tables are those of robfig/cron v3.0.1, spec_test.go and parser_test.go, without seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiphys.errors import ExpressionError
from tiphys.lang.cron import parse_schedule

ACTIVE = [
    ("2012-07-09 15:00", "0/15 * * * *", True),
    ("2012-07-09 15:45", "0/15 * * * *", True),
    ("2012-07-09 15:40", "0/15 * * * *", False),
    ("2012-07-09 15:05", "5/15 * * * *", True),
    ("2012-07-09 15:20", "5/15 * * * *", True),
    ("2012-07-09 15:50", "5/15 * * * *", True),
    ("2012-07-15 15:00", "0/15 * * Jul *", True),
    ("2012-07-15 15:00", "0/15 * * Jun *", False),
    ("2012-07-15 08:30", "30 08 ? Jul Sun", True),
    ("2012-07-15 08:30", "30 08 15 Jul ?", True),
    ("2012-07-16 08:30", "30 08 ? Jul Sun", False),
    ("2012-07-16 08:30", "30 08 15 Jul ?", False),
    ("2012-07-09 15:00", "@hourly", True),
    ("2012-07-09 15:04", "@hourly", False),
    ("2012-07-09 15:00", "@daily", False),
    ("2012-07-09 00:00", "@daily", True),
    ("2012-07-09 00:00", "@midnight", True),
    ("2012-07-09 00:00", "@weekly", False),
    ("2012-07-08 00:00", "@weekly", True),
    ("2012-07-08 01:00", "@weekly", False),
    ("2012-07-08 00:00", "@monthly", False),
    ("2012-07-01 00:00", "@monthly", True),
    ("2012-07-01 00:00", "@yearly", False),
    ("2013-01-01 00:00", "@annually", True),
    # If both day fields are restricted, one needs to match; if one has a star, both do.
    ("2012-07-15 00:00", "* * 1,15 * Sun", True),
    ("2012-06-15 00:00", "* * 1,15 * Sun", True),
    ("2012-08-01 00:00", "* * 1,15 * Sun", True),
    ("2012-07-15 00:00", "* * */10 * Sun", True),
    ("2012-07-15 00:00", "* * * * Mon", False),
    ("2012-07-09 00:00", "* * 1,15 * *", False),
    ("2012-07-15 00:00", "* * 1,15 * *", True),
    ("2012-07-15 00:00", "* * */2 * Sun", True),
]

NEXT = [
    ("2012-07-09 14:45", "0/15 * * * *", "2012-07-09 15:00"),
    ("2012-07-09 14:59", "0/15 * * * *", "2012-07-09 15:00"),
    ("2012-07-09 14:59:59.5", "0/15 * * * *", "2012-07-09 15:00"),
    ("2012-07-09 15:45", "20-35/15 * * * *", "2012-07-09 16:20"),
    ("2012-07-09 23:46", "*/15 * * * *", "2012-07-10 00:00"),
    ("2012-07-09 23:45", "20-35/15 * * * *", "2012-07-10 00:20"),
    ("2012-07-09 23:35:51", "20-35/15 1/2 * * *", "2012-07-10 01:20"),
    ("2012-07-09 23:35:51", "20-35/15 10-12 * * *", "2012-07-10 10:20"),
    ("2012-07-09 23:35:51", "20-35/15 1/2 */2 * *", "2012-07-11 01:20"),
    ("2012-07-09 23:35:51", "20-35/15 * 9-20 * *", "2012-07-10 00:20"),
    ("2012-07-09 23:35:51", "20-35/15 * 9-20 Jul *", "2012-07-10 00:20"),
    ("2012-07-09 23:35", "0 0 9 Apr-Oct ?", "2012-08-09 00:00"),
    ("2012-07-09 23:35", "0 0 */5 Apr,Aug,Oct Mon", "2012-08-01 00:00"),
    ("2012-07-09 23:35", "0 0 */5 Oct Mon", "2012-10-01 00:00"),
    ("2012-07-09 23:35", "0 0 * Feb Mon", "2013-02-04 00:00"),
    ("2012-07-09 23:35", "0 0 * Feb Mon/2", "2013-02-01 00:00"),
    ("2012-12-31 23:59:45", "* * * * *", "2013-01-01 00:00"),
    ("2012-07-09 23:35", "0 0 29 Feb ?", "2016-02-29 00:00"),
    ("2012-07-09 23:35", "@every 5m", "2012-07-09 23:40"),
    ("2012-07-09 23:35:10.7", "@every 1h30m", "2012-07-10 01:05:10"),
    ("2012-07-09 23:35", "@every 10ms", "2012-07-09 23:35:01"),
    ("2012-07-09 23:35", "@every 1.9s", "2012-07-09 23:35:01"),
    ("2012-07-09 23:35", "*-5 1,,2 * * *", "2012-07-10 01:00"),
]

NEW_YORK = "America/New_York"
#: Zone, time, schedule, next time. Spring forward 2012-03-11 02:00, back 2012-11-04 02:00.
WITH_ZONE = [
    (NEW_YORK, "2012-03-11T00:00-05:00", "30 2 11 Mar ?", "2013-03-11T02:30-04:00"),
    (NEW_YORK, "2012-03-11T00:00-05:00", "0 * * * ?", "2012-03-11T01:00-05:00"),
    (NEW_YORK, "2012-03-11T01:00-05:00", "0 * * * ?", "2012-03-11T03:00-04:00"),
    (NEW_YORK, "2012-03-11T03:00-04:00", "0 * * * ?", "2012-03-11T04:00-04:00"),
    (NEW_YORK, "2012-03-11T01:00-05:00", "0 1 * * ?", "2012-03-12T01:00-04:00"),
    (NEW_YORK, "2012-03-11T00:00-05:00", "0 2 * * ?", "2012-03-12T02:00-04:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "30 2 04 Nov ?", "2012-11-04T02:30-05:00"),
    (NEW_YORK, "2012-11-04T01:45-04:00", "30 1 04 Nov ?", "2012-11-04T01:30-05:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "0 * * * ?", "2012-11-04T01:00-04:00"),
    (NEW_YORK, "2012-11-04T01:00-04:00", "0 * * * ?", "2012-11-04T01:00-05:00"),
    (NEW_YORK, "2012-11-04T01:00-05:00", "0 * * * ?", "2012-11-04T02:00-05:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "0 1 * * ?", "2012-11-04T01:00-04:00"),
    (NEW_YORK, "2012-11-04T01:00-04:00", "0 1 * * ?", "2012-11-04T01:00-05:00"),
    (NEW_YORK, "2012-11-04T01:00-05:00", "0 1 * * ?", "2012-11-05T01:00-05:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "0 2 * * ?", "2012-11-04T02:00-05:00"),
    (NEW_YORK, "2012-11-04T02:00-05:00", "0 2 * * ?", "2012-11-05T02:00-05:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "0 3 * * ?", "2012-11-04T03:00-05:00"),
    (NEW_YORK, "2012-11-04T03:00-05:00", "0 3 * * ?", "2012-11-05T03:00-05:00"),
    (NEW_YORK, "2012-11-04T00:00-04:00", "0 3 3 * ?", "2012-12-03T03:00-05:00"),
    # Midnight does not exist on the day the clocks go forward.
    ("America/Sao_Paulo", "2018-10-17T05:00-04:00", "0 9 10 * ?", "2018-11-10T06:00-05:00"),
    ("America/Sao_Paulo", "2018-02-14T05:00-05:00", "0 9 22 * ?", "2018-02-22T07:00-05:00"),
    # By hand: the day itself, at a midnight that does not exist; and half an hour of summer time.
    ("America/Sao_Paulo", "2018-11-03T12:00-03:00", "0 0 * * *", "2018-11-05T00:00-02:00"),
    ("America/Sao_Paulo", "2018-11-03T12:00-03:00", "0 1 * * *", "2018-11-04T01:00-02:00"),
    ("Australia/Lord_Howe", "2023-10-01T00:00+10:30", "15 2 * * *", "2023-10-02T02:15+11:00"),
    # After a change by half an hour the search goes on from half past: the first half hour of the day is passed over.
    ("Australia/Lord_Howe", "2023-10-01T02:30+11:00", "* 0 * * *", "2023-10-02T00:30+11:00"),
    ("Europe/Berlin", "2024-03-30T03:00+01:00", "30 2 * * *", "2024-04-01T02:30+02:00"),
    ("Europe/Berlin", "2024-10-27T02:30+02:00", "30 2 * * *", "2024-10-27T02:30+01:00"),
    ("Asia/Kolkata", "2016-01-03T13:09:03+05:30", "14 14 * * *", "2016-01-03T14:14+05:30"),
    ("Asia/Kolkata", "2016-01-03T04:09:03+05:30", "14 14 * * ?", "2016-01-03T14:14+05:30"),
]

NOT_A_SCHEDULE = [
    ("", "it has 0 fields"),
    ("xyz", "it has 1 fields"),
    ("* * * *", "it has 4 fields"),
    ("0 0 0 * * *", "it has 6 fields"),
    ("60 0 * * *", "'60' is not a range for the minute, which goes from 0 to 59"),
    ("0 60 * * *", "'60' is not a range for the hour"),
    ("0 0 0 * *", "'0' is not a range for the day of month"),
    ("0 0 * * XYZ", "'XYZ' is not a number for the day of week"),
    ("0 0 * * 7", "'7' is not a range for the day of week, which goes from 0 to 6"),
    ("0 0 L * *", "'L' is not a number"),
    ("5 j * * *", "'j' is not a number for the hour"),
    ("5--5 * * * *", "'5--5' is not a range"),
    ("jan-x * * * *", "'jan' is not a number for the minute"),
    ("* * * jan-x *", "'x' is not a number for the month"),
    ("*/-12 * * * *", "'-12' is not a number"),
    ("*//2 * * * *", "'*//2' is not a range"),
    ("5-3 * * * *", "'5-3' is not a range"),
    ("*/0 * * * *", "'*/0' is not a range"),
    ("TZ=America/New_York 15/0 * * * *", "'15/0' is not a range"),
    (", * * * *", "the field for the minute is empty"),
    ("@unrecognized", "there is no descriptor"),
    ("@every Xm", "'Xm' is not a duration"),
    ("@every 90", "'90' has no unit"),
    ("TZ=UTC", "it has 0 fields"),
]


def _moment(text: str, zone: str = "UTC") -> datetime:
    """A wall time of the zone, or a time with an offset, in the zone."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(ZoneInfo(zone)) if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(("moment", "text", "active"), ACTIVE)
def test_is_active(moment: str, text: str, active: bool) -> None:
    expected = _moment(moment)
    assert (parse_schedule(text).next(expected - timedelta(seconds=1)) == expected) is active


@pytest.mark.parametrize(("after", "text", "expected"), NEXT)
def test_next(after: str, text: str, expected: str) -> None:
    assert parse_schedule(text).next(_moment(after)) == _moment(expected)


@pytest.mark.parametrize(("zone", "after", "text", "expected"), WITH_ZONE)
def test_next_with_summer_time(zone: str, after: str, text: str, expected: str) -> None:
    moment = _moment(after, zone)
    for found in (
        parse_schedule(text).next(moment),
        parse_schedule(text, zone).next(moment),
        parse_schedule(f"TZ={zone}  {text}").next(moment.astimezone(UTC)),
        parse_schedule(f"CRON_TZ={zone} {text}").next(moment.astimezone(ZoneInfo("Asia/Tokyo"))),
    ):
        assert found is not None
        assert found.timestamp() == datetime.fromisoformat(expected).timestamp()


def test_answers_in_the_zone_of_the_question() -> None:
    found = parse_schedule("CRON_TZ=Asia/Tokyo 0 5 * * *").next(_moment("2024-01-01 00:00"))
    assert found is not None
    assert found.isoformat() == "2024-01-01T20:00:00+00:00"
    assert parse_schedule("TZ= 0 5 * * *").next(_moment("2024-01-01 00:00", "Asia/Tokyo")) == _moment(
        "2024-01-01 05:00"
    )


@pytest.mark.parametrize("text", ["0 0 30 Feb ?", "0 0 31 Apr ?"])
def test_some_schedules_never_happen(text: str) -> None:
    assert parse_schedule(text).next(_moment("2012-07-09 23:35")) is None
    assert parse_schedule(text).latest(_moment("2012-07-09 23:35"), _moment("2012-07-19 23:35")) is None


def test_the_calendar_has_an_end() -> None:
    assert parse_schedule("0 0 1 1 *").next(_moment("9999-06-01 00:00")) is None


@pytest.mark.parametrize(("text", "message"), NOT_A_SCHEDULE)
def test_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_schedule(text)
    assert message in caught.value.message


def test_a_time_zone_is_named_once_and_must_exist() -> None:
    with pytest.raises(ExpressionError, match="it has 6 fields"):
        parse_schedule("TZ=UTC 0 5 * * *", "Europe/Berlin")
    for name in ("Europe/Nowhere", "../etc"):
        with pytest.raises(ExpressionError, match=f"time zone '{name}' is not known"):
            parse_schedule("0 5 * * *", name)
        with pytest.raises(ExpressionError, match="is not known"):
            parse_schedule(f"TZ={name} 0 5 * * *")


def test_a_time_without_a_zone_is_refused() -> None:
    for text in ("@daily", "@every 1h"):
        with pytest.raises(ExpressionError, match="no time zone"):
            parse_schedule(text).next(datetime(2024, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "after", "before", "expected"),
    [
        ("*/5 * * * *", "2024-01-01 00:00", "2024-01-01 00:17", "2024-01-01 00:15"),
        ("*/5 * * * *", "2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:10"),
        ("*/5 * * * *", "2024-01-01 00:00", "2024-01-01 00:05", None),
        ("* * * * *", "2000-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:14"),
        ("@yearly", "2020-01-01 00:00", "2024-01-01 00:15", "2024-01-01 00:00"),
        ("@every 7m", "2024-01-01 00:00:00.5", "2024-01-01 00:28", "2024-01-01 00:21"),
        ("@every 7m", "2024-01-01 00:00", "2024-01-01 00:07", None),
        ("@daily", "2024-01-02 00:00", "2024-01-01 00:00", None),
        ("@every 1h", "2024-01-02 00:00", "2024-01-01 00:00", None),
    ],
)
def test_latest(text: str, after: str, before: str, expected: str | None) -> None:
    found = parse_schedule(text).latest(_moment(after), _moment(before))
    assert found == (_moment(expected) if expected else None)


def test_latest_tells_the_two_hours_apart_when_the_clocks_go_back() -> None:
    schedule = parse_schedule("30 1 * * *")
    found = schedule.latest(_moment("2012-11-04T01:30-04:00", NEW_YORK), _moment("2012-11-04T01:45-05:00", NEW_YORK))
    assert found is not None
    assert found.isoformat() == "2012-11-04T01:30:00-05:00"


def _steps(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    )


schedules = st.tuples(_steps(0, 59), _steps(0, 23), _steps(1, 31), _steps(1, 12), _steps(0, 6)).map(" ".join)
frequent = st.tuples(_steps(0, 59), _steps(0, 23)).map(lambda fields: " ".join(fields) + " * * *")
whole_hours = st.sampled_from(["UTC", NEW_YORK, "America/Sao_Paulo", "Asia/Kolkata"])
zones = whole_hours | st.just("Australia/Lord_Howe")
moments = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
#: When the clocks of the zones change.
changes = st.sampled_from(
    ["2012-03-11T07:00", "2012-11-04T06:00", "2018-11-04T03:00", "2018-02-18T02:00", "2023-09-30T15:30"]
)
near_changes = st.builds(lambda at, by: _moment(at) + timedelta(minutes=by), changes, st.integers(-300, 300))


def _matches(text: str, moment: datetime) -> bool:
    """Whether a moment matches the fields, each read anew."""
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    found = []
    for field, value, low in zip(text.split(), values, (0, 0, 1, 1, 0), strict=True):
        span, _, step = field.partition("/")
        first, _, last = span.partition("-")
        found.append((value - low) % int(step or 1) == 0 if first == "*" else int(first) <= value <= int(last or first))
    star = [field == "*" or field == "*/1" for field in text.split()]
    days = found[2] and found[4] if star[2] or star[4] else found[2] or found[4]
    return found[0] and found[1] and days and found[3]


@given(schedules, moments, zones)
@settings(max_examples=50)
def test_the_next_time_is_later_and_matches(text: str, after: datetime, zone: str) -> None:
    found = parse_schedule(text, zone).next(after)
    if found is not None:
        assert found > after
        assert (found.second, found.microsecond) == (0, 0)
        assert _matches(text, found.astimezone(ZoneInfo(zone)))


@given(frequent, near_changes | moments, whole_hours)
@settings(max_examples=50)
def test_nothing_matches_before_the_next_time(text: str, after: datetime, zone: str) -> None:
    found = parse_schedule(text, zone).next(after)
    assert found is not None
    minute = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < min(found, after + timedelta(hours=30)):
        assert not _matches(text, minute.astimezone(ZoneInfo(zone)))
        minute += timedelta(minutes=1)


@given(schedules, moments, st.integers(1, 5_000_000))
@settings(max_examples=50)
def test_the_latest_time_has_none_after_it(text: str, after: datetime, seconds: int) -> None:
    schedule, before = parse_schedule(text), after + timedelta(seconds=seconds)
    found = schedule.latest(after, before)
    following = schedule.next(found or after)
    assert found is None or after < found < before
    assert following is None or following >= before
