"""JSON as Go's encoding/json has it, base64 and base32."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from tiphys.errors import ExpressionError
from tiphys.lang.gotime import LAYOUTS, format_time
from tiphys.lang.sprig.signature import Table

_LINES = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def _number(value: float) -> str:
    """1, 0.00001, 1e-7 and 1e+21, where Python has 1.0, 1e-05, 1e-07 and 1e+21."""
    if not math.isfinite(value):
        raise ExpressionError(f"json: unsupported value: {value}")
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        text = f"{Decimal(repr(value)):f}"
        return text.removesuffix(".0")
    return repr(value).replace("e-0", "e-")


def _encoded(value: Any, step: str, margin: str = "\n") -> str:
    """Compact, or indented by `step`; `margin` is the line feed with the present indent."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return _encoded(format_time(value, LAYOUTS["RFC3339Nano"]), step)
    if isinstance(value, timedelta):
        return str(value // timedelta(microseconds=1) * 1000)
    if isinstance(value, bytes):
        return _encoded(base64.b64encode(value).decode(), step)
    if not isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    inner = margin + step
    if isinstance(value, dict):
        colon = ": " if step else ":"
        members = [
            json.dumps(str(key), ensure_ascii=False) + colon + _encoded(value[key], step, inner)
            for key in sorted(value, key=str)
        ]
    else:
        members = [_encoded(member, step, inner) for member in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if not step or not members:
        return opening + ",".join(members) + closing
    return opening + inner + f",{inner}".join(members) + margin + closing


def _must_to_raw_json(value: Any) -> str:
    return _encoded(value, "").translate(_LINES)


def _must_to_json(value: Any) -> str:
    return _encoded(value, "").translate(_HTML)


def _must_to_pretty_json(value: Any) -> str:
    return _encoded(value, "  ").translate(_HTML)


def _not_json(text: str) -> NoReturn:
    raise ValueError(text)


def _must_from_json(text: str) -> Any:
    """The value of a JSON text; every number is a float64."""
    try:
        return json.loads(text, parse_int=float, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"This is not JSON: {error}") from None


def _or(default: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function with a default in place of an error."""

    def call(value: Any) -> Any:
        try:
            return function(value)
        except ExpressionError:
            return default

    return call


def _decoded(base: int, alphabet: str, decode: Callable[[str], bytes]) -> Callable[[str], str]:
    def call(text: str) -> str:
        text = text.replace("\r", "").replace("\n", "")
        try:
            return decode(text).decode(errors="replace")
        except (binascii.Error, ValueError):
            bad = next((index for index, char in enumerate(text) if char not in alphabet), len(text))
            return f"illegal base{base} data at input byte {bad}"

    return call


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

FUNCTIONS: Table = {
    "toJson": ("a", _or("", _must_to_json)),
    "mustToJson": ("a", _must_to_json),
    "toPrettyJson": ("a", _or("", _must_to_pretty_json)),
    "mustToPrettyJson": ("a", _must_to_pretty_json),
    "toRawJson": ("a", _must_to_raw_json),
    "mustToRawJson": ("a", _must_to_raw_json),
    "fromJson": ("s", _or(None, _must_from_json)),
    "mustFromJson": ("s", _must_from_json),
    "b64enc": ("s", lambda text: base64.b64encode(text.encode()).decode()),
    "b64dec": ("s", _decoded(64, _BASE64, lambda text: base64.b64decode(text, validate=True))),
    "b32enc": ("s", lambda text: base64.b32encode(text.encode()).decode()),
    "b32dec": ("s", _decoded(32, _BASE32, base64.b32decode)),
}
