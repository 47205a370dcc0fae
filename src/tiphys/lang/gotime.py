"""Times and durations in Go's notation: a layout shows how the reference moment (2 January 2006, 15:04:05) would look.

Semantics: Go's package time (format.go). A moment is an aware datetime, so three things differ: a fraction of a second
is kept to the microsecond, a layout without a year gives year 1 (Go has year 0), and a zone lies less than 24 hours
from UTC.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from tiphys.errors import ExpressionError

#: Go's named layouts.
LAYOUTS: dict[str, str] = {
    "Layout": "01/02 03:04:05PM '06 -0700",
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
    "Kitchen": "3:04PM",
    "Stamp": "Jan _2 15:04:05",
    "StampMilli": "Jan _2 15:04:05.000",
    "StampMicro": "Jan _2 15:04:05.000000",
    "StampNano": "Jan _2 15:04:05.000000000",
    "DateTime": "2006-01-02 15:04:05",
    "DateOnly": "2006-01-02",
    "TimeOnly": "15:04:05",
}
#: The layout of Go's Time.String.
STRING_LAYOUT = "2006-01-02 15:04:05.999999999 -0700 MST"

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

#: What stands for a part of the moment; a short name must not go on with a small letter ("Janet" is text).
_CHUNK = re.compile(
    r"(January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|15|1|2006|2|_2(?!006)|__2|3|4|5|PM|pm"
    r"|[-Z](?:070000|07:00:00|0700|07:00|07)|[.,](?:0+|9+)(?![0-9]))"
)


@lru_cache(maxsize=256)
def _chunks(layout: str) -> tuple[str, ...]:
    """The layout cut into text, chunk, text, …, text."""
    return tuple(_CHUNK.split(layout))


def format_time(moment: datetime, layout: str) -> str:
    """The moment as the layout shows it.

    Args:
        moment: An aware datetime; it is printed in its own zone.
        layout: Go's notation.
    """
    pieces = list(_chunks(layout))
    for index in range(1, len(pieces), 2):
        pieces[index] = _formatted(moment, pieces[index])
    return "".join(pieces)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "January": lambda moment: _MONTHS[moment.month - 1],
    "Jan": lambda moment: _MONTHS[moment.month - 1][:3],
    "1": lambda moment: str(moment.month),
    "01": lambda moment: f"{moment.month:02}",
    "Monday": lambda moment: _DAYS[moment.weekday()],
    "Mon": lambda moment: _DAYS[moment.weekday()][:3],
    "2": lambda moment: str(moment.day),
    "_2": lambda moment: f"{moment.day:2}",
    "02": lambda moment: f"{moment.day:02}",
    "__2": lambda moment: f"{_day_of_year(moment):3}",
    "002": lambda moment: f"{_day_of_year(moment):03}",
    "15": lambda moment: f"{moment.hour:02}",
    "3": lambda moment: str(moment.hour % 12 or 12),
    "03": lambda moment: f"{moment.hour % 12 or 12:02}",
    "4": lambda moment: str(moment.minute),
    "04": lambda moment: f"{moment.minute:02}",
    "5": lambda moment: str(moment.second),
    "05": lambda moment: f"{moment.second:02}",
    "2006": lambda moment: f"{moment.year:04}",
    "06": lambda moment: f"{moment.year % 100:02}",
    "PM": lambda moment: "AM" if moment.hour < 12 else "PM",
    "pm": lambda moment: "am" if moment.hour < 12 else "pm",
    "MST": lambda moment: zone_name(moment) or _offset(moment, "-0700"),
}


def _formatted(moment: datetime, chunk: str) -> str:
    if chunk in _FORMATS:
        return _FORMATS[chunk](moment)
    if chunk[0] in ".,":
        return _fraction(moment.microsecond * 1000, chunk)
    return _offset(moment, chunk)


def _day_of_year(moment: datetime) -> int:
    return moment.timetuple().tm_yday


def _fraction(nanoseconds: int, chunk: str) -> str:
    digits = f"{nanoseconds:09}"[: len(chunk) - 1]
    if chunk[1] == "9":
        digits = digits.rstrip("0")
    return chunk[0] + digits if digits else ""


def _offset(moment: datetime, chunk: str) -> str:
    """The distance from UTC in the form of the chunk; Go rounds it to the minute before it looks at the sign."""
    seconds = round((moment.utcoffset() or timedelta()).total_seconds())
    if chunk[0] == "Z" and seconds == 0:
        return "Z"
    sign = "-" if seconds <= -60 else "+"
    minutes, second = divmod(abs(seconds), 60)
    colon = ":" if ":" in chunk else ""
    text = f"{sign}{minutes // 60:02}"
    parts = len(chunk.replace(":", "")) // 2
    if parts > 1:
        text += f"{colon}{minutes % 60:02}"
    return text + f"{colon}{second:02}" if parts > 2 else text


def zone_name(moment: datetime) -> str:
    """The abbreviation of the moment's zone, empty if the zone is a bare offset."""
    zone = moment.tzinfo
    name = moment.tzname() or ""
    bare = isinstance(zone, timezone) and zone != UTC and timezone(zone.utcoffset(None)).tzname(None) == name
    return "" if bare else name


