"""Durations, ages and sizes as people read them."""

from __future__ import annotations

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def duration(seconds: float | None) -> str:
    """Two digits of it: `<1 ms`, `12 ms`, `1.2 s`, `1 min 15 s`, `2 h 5 min`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rest = round(seconds)
    for index, (unit, length) in enumerate(_UNITS[:-1]):
        if rest >= length:
            smaller, small_length = _UNITS[index + 1]
            count = rest % length // small_length
            return f"{rest // length} {unit}" + (f" {count} {smaller}" if count else "")
    return f"{rest} s"


def age(seconds: float) -> str:
    """How long ago, in one unit: `now`, `12 s`, `5 min`, `3 h`, `20 d`."""
    if seconds < 1:
        return "now"
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def size(count: int) -> str:
    """Bytes with a decimal prefix: `0 B`, `1.2 kB`, `12 MB`, `3.4 GB`."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
