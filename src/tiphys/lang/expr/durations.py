"""Go's time.Duration: a whole number of nanoseconds, read from and written as `1h30m0.5s`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.lang.duration import format_nanoseconds
from tiphys.lang.expr.faults import FaultError

_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART = re.compile(r"([0-9]+)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)|\.([0-9]+)(ns|us|µs|μs|ms|s|m|h)")


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time."""

    nanoseconds: int

    def __str__(self) -> str:
        """As Go's Duration.String: 1h0m0s, 1.5s, 20ms, 0s."""
        return format_nanoseconds(self.nanoseconds)


def read_duration(text: str) -> Duration:
    """As Go's time.ParseDuration: every number has its unit, only "0" may stand without.

    Raises:
        FaultError: it is not a duration, or longer than 292 years.
    """
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return Duration(0)
    total, end = 0, 0
    for match in _PART.finditer(body):
        if match.start() != end:
            break
        whole, fraction = match[1] or "0", (match[2] or match[4] or "")[:20]
        if len(whole) > 20:
            break
        unit = _UNITS[match[3] or match[5]]
        total += int(whole) * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        end = match.end()
    if not body or end != len(body) or total >= 2**63:
        raise FaultError(
            f"invalid duration {text[:60]!r}", hint="Write numbers with units, such as 90s, 1h30m or 500ms."
        )
    return Duration(-total if text[0] == "-" else total)
