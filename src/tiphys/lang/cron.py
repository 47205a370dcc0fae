"""Cron schedules: five fields (minute, hour, day of month, month, day of week), or a descriptor such as `@daily`.

A field is a list of numbers, ranges `1-5`, steps `*/15` or `5/15` (from 5 on), `*` or `?`; months and days of the week
have names of three letters, and Sunday is 0. If neither of the two day fields starts with a star, either may match.
Descriptors: `@yearly @annually @monthly @weekly @daily @midnight @hourly`, and `@every 1h30m`. A prefix `CRON_TZ=` or
`TZ=` names the time zone.

Semantics: robfig/cron v3.0.1, ParseStandard, daylight saving time included: a time that the clocks skip does not occur
that day, one that they repeat occurs twice.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiphys.errors import ExpressionError
from tiphys.lang.duration import parse_duration

_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: A search ends after so many years.
_YEARS = 5
_HINT = "Write five fields, such as '30 2 * * 1-5', or a descriptor, such as @daily or '@every 1h30m'."


class Schedule(ABC):
    """When something is to happen."""

    @abstractmethod
    def next(self, after: datetime) -> datetime | None:
        """The first time later than `after`, in the zone of `after`; None if there is none within five years.

        Args:
            after: Aware; a schedule that names no time zone goes by this one's.

        Raises:
            ExpressionError: `after` has no time zone.
        """

    @abstractmethod
    def latest(self, after: datetime, before: datetime) -> datetime | None:
        """The last time between the two, neither included: the run that was missed and may be caught up.

        Args:
            after: Aware; when it happened last.
            before: Aware; now.

        Raises:
            ExpressionError: `after` has no time zone.
        """


def parse_schedule(text: str, timezone: str = "") -> Schedule:
    """Read a schedule.

    Args:
        text: Five fields or a descriptor.
        timezone: Name of the time zone in which the fields are meant; only for a text that names none itself.

    Raises:
        ExpressionError: the text is not a schedule, or the time zone is not known.
    """
    body, zone = text.strip(), _zone(timezone) if timezone else None
    for prefix in ("CRON_TZ=", "TZ="):
        if body.startswith(prefix) and not timezone:
            name, _, body = body.removeprefix(prefix).partition(" ")
            body, zone = body.strip(), _zone(name or "UTC")
            break
    try:
        return _descriptor(body, zone) if body.startswith("@") else _fields(body, zone)
    except ExpressionError as error:
        raise ExpressionError(f"'{text}' is not a schedule: {error.message}", hint=error.hint or _HINT) from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionError(
            f"The time zone '{name}' is not known here.",
            hint="Use a name such as Europe/Berlin; if no name works, install the package tzdata.",
        ) from None


# --- reading


@dataclass(frozen=True, slots=True)
class _Bounds:
    what: str
    low: int
    high: int
    #: Names of the values, from the lowest on.
    names: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS = (
    _Bounds("minute", 0, 59),
    _Bounds("hour", 0, 23),
    _Bounds("day of month", 1, 31),
    _Bounds("month", 1, 12, _MONTHS),
    _Bounds("day of week", 0, 6, _WEEKDAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def _descriptor(text: str, zone: tzinfo | None) -> Schedule:
    if text.startswith("@every "):
        duration = text.removeprefix("@every ").strip()
        if duration.lstrip("+-").isdecimal() and duration.strip("+-0"):
            raise ExpressionError(f"'{duration}' has no unit.")
        return _Every(timedelta(seconds=max(1, math.floor(parse_duration(duration)))))
    if text not in _DESCRIPTORS:
        raise ExpressionError(f"there is no descriptor '{text}'.")
    return _fields(_DESCRIPTORS[text], zone)


def _fields(text: str, zone: tzinfo | None) -> Schedule:
    parts = text.split()
    if len(parts) != len(_BOUNDS):
        raise ExpressionError(f"it has {len(parts)} fields instead of five.")
    minutes, hours, days, months, weekdays = map(_field, parts, _BOUNDS)
    return _Fields(
        minutes=minutes.values,
        hours=hours.values,
        days=days.values,
        months=months.values,
        weekdays=weekdays.values,
        either_day=not (days.star or weekdays.star),
        zone=zone,
    )


class _Field(NamedTuple):
    values: frozenset[int]
    #: Whether it holds a star; one with a step is none.
    star: bool


def _field(text: str, bounds: _Bounds) -> _Field:
    found: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        values, all_of_them = _range(part, bounds)
        found.update(values)
        star |= all_of_them
    if not found:
        raise ExpressionError(f"the field for the {bounds.what} is empty.")
    return _Field(frozenset(found), star)


def _range(text: str, bounds: _Bounds) -> tuple[range, bool]:
    span, *steps = text.split("/")
    first, *last = span.split("-")
    if len(steps) > 1 or (len(last) > 1 and first not in ("*", "?")):
        raise ExpressionError(f"'{text}' is not a range for the {bounds.what}.")
    step = _integer(steps[0], bounds) if steps else 1
    if first in ("*", "?"):
        low, high = bounds.low, bounds.high
    else:
        low = _value(first, bounds)
        high = _value(last[0], bounds) if last else bounds.high if steps else low
    if not bounds.low <= low <= high <= bounds.high or step < 1:
        raise ExpressionError(
            f"'{text}' is not a range for the {bounds.what}, which goes from {bounds.low} to {bounds.high}."
        )
    return range(low, high + 1, step), first in ("*", "?") and step == 1


def _value(text: str, bounds: _Bounds) -> int:
    name = text.lower()
    return bounds.low + bounds.names.index(name) if name in bounds.names else _integer(text, bounds)


def _integer(text: str, bounds: _Bounds) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ExpressionError(f"'{text}' is not a number for the {bounds.what}.")
    return int(text)


# --- finding the next time


@dataclass(frozen=True, slots=True)
class _Every(Schedule):
    """Again and again after the same time."""

    delay: timedelta

    def next(self, after: datetime) -> datetime | None:
        return (_utc(after).replace(microsecond=0) + self.delay).astimezone(after.tzinfo)

    def latest(self, after: datetime, before: datetime) -> datetime | None:
        start = _utc(after).replace(microsecond=0)
        times = math.ceil((_utc(before) - start) / self.delay) - 1
        return (start + times * self.delay).astimezone(after.tzinfo) if times > 0 else None


@dataclass(frozen=True, slots=True)
class _Fields(Schedule):
    """Whenever the clock shows one of the values of each field."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    #: Whether a day needs to match one of the two day fields only.
    either_day: bool
    #: None for the zone of the time that is asked about.
    zone: tzinfo | None

    def next(self, after: datetime) -> datetime | None:
        own = _aware(after)
        found = self._after(_utc(after), self.zone or own)
        return None if found is None else found.astimezone(own)

    def latest(self, after: datetime, before: datetime) -> datetime | None:
        # Looks back over twice the time at each turn, so that few times are walked through however long it was.
        own = _aware(after)
        first, end = _utc(after), _utc(before)
        start, span = end, _MINUTE
        while start > first:
            start, span = max(first, end - span), span * 2
            found, following = None, self._after(start, self.zone or own)
            while following is not None and following < end:
                found, following = following, self._after(following, self.zone or own)
            if found is not None:
                return found.astimezone(own)
        return None

    def _after(self, moment: datetime, zone: tzinfo) -> datetime | None:
        try:
            found = self._search((moment.replace(microsecond=0) + _SECOND).astimezone(zone), zone)
        except (OverflowError, ValueError):  # behind the last year that a datetime can hold
            return None
        return None if found is None else found.astimezone(UTC)

    def _search(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """The first moment from this one on that matches; moves the largest field that does not, then looks again."""
        last_year = moment.year + _YEARS
        #: Whether the smaller fields start from their lowest value, as a larger one was moved.
        moved = False
        while moment.year <= last_year:
            if moment.month not in self.months:
                moment = moment if moved else _local(zone, moment, day=1, hour=0)
                moved, moment = True, _local(zone, moment, months=1)
            elif not self._is_day(moment):
                moment = moment if moved else _local(zone, moment, hour=0)
                moved, moment = True, _midnight(_local(zone, moment, days=1))
            elif moment.hour not in self.hours:
                moment = moment if moved else _local(zone, moment, hour=moment.hour)
                moved, moment = True, _plus(moment, _HOUR)
            elif moment.minute not in self.minutes or moment.second:
                moved, moment = True, _plus(moment, _MINUTE - timedelta(seconds=moment.second))
            else:
                return moment
        return None

    def _is_day(self, moment: datetime) -> bool:
        in_month, in_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week


def _aware(moment: datetime) -> tzinfo:
    if moment.tzinfo is None:
        raise ExpressionError(f"'{moment}' has no time zone.")
    return moment.tzinfo


def _utc(moment: datetime) -> datetime:
    _aware(moment)
    return moment.astimezone(UTC)


def _plus(moment: datetime, delta: timedelta) -> datetime:
    """Later by a time that really passes."""
    return (moment.astimezone(UTC) + delta).astimezone(moment.tzinfo)


def _midnight(moment: datetime) -> datetime:
    """Back to midnight, or on to it, where the clocks skip the midnight that was meant."""
    if moment.hour == 0:
        return moment
    return _plus(moment, _HOUR * (24 - moment.hour if moment.hour > 12 else -moment.hour))


def _local(
    zone: tzinfo, moment: datetime, *, day: int | None = None, hour: int | None = None, months: int = 0, days: int = 0
) -> datetime:
    """What the clock shows at `moment`, changed, as a moment again.

    Args:
        zone: Of the clock.
        moment: In that zone.
        day: Of the month.
        hour: Sets the hour, and the minutes to 0.
        months: To go on.
        days: To go on.

    A clock that is put forward or back makes some readings void or double; what they mean is what Go's time.Date makes
    of them.
    """
    month = moment.month - 1 + months
    first = date(moment.year + month // 12, month % 12 + 1, 1)
    target = first + _DAY * ((moment.day if day is None else day) - 1 + days)
    minute, second = (moment.minute, moment.second) if hour is None else (0, 0)
    reading = datetime(
        target.year, target.month, target.day, moment.hour if hour is None else hour, minute, second, tzinfo=UTC
    )
    guess = reading - _offset(reading, zone)
    return (reading - _offset(guess, zone)).astimezone(zone)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
