"""Amounts of resources as Kubernetes writes them: `500m`, `1.5Gi`, `2k`, `1e3`.

Semantics: k8s.io/apimachinery v0.35, pkg/api/resource: what is finer than a billionth is rounded up (away from zero),
and a binary amount is at most 2⁶³-1. A quantity has at least one digit here.
"""

from __future__ import annotations

import re
from decimal import ROUND_UP, Context, Decimal

from tiphys.errors import ExpressionError

_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*)([+-]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO = Decimal("1e-9")
_MOST = Decimal(2**63 - 1)
#: Digits and exponents beyond these are no amount of anything.
_MAX_DIGITS, _MAX_EXPONENT = 100, 100
_EXACT = Context(prec=4 * _MAX_DIGITS)


def parse_quantity(text: str) -> Decimal:
    """The exact amount; a whole number of bytes, of cores, of pieces is 1.

    Raises:
        ExpressionError: the text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_DIGITS else None
    if match is None or not (match[2] or match[3]):
        raise _not_a_quantity(text)
    sign, whole, fraction, suffix, exponent = match.groups("")
    number = Decimal(f"{sign}{whole or 0}.{fraction or 0}")
    if suffix in _BINARY and not exponent:
        amount = _EXACT.multiply(number, Decimal(2 ** _BINARY[suffix]))
        return _rounded(min(max(amount, -_MOST), _MOST))
    if suffix in _DECIMAL and not exponent:
        return _rounded(_scaled(number, _DECIMAL[suffix]))
    if suffix in ("e", "E") and exponent.strip("+-") and abs(int(exponent)) <= _MAX_EXPONENT:
        return _rounded(_scaled(number, int(exponent)))
    raise _not_a_quantity(text)


def _scaled(number: Decimal, exponent: int) -> Decimal:
    return number.scaleb(exponent, _EXACT)


def _rounded(number: Decimal) -> Decimal:
    exact = number.quantize(_NANO, ROUND_UP, _EXACT).normalize(_EXACT)
    return exact.quantize(Decimal(1), context=_EXACT) if exact == exact.to_integral_value() else exact


def _not_a_quantity(text: str) -> ExpressionError:
    return ExpressionError(
        f"'{text}' is not a quantity.",
        hint="Write a number with one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, or an exponent such as e3.",
    )
