"""Methods of times, durations and zones, as Go's time package has them, and arithmetic between them.

A time is an aware datetime: to the microsecond, where Go's is to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Self

from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.signatures import Function
from tiphys.lang.expr.values import kind_of, utc
from tiphys.lang.gotime import format_time

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Go's Time.String.
_PRINTED = "2006-01-02 15:04:05.999999999 -0700 MST"
#: Go's time.RFC3339Nano, in which times stand in JSON.
_RFC3339 = "2006-01-02T15:04:05.999999999Z07:00"


class Enumerated(int):
    """A whole number with a name: a month, a day of the week."""

    name: str

    def __new__(cls, value: int, name: str) -> Self:
        """The number `value`, printed as `name`."""
        made = super().__new__(cls, value)
        made.name = name
        return made


def print_time(moment: datetime) -> str:
    """As Go prints a time."""
    return format_time(moment, _PRINTED)


def json_time(moment: datetime) -> str:
    """As a time stands in JSON."""
    return format_time(moment, _RFC3339)


def print_zone(zone: tzinfo) -> str:
    """Name of a zone, as it was loaded."""
    if zone is UTC:
        return "UTC"
    return "" if isinstance(zone, timezone) else str(zone)


def shift(moment: datetime, span: Duration) -> datetime:
    """The moment `span` later."""
    try:
        return (moment.astimezone(UTC) + span.nanoseconds // 1000 * _MICROSECOND).astimezone(moment.tzinfo)
    except OverflowError:
        raise FaultError("the time lies outside the years 1 to 9999") from None


def between(later: datetime, earlier: datetime) -> Duration:
    """The span from `earlier` to `later`; as in Go at most 292 years."""
    span = (utc(later) - utc(earlier)) // _MICROSECOND * 1000
    return Duration(max(-(2**63), min(2**63 - 1, span)))


def _add_date(moment: datetime, years: int, months: int, days: int) -> datetime:
    """As Go's AddDate: what exceeds a month runs over into the next."""
    year, month = divmod((moment.year + years) * 12 + moment.month - 1 + months, 12)
    try:
        return moment.replace(year=year, month=month + 1, day=1) + timedelta(days=moment.day - 1 + days)
    except (OverflowError, ValueError):
        raise FaultError("the time lies outside the years 1 to 9999") from None


def _unix(moment: datetime, unit: int) -> int:
    """Whole units of so many microseconds since 1970."""
    return (moment - _EPOCH) // (unit * _MICROSECOND)


def _step(span: int, unit: Duration, *, up: bool) -> int:
    """Nanoseconds, down (towards zero) or to the nearest multiple of `unit`."""
    size = unit.nanoseconds
    if size <= 0:
        return span
    rest = abs(span) % size
    amount = abs(span) - rest + (size if up and rest * 2 >= size else 0)
    return -amount if span < 0 else amount


def _round_time(moment: datetime, unit: Duration, *, up: bool) -> datetime:
    """To multiples of `unit` since the year 1, as Go counts."""
    size = unit.nanoseconds // 1000
    if size <= 0:
        return moment
    rest = (utc(moment) - datetime(1, 1, 1, tzinfo=UTC)) // _MICROSECOND % size
    return shift(moment, Duration(1000 * (size - rest if up and rest * 2 >= size else -rest)))


_TIME: dict[str, Function] = {
    "Year": Function(lambda t: t.year, "-> int"),
    "Month": Function(lambda t: Enumerated(t.month, format_time(t, "January")), "-> any"),
    "Day": Function(lambda t: t.day, "-> int"),
    "Hour": Function(lambda t: t.hour, "-> int"),
    "Minute": Function(lambda t: t.minute, "-> int"),
    "Second": Function(lambda t: t.second, "-> int"),
    "Nanosecond": Function(lambda t: t.microsecond * 1000, "-> int"),
    "Weekday": Function(lambda t: Enumerated(t.isoweekday() % 7, format_time(t, "Monday")), "-> any"),
    "YearDay": Function(lambda t: t.timetuple().tm_yday, "-> int"),
    "Unix": Function(lambda t: _unix(t, 1_000_000), "-> int"),
    "UnixMilli": Function(lambda t: _unix(t, 1000), "-> int"),
    "UnixMicro": Function(lambda t: _unix(t, 1), "-> int"),
    "UnixNano": Function(lambda t: _unix(t, 1) * 1000, "-> int"),
    "Format": Function(format_time, "string -> string"),
    "String": Function(print_time, "-> string"),
    "Add": Function(shift, "duration -> time"),
    "Sub": Function(between, "time -> duration"),
    "AddDate": Function(_add_date, "int int int -> time"),
    "In": Function(lambda t, zone: utc(t).astimezone(zone), "timezone -> time"),
    "UTC": Function(utc, "-> time"),
    "Location": Function(lambda t: t.tzinfo, "-> timezone"),
    "Before": Function(lambda t, other: utc(t) < utc(other), "time -> bool"),
    "After": Function(lambda t, other: utc(t) > utc(other), "time -> bool"),
    "Equal": Function(lambda t, other: utc(t) == utc(other), "time -> bool"),
    "Compare": Function(lambda t, other: (utc(t) > utc(other)) - (utc(t) < utc(other)), "time -> int"),
    "IsZero": Function(lambda t: utc(t) == datetime(1, 1, 1, tzinfo=UTC), "-> bool"),
    "Truncate": Function(lambda t, unit: _round_time(t, unit, up=False), "duration -> time"),
    "Round": Function(lambda t, unit: _round_time(t, unit, up=True), "duration -> time"),
}
_DURATION: dict[str, Function] = {
    "Hours": Function(lambda d: d.nanoseconds / 3.6e12, "-> float"),
    "Minutes": Function(lambda d: d.nanoseconds / 6e10, "-> float"),
    "Seconds": Function(lambda d: d.nanoseconds / 1e9, "-> float"),
    "Milliseconds": Function(lambda d: int(_step(d.nanoseconds, Duration(10**6), up=False) // 10**6), "-> int"),
    "Microseconds": Function(lambda d: int(_step(d.nanoseconds, Duration(1000), up=False) // 1000), "-> int"),
    "Nanoseconds": Function(lambda d: d.nanoseconds, "-> int"),
    "String": Function(str, "-> string"),
    "Abs": Function(lambda d: Duration(abs(d.nanoseconds)), "-> duration"),
    "Truncate": Function(lambda d, unit: Duration(_step(d.nanoseconds, unit, up=False)), "duration -> duration"),
    "Round": Function(lambda d, unit: Duration(_step(d.nanoseconds, unit, up=True)), "duration -> duration"),
}
_ENUMERATED: dict[str, Function] = {"String": Function(lambda number: number.name, "-> string")}
_ZONE: dict[str, Function] = {"String": Function(print_zone, "-> string")}
#: By what the checker and messages call the type.
METHODS = {"time": _TIME, "duration": _DURATION, "timezone": _ZONE}


def method_of(target: Any, name: Any) -> Callable[..., Any] | None:
    """The method `name`, bound to its time, duration or zone; None if there is none."""
    if not isinstance(name, str):
        return None
    for kind, methods in (
        (datetime, _TIME),
        (Duration, _DURATION),
        (tzinfo, _ZONE),
        (Enumerated, _ENUMERATED),
    ):
        if isinstance(target, kind) and name in methods:
            return _bound(target, name, methods[name])
    return None


def _bound(target: Any, name: str, method: Function) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        problem = method.problem(name, [kind_of(argument) for argument in arguments])
        if problem:
            raise FaultError(problem[0])
        return method.call(target, *arguments)

    return call
