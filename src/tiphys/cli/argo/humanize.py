"""Times and durations as the `argo` command prints them (its util/humanize over dustin/go-humanize)."""

from __future__ import annotations

from datetime import datetime

from tiphys._util.times import utc_now

_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3600, 86400
_WEEK, _MONTH, _YEAR = 7 * _DAY, 30 * _DAY, 360 * _DAY
#: Below so many seconds → the text, with the number of units of so many seconds.
_LONG = (
    (1, "0 seconds", 1),
    (2, "1 second", 1),
    (_MINUTE, "{} seconds", 1),
    (2 * _MINUTE, "1 minute", 1),
    (_HOUR, "{} minutes", _MINUTE),
    (2 * _HOUR, "1 hour", 1),
    (_DAY, "{} hours", _HOUR),
    (2 * _DAY, "1 day", 1),
    (_WEEK, "{} days", _DAY),
    (2 * _WEEK, "1 week", 1),
    (_MONTH, "{} weeks", _WEEK),
    (2 * _MONTH, "1 month", 1),
    (_YEAR, "{} months", _MONTH),
    (18 * _MONTH, "1 year", 1),
    (2 * _YEAR, "2 years", 1),
    (37 * _YEAR, "{} years", _YEAR),
    (float("inf"), "a long while", 1),
)
_SHORT = ((_MINUTE, "{}s", 1), (_HOUR, "{}m", _MINUTE), (_DAY, "{}h", _HOUR), (float("inf"), "{}d", _DAY))


def parse_time(text: str | None) -> datetime | None:
    """A time of an object (RFC 3339)."""
    return datetime.fromisoformat(text) if text else None


def timestamp(text: str) -> str:
    """`Tue Jan 31 12:00:00 +0000 (3 minutes ago)`, in the local time zone."""
    moment = datetime.fromisoformat(text)
    passed = (utc_now() - moment).total_seconds()
    direction = "ago" if passed > 0 else "from now"
    ago = "now" if abs(passed) < 1 else f"{_pick(_LONG, abs(passed))} {direction}"
    return f"{moment.astimezone():%a %b %d %H:%M:%S %z} ({ago})"


def duration(start: str, end: str | None) -> str:
    """A duration with at most two units: `1 minute 5 seconds`; until now without an end."""
    seconds = _between(start, end)
    if seconds < _MINUTE:
        return _pick(_LONG, seconds)
    if seconds < _HOUR:
        return f"{_pick(_LONG, seconds)} {int(seconds % _MINUTE)} seconds"
    if seconds < _DAY:
        return f"{_pick(_LONG, seconds)} {int(seconds / _MINUTE % 60)} minutes"
    return f"{_pick(_LONG, seconds)} {int(seconds / _HOUR % 24)} hours"


def short_duration(start: str | datetime | None, end: str | datetime | None = None) -> str:
    """A duration in its largest unit: `5s`, `3h`; until now without an end, and `0s` without a beginning."""
    return _pick(_SHORT, _between(start, end)) if start else "0s"


def _between(start: str | datetime, end: str | datetime | None) -> float:
    begin, finish = (datetime.fromisoformat(one) if isinstance(one, str) else one for one in (start, end or utc_now()))
    return abs((finish - begin).total_seconds())


def _pick(scale: tuple[tuple[float, str, int], ...], seconds: float) -> str:
    _, text, unit = next(step for step in scale if seconds < step[0])
    return text.format(int(seconds // unit))
