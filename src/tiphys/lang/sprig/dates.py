"""Dates and durations; local time is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tiphys.errors import ExpressionError
from tiphys.lang.duration import format_duration, parse_duration
from tiphys.lang.gotime import format_time, parse_time
from tiphys.lang.sprig.signature import Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Go's zero time.
_ZERO = datetime(1, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"[-+]?[0-9]+")
#: Longest first; a span must be longer than the unit to be shown in it.
_UNITS = (("y", 365 * 86_400), ("mo", 30 * 86_400), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
#: Seconds that Go's Duration can hold.
_LONGEST = 2**63 / 1e9


def date_functions(now: datetime) -> Table:
    """The functions that need the present moment."""
    return {
        "now": ("", lambda: now),
        "date": ("sa", lambda layout, date: _in_zone(layout, _moment(date, now), "UTC")),
        "dateInZone": ("sas", lambda layout, date, zone: _in_zone(layout, _moment(date, now), zone)),
        "date_in_zone": ("sas", lambda layout, date, zone: _in_zone(layout, _moment(date, now), zone)),
        "htmlDate": ("a", lambda date: _in_zone("2006-01-02", _moment(date, now), "UTC")),
        "htmlDateInZone": ("as", lambda date, zone: _in_zone("2006-01-02", _moment(date, now), zone)),
        "ago": ("a", lambda date: _ago(now - _moment(date, now))),
        "durationRound": ("a", lambda value: _duration_round(value, now)),
    }


def _moment(date: Any, now: datetime) -> datetime:
    """A time, or whole seconds since the epoch; anything else is the present moment."""
    if isinstance(date, datetime):
        return date
    if not isinstance(date, int) or isinstance(date, bool):
        return now
    try:
        return _EPOCH + timedelta(seconds=date)
    except OverflowError:
        raise ExpressionError(f"The Unix time {date} is not in the years 1 to 9999.") from None


def _in_zone(layout: str, moment: datetime, zone: str) -> str:
    return format_time(moment.astimezone(_zone(zone)), layout)


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return UTC


def _ago(span: timedelta) -> str:
    """Rounded to seconds, the half away from zero."""
    seconds = (abs(span) + timedelta(milliseconds=500)) // timedelta(seconds=1)
    return format_duration(timedelta(seconds=-seconds if span < timedelta() else seconds))


def _span(text: str) -> timedelta:
    """A duration in Go's notation, which asks for a unit after each number."""
    seconds = 0.0
    if text not in ("0", "+0", "-0"):
        if _WHOLE.fullmatch(text) or text != text.strip():
            raise ExpressionError(f'time: invalid duration "{text}"')
        seconds = parse_duration(text)
    if abs(seconds) > _LONGEST:
        raise ExpressionError(f'time: invalid duration "{text}"')
    return timedelta(seconds=seconds)


def _must_date_modify(text: str, date: datetime) -> datetime:
    try:
        return date + _span(text)
    except OverflowError:
        raise ExpressionError(f"{text} from {date.isoformat()} is not in the years 1 to 9999.") from None


def _date_modify(text: str, date: datetime) -> datetime:
    try:
        return _must_date_modify(text, date)
    except ExpressionError:
        return date


def _duration(value: Any) -> str:
    """Whole seconds, as a number or a text, in Go's notation."""
    seconds = 0
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        seconds = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    if abs(seconds) > _LONGEST:
        raise ExpressionError(f"{seconds} seconds are more than a duration can hold.")
    return format_duration(seconds)


def _duration_round(value: Any, now: datetime) -> str:
    """A duration in its largest unit: a text, nanoseconds, or the time since a moment."""
    span = timedelta()
    if isinstance(value, str):
        try:
            span = _span(value)
        except ExpressionError:
            span = timedelta()
    elif isinstance(value, timedelta):
        span = value
    elif isinstance(value, datetime):
        span = now - value
    elif isinstance(value, int) and abs(value) < 2**63:
        span = timedelta(microseconds=value / 1000)
    seconds = abs(span).total_seconds()
    return next((f"{int(seconds // size)}{unit}" for unit, size in _UNITS if seconds > size), "0s")


def _to_date(layout: str, text: str) -> datetime:
    try:
        return parse_time(layout, text)
    except ExpressionError:
        return _ZERO


FUNCTIONS: Table = {
    "dateModify": ("st", _date_modify),
    "date_modify": ("st", _date_modify),
    "mustDateModify": ("st", _must_date_modify),
    "must_date_modify": ("st", _must_date_modify),
    "duration": ("a", _duration),
    "toDate": ("ss", _to_date),
    "mustToDate": ("ss", parse_time),
    "unixEpoch": ("t", lambda date: str((date - _EPOCH) // timedelta(seconds=1))),
}
