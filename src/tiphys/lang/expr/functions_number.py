"""Built-in functions of numbers and bits, and conversions. Semantics: expr-lang v1.17, builtin/lib.go."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.printing import print_value, read_json, write_json
from tiphys.lang.expr.signatures import Function
from tiphys.lang.expr.values import describe, is_number, kind_of, less, truncate, wrap

_WHOLE = re.compile(r"[-+]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[-+]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[-+]?[0-9]+", re.IGNORECASE)


def to_int(_: Run, value: Any) -> int:
    """`int(…)`: a number cut towards zero, or the text of a whole number."""
    if isinstance(value, float):
        return truncate(value)
    if isinstance(value, Duration):
        return value.nanoseconds
    if is_number(value):
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    raise FaultError(f"invalid operation: int({describe(value)})")


def to_float(_: Run, value: Any) -> float:
    """`float(…)`: a number, or its text."""
    if is_number(value):
        return float(value)
    if isinstance(value, str) and len(value) <= 1000:
        number = _read_float(value)
        if number is not None:
            return number
    raise FaultError(f"invalid operation: float({describe(value)})")


def _read_float(text: str) -> float | None:
    try:
        if _HEXADECIMAL.fullmatch(text):
            return float.fromhex(text)
        if not _DECIMAL.fullmatch(text):
            return None
        number = float(text)
    except OverflowError:
        return None
    return None if math.isinf(number) and "inf" not in text.lower() else number


def _abs(_: Run, value: Any) -> Any:
    return wrap(abs(value)) if isinstance(value, int) else abs(value)


def _rounding(rounded: Callable[[float], float]) -> Callable[[Run, Any], float]:
    def function(_: Run, value: Any) -> float:
        number = float(value)
        return rounded(number) if math.isfinite(number) and abs(number) < 2.0**52 else number

    return function


def _half_away(value: float) -> float:
    whole = math.trunc(value)
    return math.copysign(whole + (abs(value - whole) >= 0.5) * math.copysign(1, value), value)


def _numbers(run: Run, name: str, values: Any, depth: int = 0) -> Iterator[Any]:
    """All numbers in the arguments, those in arrays too.

    Raises:
        FaultError: there is something else.
    """
    run.step(len(values))
    for value in values:
        if isinstance(value, (list, tuple, bytes)):
            yield from _numbers(run, name, value, run.descend(depth))
        elif is_number(value):
            yield value
        else:
            raise FaultError(f"invalid argument for {name} (type {kind_of(value)})")


def _extreme(name: str, better: Callable[[Run, Any, Any], bool]) -> Callable[..., Any]:
    def function(run: Run, *values: Any) -> Any:
        if values == (None,):
            return None
        best = None
        for number in _numbers(run, name, values):
            if best is None or better(run, number, best):
                best = number
        return best

    return function


def _mean(run: Run, *values: Any) -> float:
    total, count = 0.0, 0
    for number in _numbers(run, "mean", values):
        total += number
        count += 1
    return total / count if count else 0.0


def _median(run: Run, *values: Any) -> float:
    found = sorted(float(number) for number in _numbers(run, "median", values))
    middle = len(found) // 2
    if not found:
        return 0.0
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _bits(operation: Callable[[int, int], int]) -> Function:
    return Function(lambda _, left, right: wrap(operation(left, right)), "int int -> int")


def _shift(operation: Callable[[int, int], int]) -> Function:
    def shifted(left: int, count: int) -> int:
        if count < 0:
            raise FaultError(f"invalid operation: negative shift count {count}")
        return operation(left, min(count, 64))

    return _bits(shifted)


def _to_base64(run: Run, text: str) -> str:
    run.write(len(text) * 2)
    return base64.b64encode(text.encode()).decode()


def _from_base64(run: Run, text: str) -> str:
    run.write(len(text))
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise FaultError(f"invalid base64: {describe(text)}") from None


NUMBER = {
    "abs": Function(_abs, "number -> any"),
    "ceil": Function(_rounding(lambda value: math.copysign(math.ceil(value), value)), "number -> float"),
    "floor": Function(_rounding(lambda value: math.copysign(math.floor(value), value)), "number -> float"),
    "round": Function(_rounding(_half_away), "number -> float"),
    "max": Function(
        _extreme("max", lambda run, one, best: less(run, best, one)), "number|array... -> any", "nil -> nil"
    ),
    "min": Function(_extreme("min", less), "number|array... -> any", "nil -> nil"),
    "mean": Function(_mean, "number|array... -> any"),
    "median": Function(_median, "number|array... -> any"),
    "bitand": _bits(lambda left, right: left & right),
    "bitor": _bits(lambda left, right: left | right),
    "bitxor": _bits(lambda left, right: left ^ right),
    "bitnand": _bits(lambda left, right: left & ~right),
    "bitnot": Function(lambda _, value: ~value, "int -> int"),
    "bitshl": _shift(lambda left, count: left << count),
    "bitshr": _shift(lambda left, count: left >> count),
    "bitushr": _shift(lambda left, count: (left % 2**64) >> count),
}
CONVERSION = {
    "int": Function(to_int, "number|string|duration -> int"),
    "float": Function(to_float, "number|string -> float"),
    "string": Function(print_value, "any -> string"),
    "toJSON": Function(lambda run, value: write_json(run, value, indent="  "), "any -> string"),
    "fromJSON": Function(read_json, "string -> any"),
    "toBase64": Function(_to_base64, "string -> string"),
    "fromBase64": Function(_from_base64, "string -> string"),
}
