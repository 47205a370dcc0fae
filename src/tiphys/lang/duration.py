"""Durations as Go writes them ("1h2m3.5s"), and as Argo reads them: a bare whole number means seconds."""

from __future__ import annotations

import re
from datetime import timedelta

from tiphys.errors import ExpressionError

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(r"[-+]?\d+")


def parse_duration(text: str) -> float:
    """Seconds that `text` stands for.

    Raises:
        ExpressionError: it is not a duration.
    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return float(text)
    body = text.lstrip("+-") if text[:1] in ("+", "-") else text
    total, end = 0.0, 0
    for match in _PART.finditer(body):
        if match.start() != end:
            break
        total += float(match[1]) * _UNITS[match[2]]
        end = match.end()
    if not body or end != len(body) or len(text) - len(body) > 1:
        raise ExpressionError(
            f"'{text}' is not a duration.",
            hint="Write a number with units, such as 90s, 1h30m or 500ms, or whole seconds.",
        )
    return -total if text[0] == "-" else total


def format_duration(duration: float | timedelta) -> str:
    """As Go's Duration.String: "1h2m3.5s", "1.5ms", "0s".

    Args:
        duration: Seconds, counted to the nanosecond, or a timedelta.
    """
    if isinstance(duration, timedelta):
        return format_nanoseconds((duration // timedelta(microseconds=1)) * 1000)
    return format_nanoseconds(round(duration * 1_000_000_000))


def format_nanoseconds(nanoseconds: int) -> str:
    """The same of a whole number of nanoseconds."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if rest >= size:
                return sign + _decimal(rest, size) + unit
        return "0s"
    minutes, rest = divmod(rest, 60_000_000_000)
    text = _decimal(rest, 1_000_000_000) + "s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    if minutes >= 60:
        text = f"{minutes // 60}h{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    """The quotient, exactly; the unit is a power of ten."""
    whole, rest = divmod(value, unit)
    digits = f"{rest:0{len(str(unit)) - 1}}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