class _BadError(Exception):
    """A piece of text is not what its chunk asks for; with a word if it is only out of range."""


@dataclass(slots=True)
class _Fields:
    """What was read so far; -1 means not read."""

    year: int = 1
    month: int = -1
    day: int = -1
    day_of_year: int = -1
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    half: str = ""
    #: Seconds east of UTC.
    offset: int | None = None
    zone_name: str = ""


def parse_time(layout: str, text: str, zone: tzinfo = UTC) -> datetime:
    """The moment that a text shows, as Go's time.ParseInLocation.

    Args:
        layout: Go's notation; a fraction may follow the seconds even if it has none.
        text: What to read. Runs of spaces count as one; names in any case.
        zone: Where a text without a zone is, and where its zone's abbreviation is looked up. An unknown abbreviation is
            kept with an offset of zero.

    Raises:
        ExpressionError: the text does not follow the layout, or a part is out of range.
    """
    fields, rest, pieces = _Fields(), text, _chunks(layout)
    for index, piece in enumerate(pieces):
        before = rest
        try:
            if index % 2 == 0:
                rest = _skip(rest, piece)
            else:
                following = pieces[index + 2] if index + 2 < len(pieces) else ""
                rest = _read(fields, piece, rest, following)
        except _BadError as error:
            if str(error):
                raise _refused(text, f": {error} out of range") from None
            where = f" as {_quote(layout)}: cannot parse {_quote(before)} as {_quote(piece)}"
            raise _refused(text, where) from None
    if rest:
        raise _refused(text, f": extra text: {_quote(rest)}")
    return _assembled(fields, text, zone)


def _refused(text: str, why: str) -> ExpressionError:
    return ExpressionError(f"parsing time {_quote(text)}{why}")


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _skip(rest: str, expected: str) -> str:
    """What follows the expected text."""
    while expected:
        if expected[0] == " ":
            if rest and rest[0] != " ":
                raise _BadError
            expected, rest = expected.lstrip(" "), rest.lstrip(" ")
            continue
        if rest[:1] != expected[0]:
            raise _BadError
        expected, rest = expected[1:], rest[1:]
    return rest


