"""Any value as a number, by the rules of spf13/cast: what cannot be converted is 0."""

from __future__ import annotations

import math
import re
from typing import Any

from tiphys.errors import ExpressionError

_DECIMAL = re.compile(r"([-+]?[0-9]*)\.[0-9]*")
_INTEGER = re.compile(
    r"[-+]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)"
)
_FLOAT = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:inf|infinity|nan))")
_HEX_FLOAT = re.compile(r"[-+]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][-+]?[0-9]+")


def wrap(value: int) -> int:
    """An integer reduced to 64 bits with a sign, as Go's arithmetic does."""
    return (value + 2**63) % 2**64 - 2**63


def to_int(value: Any) -> int:
    """A value as int64: a float loses its fraction, text is read as an integer of any of Go's bases."""
    if isinstance(value, int):
        return wrap(int(value))
    if isinstance(value, float):
        return wrap(int(value)) if math.isfinite(value) and abs(value) < 2**63 else -(2**63)
    return _parsed_int(value) if isinstance(value, str) else 0


def _parsed_int(text: str) -> int:
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        text = decimal[1] if decimal[1].strip("+-") else "0"
    if not _INTEGER.fullmatch(text):
        return 0
    digits = text.lstrip("+-").replace("_", "")
    base = {"x": 16, "b": 2, "o": 8}.get(digits[1:2].lower(), 8 if digits.startswith("0") else 10)
    number = int(digits, 0) if base in (2, 16) or digits[1:2] in "oO" else int(digits, base)
    number = -number if text.startswith("-") else number
    return number if wrap(number) == number else 0


def to_float(value: Any) -> float:
    """A value as float64."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return 0.0
    try:
        if _HEX_FLOAT.fullmatch(value):
            return float.fromhex(value)
    except OverflowError:
        return 0.0
    if not _FLOAT.fullmatch(value):
        return 0.0
    number = float(value)
    return 0.0 if math.isinf(number) and "n" not in value.lower() else number


def finite(value: Any) -> float:
    """A value as a float64 that is a number.

    Raises:
        ExpressionError: it is infinite or not a number.
    """
    number = to_float(value)
    if not math.isfinite(number):
        raise ExpressionError(f"{number} cannot be used in decimal arithmetic.")
    return number
