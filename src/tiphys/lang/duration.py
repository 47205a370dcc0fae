"""Durations as Go writes them ("1h2m3.5s"), and as Argo reads them: a bare whole number means seconds."""

from __future__ import annotations

import re

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


def format_duration(seconds: float) -> str:
    """As Go prints it, to the millisecond: 90.5 → "1m30.5s"."""
    sign, millis = ("-" if seconds < 0 else ""), round(abs(seconds) * 1000)
    if millis < 1000:
        return f"{sign}{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text