#: Chunk → the field that it fills, the digits that it takes, and the values allowed.
_NUMBERS: dict[str, tuple[str, re.Pattern[str], range | None]] = {
    chunk: (field, re.compile(digits), allowed)
    for chunk, field, digits, allowed in (
        ("2006", "year", "([0-9]{4})", range(1, 10_000)),
        ("06", "year", "([0-9]{2})", None),
        ("1", "month", "([0-9]{1,2})", range(1, 13)),
        ("01", "month", "([0-9]{2})", range(1, 13)),
        ("2", "day", "([0-9]{1,2})", None),
        ("_2", "day", " ?([0-9]{1,2})", None),
        ("02", "day", "([0-9]{2})", None),
        ("__2", "day_of_year", " {0,2}([0-9]{1,3})", None),
        ("002", "day_of_year", "([0-9]{3})", None),
        ("15", "hour", "([0-9]{1,2})", range(24)),
        ("3", "hour", "([0-9]{1,2})", range(13)),
        ("03", "hour", "([0-9]{2})", range(13)),
        ("4", "minute", "([0-9]{1,2})", range(60)),
        ("04", "minute", "([0-9]{2})", range(60)),
        ("5", "second", "([0-9]{1,2})", range(60)),
        ("05", "second", "([0-9]{2})", range(60)),
    )
}
_OFFSETS = {
    parts: re.compile(digits)
    for parts, digits in (
        ("07", "([-+])([0-9]{2})"),
        ("0700", "([-+])([0-9]{2})([0-9]{2})"),
        ("07:00", "([-+])([0-9]{2}):([0-9]{2})"),
        ("070000", "([-+])([0-9]{2})([0-9]{2})([0-9]{2})"),
        ("07:00:00", "([-+])([0-9]{2}):([0-9]{2}):([0-9]{2})"),
    )
}
_FRACTION = re.compile(r"[.,]([0-9]+)")
#: Signed hours, as some zones are called.
_SIGNED = r"[-+]0*(?:2[0-3]|1[0-9]|[0-9])(?![0-9])"
_ZONE = re.compile(rf"ChST|MeST|GMT(?:{_SIGNED})?|{_SIGNED}|WITA(?![A-Z])|[A-Z]{{3,4}}T(?![A-Z])|[A-Z]{{3}}(?![A-Z])")


def _read(fields: _Fields, chunk: str, rest: str, following: str) -> str:
    """Fills the chunk's field from the start of `rest`; returns what is left."""
    if chunk in _NUMBERS:
        return _read_number(fields, chunk, rest, following)
    if chunk in ("January", "Jan"):
        number, rest = _read_name(_MONTHS if chunk == "January" else tuple(name[:3] for name in _MONTHS), rest)
        fields.month = number + 1
        return rest
    if chunk in ("Monday", "Mon"):
        return _read_name(_DAYS if chunk == "Monday" else tuple(name[:3] for name in _DAYS), rest)[1]
    if chunk in ("PM", "pm"):
        if rest[:2] not in ((chunk, "AM") if chunk == "PM" else (chunk, "am")):
            raise _BadError
        fields.half = rest[:2].upper()
        return rest[2:]
    if chunk == "MST":
        return _read_zone(fields, rest)
    if chunk[0] in ".,":
        return _read_fraction(fields, chunk, rest)
    return _read_offset(fields, chunk, rest)


def _read_number(fields: _Fields, chunk: str, rest: str, following: str) -> str:
    name, digits, allowed = _NUMBERS[chunk]
    match = digits.match(rest)
    if not match:
        raise _BadError
    value = int(match[1])
    if allowed is not None and value not in allowed:
        raise _BadError(name)
    if chunk == "06":
        value += 1900 if value >= 69 else 2000
    setattr(fields, name, value)
    rest = rest[match.end() :]
    if name == "second" and following[:1] not in (".", ",") and (fraction := _FRACTION.match(rest)):
        fields.nanosecond = _nanoseconds(fraction[1])
        rest = rest[fraction.end() :]
    return rest


def _read_name(names: tuple[str, ...], rest: str) -> tuple[int, str]:
    for number, name in enumerate(names):
        if rest[: len(name)].lower() == name.lower():
            return number, rest[len(name) :]
    raise _BadError


def _read_zone(fields: _Fields, rest: str) -> str:
    if rest.startswith("UTC"):
        fields.offset, fields.zone_name = 0, "UTC"
        return rest[3:]
    match = _ZONE.match(rest)
    if not match:
        raise _BadError
    fields.zone_name = match[0]
    return rest[match.end() :]


def _nanoseconds(digits: str) -> int:
    return int(digits[:9].ljust(9, "0"))


