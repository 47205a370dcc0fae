"""Go's values in Python's: what they are called, when they are equal, which is less, what an int is.

bool, int (64 bits, overflow wraps), float, str, bytes, list, dict, None (nil), aware datetime (time.Time), `Duration`,
tzinfo (*time.Location) and callables. Semantics: expr-lang v1.17, vm/runtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.faults import FaultError


class AnyMap(dict[Any, Any]):
    """A map whose keys need not be strings (Go's map[any]any): what groupBy and fromPairs make."""


def kind_of(value: Any) -> str:
    """What messages and the checker call the type of a value."""
    for kind, types in _KINDS:
        if isinstance(value, types):
            return kind
    return "function" if callable(value) else type(value).__name__


_KINDS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("nil", type(None)),
    ("string", str),
    ("bool", bool),
    ("int", int),
    ("float", float),
    ("array", (list, tuple)),
    ("map", Mapping),
    ("bytes", bytes),
    ("time", datetime),
    ("duration", Duration),
    ("timezone", tzinfo),
)


def is_number(value: Any) -> bool:
    """Whether it is an int or a float; a bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_int(value: Any) -> bool:
    """Whether it is an int; a bool is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def wrap(value: int) -> int:
    """As a 64-bit int, which overflows into the other sign."""
    return value if -(2**63) <= value < 2**63 else (value + 2**63) % 2**64 - 2**63


def truncate(value: float) -> int:
    """A float as an int, as Go converts it on amd64: what does not fit is the least int."""
    return int(value) if -(2.0**63) <= value < 2.0**63 else -(2**63)


def to_int(value: Any) -> int:
    """A number as an int; anything else is a fault."""
    if is_int(value):
        return int(value)
    if isinstance(value, float):
        return truncate(value)
    raise FaultError(f"a number is needed, not {describe(value)}")


def to_bool(value: Any, use: str) -> bool:
    """A bool; anything else is a fault: nothing is taken for true or false."""
    if isinstance(value, bool):
        return value
    raise FaultError(f"non-bool value (type {kind_of(value)}) used as {use}")


def describe(value: Any) -> str:
    """A value for messages: its type, and itself if it is short."""
    kind = kind_of(value)
    if kind in ("string", "int", "float", "bool"):
        text = repr(value)
        return f"{kind} {text}" if len(text) <= 60 else kind
    return kind


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a fault if that lies outside the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise FaultError("the time lies outside the years 1 to 9999") from None


def elements(value: Any, use: str) -> Sequence[Any]:
    """The elements of an array; anything else is a fault."""
    if isinstance(value, (list, tuple, bytes)):
        return value
    raise FaultError(f"{use} takes only an array (got {kind_of(value)})")


def equal(run: Run, left: Any, right: Any, depth: int = 0) -> bool:
    """`==`: numbers by value whatever their type, arrays element by element, maps strictly; other types differ.

    Inside maps an int and a float are never equal (Go's reflect.DeepEqual).
    """
    if is_number(left) and is_number(right):
        return _numbers_equal(left, right)
    if isinstance(left, (list, tuple, bytes)) and isinstance(right, (list, tuple, bytes)):
        if len(left) != len(right):
            return False
        depth = run.descend(depth)
        run.step(len(left))
        return all(equal(run, one, other, depth) for one, other in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _same(run, left, right, depth)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return utc(left) == utc(right)
    if isinstance(left, str) and isinstance(right, str):
        run.scan(len(left))
    return type(left) is type(right) and bool(left == right)


def _numbers_equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return float(left) == float(right)
    return bool(left == right)


def _same(run: Run, left: Any, right: Any, depth: int) -> bool:
    """Equality of what stands inside maps."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if len(left) != len(right):
            return False
        depth = run.descend(depth)
        run.step(len(left))
        return all(key in right and _same(run, value, right[key], depth) for key, value in left.items())
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        if len(left) != len(right):
            return False
        depth = run.descend(depth)
        run.step(len(left))
        return all(_same(run, one, other, depth) for one, other in zip(left, right, strict=True))
    if is_number(left) and is_number(right) and isinstance(left, float) is not isinstance(right, float):
        return False
    return equal(run, left, right, depth)


def less(run: Run, left: Any, right: Any, operator: str = "<") -> bool:
    """`<` of two numbers, strings, times or durations; other pairs are a fault."""
    if is_number(left) and is_number(right):
        if isinstance(left, float) or isinstance(right, float):
            return float(left) < float(right)
        return bool(left < right)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return utc(left) < utc(right)
    if isinstance(left, str) and isinstance(right, str):
        run.scan(min(len(left), len(right)))
        return left < right
    if isinstance(left, Duration) and isinstance(right, Duration):
        return left < right
    raise mismatch(operator, left, right)


def mismatch(operator: str, left: Any, right: Any) -> FaultError:
    """The fault of an operator between values that do not go together."""
    hint = None
    if "string" in (kind_of(left), kind_of(right)) and (is_number(left) or is_number(right)):
        hint = "Turn text into a number with int(…) or float(…), a number into text with string(…)."
    return FaultError(f"invalid operation: {kind_of(left)} {operator} {kind_of(right)}", hint=hint)


def map_key(target: Mapping[Any, Any], key: Any) -> Any:
    """`key`, if the map can have such a key; nil stands for the empty string."""
    if isinstance(target, AnyMap):
        return hashable(key)
    if key is None:
        return ""
    if not isinstance(key, str):
        raise FaultError(f"cannot use {describe(key)} as a key of a map", hint="Turn it into text with string(…).")
    return key


def hashable(key: Any) -> Any:
    """`key`, if it can be a key at all."""
    if isinstance(key, (list, dict, tuple)):
        raise FaultError(f"cannot use {kind_of(key)} as a key of a map")
    return key


def byte_slice(text: str, start: int, stop: int) -> str:
    """The bytes `start` to `stop` of a string; half a character is replaced by U+FFFD."""
    return text[start:stop] if text.isascii() else text.encode()[start:stop].decode(errors="replace")


def byte_length(text: str) -> int:
    """Bytes of a string in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def power(left: float, right: float) -> float:
    """As Go's math.Pow."""
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        if left:
            return math.nan
        return -math.inf if math.copysign(1, left) < 0 and right % 2 == 1 else math.inf
