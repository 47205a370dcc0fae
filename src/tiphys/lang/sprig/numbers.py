"""Arithmetic on integers and floats, and lists of integers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_string
from tiphys.lang.sprig.casting import finite, to_float, to_int, wrap
from tiphys.lang.sprig.signature import Table, bounded

_OCTAL = re.compile(r"[-+]?[0-7]+")
_WHOLE = re.compile(r"[-+]?[0-9]+")
#: Places after the point of a decimal quotient (shopspring/decimal's DivisionPrecision).
_QUOTIENT = Decimal("1e-16")


def _atoi(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        return 0
    return max(-(2**63), min(int(text), 2**63 - 1))


def _to_decimal(value: Any) -> int:
    text = go_string(value)
    number = int(text, 8) if _OCTAL.fullmatch(text) else 0
    return number if wrap(number) == number else 0


def _add(*values: Any) -> int:
    return wrap(sum(to_int(value) for value in values))


def _mul(first: Any, *others: Any) -> int:
    product = to_int(first)
    for other in others:
        product = wrap(product * to_int(other))
    return product


def _divided(left: Any, right: Any) -> tuple[int, int]:
    """Quotient and remainder; the quotient is cut off towards zero."""
    dividend, divisor = to_int(left), to_int(right)
    if divisor == 0:
        raise ExpressionError("integer divide by zero")
    quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
    return wrap(quotient), dividend - quotient * divisor


def _exactly(first: Any, others: tuple[Any, ...], operation: Callable[[Decimal, Decimal], Decimal]) -> float:
    """Folds the operation over decimals, which hold the digits that a float is written with."""
    with localcontext() as context:
        context.prec = 2000
        result = Decimal(repr(finite(first)))
        for other in others:
            result = operation(result, Decimal(repr(finite(other))))
        return float(result)


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        raise ExpressionError("decimal division by 0")
    return (left / right).quantize(_QUOTIENT, rounding=ROUND_HALF_UP)


def _extreme(choose: Callable[[float, float], float]) -> Callable[..., float]:
    def extreme(first: Any, *others: Any) -> float:
        result = to_float(first)
        for other in others:
            number = to_float(other)
            result = math.nan if math.isnan(number) or math.isnan(result) else choose(result, number)
        return result

    return extreme


def _whole(value: Any, direction: Callable[[float], int]) -> float:
    number = to_float(value)
    return float(direction(number)) if math.isfinite(number) else number


def _round(value: Any, places: int, threshold: float = 0.5) -> float:
    """Rounds up from the threshold, else down: at .5 it is half up, so negative numbers go down."""
    number = to_float(value)
    if not math.isfinite(number) or not -300 <= places <= 300:
        return number
    power = math.pow(10, places)
    moved = power * number
    if not math.isfinite(moved):
        return number
    fraction, _ = math.modf(moved)
    return (math.ceil(moved) if fraction >= threshold else math.floor(moved)) / power


def _until(count: int) -> list[int]:
    return _until_step(0, count, -1 if count < 0 else 1)


def _until_step(start: int, stop: int, step: int) -> list[int]:
    if step == 0:
        return []
    numbers = range(start, stop, step)
    bounded((stop - start) // step, "untilStep")
    return list(numbers)


def _seq(*numbers: int) -> str:
    """As the shell's seq: last; first last; first step last. The last one is counted in."""
    if len(numbers) == 3:
        start, step, end = numbers
        if end < start and step > 0:
            return ""
        stop = end + (-1 if end < start else 1)
    elif numbers and len(numbers) < 3:
        start, end = (1, numbers[0]) if len(numbers) == 1 else numbers
        step = -1 if end < start else 1
        stop = end + step
    else:
        return ""
    return " ".join(str(number) for number in _until_step(start, stop, step))


FUNCTIONS: Table = {
    "atoi": ("s", _atoi),
    "int": ("a", to_int),
    "int64": ("a", to_int),
    "float64": ("a", to_float),
    "toDecimal": ("a", _to_decimal),
    "add": ("a*", _add),
    "add1": ("a", lambda value: _add(value, 1)),
    "sub": ("aa", lambda left, right: wrap(to_int(left) - to_int(right))),
    "mul": ("aa*", _mul),
    "div": ("aa", lambda left, right: _divided(left, right)[0]),
    "mod": ("aa", lambda left, right: _divided(left, right)[1]),
    "addf": ("a*", lambda *values: _exactly(0.0, values, lambda left, right: left + right)),
    "add1f": ("a", lambda value: _exactly(value, (1,), lambda left, right: left + right)),
    "subf": ("aa*", lambda first, *others: _exactly(first, others, lambda left, right: left - right)),
    "mulf": ("aa*", lambda first, *others: _exactly(first, others, lambda left, right: left * right)),
    "divf": ("aa*", lambda first, *others: _exactly(first, others, _quotient)),
    "max": ("aa*", lambda *values: max(to_int(value) for value in values)),
    "biggest": ("aa*", lambda *values: max(to_int(value) for value in values)),
    "min": ("aa*", lambda *values: min(to_int(value) for value in values)),
    "maxf": ("aa*", _extreme(max)),
    "minf": ("aa*", _extreme(min)),
    "ceil": ("a", lambda value: _whole(value, math.ceil)),
    "floor": ("a", lambda value: _whole(value, math.floor)),
    "round": ("aif*", _round),
    "until": ("i", _until),
    "untilStep": ("iii", _until_step),
    "seq": ("i*", _seq),
}