def _read_fraction(fields: _Fields, chunk: str, rest: str) -> str:
    if chunk[1] == "9":
        match = _FRACTION.match(rest)
        if match:
            fields.nanosecond = _nanoseconds(match[1])
            rest = rest[match.end() :]
        return rest
    digits = rest[1 : len(chunk)]
    if len(rest) < len(chunk) or rest[0] not in ".,":
        raise _BadError
    if not (digits.isascii() and digits.isdigit()):
        raise _BadError("fractional second" if re.fullmatch("-[0-9]+", digits) else "")
    fields.nanosecond = _nanoseconds(digits)
    return rest[len(chunk) :]


def _read_offset(fields: _Fields, chunk: str, rest: str) -> str:
    if chunk[0] == "Z" and rest[:1] == "Z":
        fields.offset, fields.zone_name = 0, "UTC"
        return rest[1:]
    match = _OFFSETS[chunk[1:]].match(rest)
    if not match:
        raise _BadError
    numbers = [int(number) for number in match.groups()[1:]] + [0, 0]
    for number, limit, unit in zip(numbers, (24, 60, 60), ("hour", "minute", "second"), strict=False):
        if number > limit:
            raise _BadError(f"time zone offset {unit}")
    seconds = (numbers[0] * 60 + numbers[1]) * 60 + numbers[2]
    if seconds >= 86_400:
        raise _BadError("time zone offset hour")
    fields.offset = -seconds if match[1] == "-" else seconds
    return rest[match.end() :]


def _assembled(fields: _Fields, text: str, zone: tzinfo) -> datetime:
    month, day = _month_and_day(fields, text)
    hour = fields.hour
    if fields.half == "PM" and hour < 12:
        hour += 12
    elif fields.half == "AM" and hour == 12:
        hour = 0
    try:
        moment = datetime(
            fields.year, month, day, hour, fields.minute, fields.second, fields.nanosecond // 1000, tzinfo=UTC
        )
    except ValueError:
        raise _refused(text, ": day out of range") from None
    try:
        return _placed(moment, fields, zone)
    except OverflowError:
        raise _refused(text, ": year out of range") from None


def _month_and_day(fields: _Fields, text: str) -> tuple[int, int]:
    if fields.day_of_year < 0:
        return (1 if fields.month < 0 else fields.month), (1 if fields.day < 0 else fields.day)
    if not 1 <= fields.day_of_year <= 365 + isleap(fields.year):
        raise _refused(text, ": day-of-year out of range")
    found = datetime(fields.year, 1, 1, tzinfo=UTC) + timedelta(days=fields.day_of_year - 1)
    for name, given, meant in (("month", fields.month, found.month), ("day", fields.day, found.day)):
        if given >= 0 and given != meant:
            raise _refused(text, f": day-of-year does not match {name}")
    return found.month, found.day


def _placed(moment: datetime, fields: _Fields, zone: tzinfo) -> datetime:
    """The moment's figures, read in UTC so far, moved into their zone."""
    if fields.offset is not None:
        if fields.offset == 0 and fields.zone_name == "UTC":
            return moment
        distance = timedelta(seconds=fields.offset)
        there = (moment - distance).astimezone(zone)
        if there.utcoffset() == distance and fields.zone_name in ("", there.tzname()):
            return there
        return moment.replace(tzinfo=_fixed(distance, fields.zone_name))
    if not fields.zone_name:
        return moment.replace(tzinfo=zone)
    # The abbreviation as it holds at that time, or else in another part of the year.
    for guess in (moment, moment.replace(fold=1), moment.replace(month=1, day=1), moment.replace(month=7, day=1)):
        local = guess.replace(tzinfo=zone)
        if local.tzname() == fields.zone_name:
            return (moment - (local.utcoffset() or timedelta())).astimezone(zone)
    hours = int(fields.zone_name[3:]) if fields.zone_name[:3] == "GMT" and len(fields.zone_name) > 3 else 0
    return moment.replace(tzinfo=_fixed(timedelta(hours=hours), fields.zone_name))


def _fixed(distance: timedelta, name: str) -> timezone:
    return timezone(distance, name) if name else timezone(distance)
