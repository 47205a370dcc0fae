"""What the binary operators do. Semantics: expr-lang v1.17, vm/vm.go and vm/runtime.

An int divided by an int is a float; overflow wraps; strings, times and durations have their own arithmetic; `contains`,
`startsWith`, `endsWith` and `matches` do not hold for nil.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tiphys.lang.expr.access import contains
from tiphys.lang.expr.context import Run
from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.methods import between, shift
from tiphys.lang.expr.values import equal, is_int, is_number, kind_of, less, mismatch, power, to_int, wrap
from tiphys.lang.goregex.regex import Regex, compile_regex


def add(run: Run, left: Any, right: Any) -> Any:
    """`+`: numbers, strings, a time and a duration, two durations."""
    if is_number(left) and is_number(right):
        return _number(left + right if is_int(left) and is_int(right) else float(left) + float(right))
    if isinstance(left, str) and isinstance(right, str):
        run.write(len(left) + len(right))
        return left + right
    if isinstance(left, datetime) and isinstance(right, Duration):
        return shift(left, right)
    if isinstance(left, Duration):
        if isinstance(right, datetime):
            return shift(right, left)
        if isinstance(right, Duration):
            return Duration(wrap(left.nanoseconds + right.nanoseconds))
    raise mismatch("+", left, right)


def _number(value: float) -> float:
    return wrap(value) if isinstance(value, int) else value


def _subtract(_: Run, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _number(left - right if is_int(left) and is_int(right) else float(left) - float(right))
    if isinstance(left, datetime):
        if isinstance(right, datetime):
            return between(left, right)
        if isinstance(right, Duration):
            return shift(left, Duration(-right.nanoseconds))
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(wrap(left.nanoseconds - right.nanoseconds))
    raise mismatch("-", left, right)


def _multiply(_: Run, left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _number(left * right if is_int(left) and is_int(right) else float(left) * float(right))
    durations = [side for side in (left, right) if isinstance(side, Duration)]
    factors = [side.nanoseconds if isinstance(side, Duration) else side for side in (left, right)]
    if durations and all(map(is_number, factors)):
        if any(isinstance(factor, float) for factor in factors):
            return float(factors[0]) * float(factors[1])
        return Duration(wrap(factors[0] * factors[1]))
    raise mismatch("*", left, right)


def _divide(_: Run, left: Any, right: Any) -> float:
    if not (is_number(left) and is_number(right)):
        raise mismatch("/", left, right)
    dividend, divisor = float(left), float(right)
    if divisor == 0:
        if dividend == 0 or math.isnan(dividend):
            return math.nan
        return math.copysign(math.inf, dividend) * math.copysign(1, divisor)
    return dividend / divisor


def _modulo(_: Run, left: Any, right: Any) -> int:
    if not (is_int(left) and is_int(right)):
        raise mismatch("%", left, right)
    if right == 0:
        raise FaultError("integer divide by zero")
    rest: int = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _exponent(_: Run, left: Any, right: Any) -> float:
    if not (is_number(left) and is_number(right)):
        raise mismatch("**", left, right)
    return power(float(left), float(right))


def _range(run: Run, left: Any, right: Any) -> list[int]:
    if not (is_number(left) and is_number(right)):
        raise mismatch("..", left, right)
    first, last = to_int(left), to_int(right)
    size = max(0, last - first + 1)
    run.grow(size)
    return list(range(first, first + size))


def negate(value: Any) -> Any:
    """Prefix `-`."""
    if is_int(value):
        return wrap(-value)
    if isinstance(value, float):
        return -value
    raise FaultError(f"invalid operation: - {kind_of(value)}")


def _on_text(name: str, holds: Callable[[str, str], bool]) -> Callable[[Run, Any, Any], bool]:
    def operator(run: Run, left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        if not (isinstance(left, str) and isinstance(right, str)):
            raise mismatch(name, left, right)
        run.scan(len(left))
        return holds(left, right)

    return operator


def matches(run: Run, value: Any, pattern: Regex) -> bool:
    """Whether the pattern is found in a string (nil holds none), or in bytes that are UTF-8."""
    if value is None:
        return False
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        raise mismatch("matches", value, "")
    run.step(10 + 3 * len(value))
    return bool(pattern.search(value))


def _matches(run: Run, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    if not isinstance(right, str):
        raise mismatch("matches", left, right)
    run.step(200 + 20 * len(right))  # it may have to be compiled
    return matches(run, left, compile_regex(right))


#: Operators that need both operands; `and`, `or` and `??` do not.
BINARY: dict[str, Callable[[Run, Any, Any], Any]] = {
    "==": equal,
    "!=": lambda run, left, right: not equal(run, left, right),
    "<": less,
    ">": lambda run, left, right: less(run, right, left, ">"),
    "<=": lambda run, left, right: _at_most(run, left, right, "<="),
    ">=": lambda run, left, right: _at_most(run, right, left, ">="),
    "+": add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
    "**": _exponent,
    "..": _range,
    "in": contains,
    "contains": _on_text("contains", lambda text, part: part in text),
    "startsWith": _on_text("startsWith", str.startswith),
    "endsWith": _on_text("endsWith", str.endswith),
    "matches": _matches,
}


def _at_most(run: Run, left: Any, right: Any, operator: str) -> bool:
    """`<=`; with NaN it does not hold, so it is not the contrary of `>`."""
    if is_number(left) and is_number(right):
        both = (left, right) if is_int(left) and is_int(right) else (float(left), float(right))
        return both[0] <= both[1]
    return not less(run, right, left, operator)
