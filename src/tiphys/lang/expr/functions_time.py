"""Built-in functions of time. Semantics: expr-lang v1.17, builtin/builtin.go, and Go's package time."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiphys.errors import ExpressionError
from tiphys.lang.expr.context import Run
from tiphys.lang.expr.durations import Duration, read_duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.signatures import Function
from tiphys.lang.expr.values import describe
from tiphys.lang.gotime import parse_time

#: What `date` reads where no layout is given: the last three are RFC 822, RFC 850 and RFC 1123.
_LAYOUTS = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)


def _now(run: Run, zone: tzinfo | None = None) -> datetime:
    if run.context is None:
        raise FaultError("there is no time here: now() cannot be used in this place")
    return run.context.now if zone is None else run.context.now.astimezone(zone)


def _duration(run: Run, text: str) -> Duration:
    run.step(len(text))
    return read_duration(text)


def _load_zone(_: Run, name: str) -> tzinfo:
    """The time zone of a name as in the IANA database; "" and "UTC" are UTC.

    Raises:
        FaultError: there is none.
    """
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FaultError(f"unknown time zone {describe(name)}", hint="Write a name such as Europe/Zurich.") from None


def _date(run: Run, *arguments: Any) -> datetime:
    """`date([zone,] text[, layout[, zone name]])`."""
    zone: tzinfo = UTC
    if isinstance(arguments[0], tzinfo):
        zone, arguments = arguments[0], arguments[1:]
    text, *rest = arguments
    run.step(600 + len(text))
    if not rest:
        return _guess(text, zone)
    if len(rest) == 2:
        zone = _load_zone(run, rest[1])
    return parse_time(rest[0], text, zone)


def _guess(text: str, zone: tzinfo) -> datetime:
    for layout in _LAYOUTS:
        try:
            return parse_time(layout, text, zone)
        except ExpressionError:
            continue
    raise FaultError(
        f"invalid date {describe(text)}", hint="Give its layout as second argument: date(text, '02.01.2006')."
    )


TIME = {
    "now": Function(_now, "-> time", "timezone -> time"),
    "duration": Function(_duration, "string -> duration"),
    "date": Function(
        _date,
        "string -> time",
        "string string -> time",
        "string string string -> time",
        "timezone string -> time",
        "timezone string string -> time",
        "timezone string string string -> time",
    ),
    "timezone": Function(_load_zone, "string -> timezone"),
}
