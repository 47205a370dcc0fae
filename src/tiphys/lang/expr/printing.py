"""Values as text: Go's `%v`, and JSON as Go's encoding/json writes it (keys sorted, `<`, `>` and `&` escaped)."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.durations import Duration
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.methods import Enumerated, json_time, print_time, print_zone
from tiphys.lang.expr.values import kind_of

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def print_value(run: Run, value: Any) -> str:
    """As Go's `%v`: `[1 2]`, `map[a:1]`, `<nil>`, `1e+06`."""
    text = _printed(run, value, 0)
    run.write(len(text))
    return text


def _printed(run: Run, value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, bytes)):
        depth = run.descend(depth)
        return f"[{_joined(run, ' ', (_printed(run, element, depth) for element in value))}]"
    if isinstance(value, Mapping):
        depth = run.descend(depth)
        keys = sorted(value, key=lambda key: (kind_of(key), key if isinstance(key, (str, int, float)) else 0))
        pairs = (f"{_printed(run, key, depth)}:{_printed(run, value[key], depth)}" for key in keys)
        return f"map[{_joined(run, ' ', pairs)}]"
    for kind, printer in _PRINTERS:
        if isinstance(value, kind):
            return printer(value)
    return f"<{kind_of(value)}>"


_PRINTERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (type(None), lambda _: "<nil>"),
    (bool, lambda value: "true" if value else "false"),
    (Enumerated, lambda value: value.name),
    (int, lambda value: int.__repr__(value)),
    (float, lambda value: _print_float(value)),
    (datetime, print_time),
    (Duration, str),
    (tzinfo, print_zone),
)


def _joined(run: Run, separator: str, parts: Iterable[str]) -> str:
    """The parts in a row; what they take is bounded while they are made."""
    found: list[str] = []
    size = 0
    for part in parts:
        size += len(part) + len(separator)
        run.step()
        if size > run.bounds.characters:
            run.write(size)
        found.append(part)
    return separator.join(found)


def _print_float(value: float) -> str:
    """As Go's `%v`: the shortest digits, with an exponent below 1e-04 and from 1e+06 on."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    sign, digits, point = _digits(value)
    if -4 <= point - 1 < 6:
        return sign + _positional(digits, point)
    return sign + _scientific(digits, point)


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, the shortest digits, and where the point stands in them."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign, "0", 1
    _, digits, exponent = Decimal(repr(abs(value))).as_tuple()
    text = "".join(map(str, digits))
    return sign, text.rstrip("0"), len(text) + int(exponent)


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    if point >= len(digits):
        return digits.ljust(point, "0")
    return f"{digits[:point]}.{digits[point:]}"


def _scientific(digits: str, point: int) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    exponent = point - 1
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def write_json(run: Run, value: Any, *, indent: str = "") -> str:
    """JSON text; with an indent, one element a line.

    Raises:
        FaultError: a function, a number that is not finite or a key that is not a string.
    """
    text = _json(run, value, indent, "\n" if indent else "", 0)
    run.write(len(text))
    return text


def _json(run: Run, value: Any, indent: str, line: str, depth: int) -> str:
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        depth = run.descend(depth)
        inner = line + indent
        parts = (_json(run, element, indent, inner, depth) for element in value)
        return f"[{inner}{_joined(run, ',' + inner, parts)}{line}]"
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        depth = run.descend(depth)
        inner, colon = line + indent, ": " if indent else ":"
        pairs = (
            f"{_json_scalar(key)}{colon}{_json(run, value[key], indent, inner, depth)}" for key in _json_keys(value)
        )
        return f"{{{inner}{_joined(run, ',' + inner, pairs)}{line}}}"
    return _json_scalar(value)


def _json_keys(value: Mapping[Any, Any]) -> list[str]:
    if not all(isinstance(key, str) for key in value):
        raise FaultError("a map whose keys are not strings cannot be written as JSON")
    return sorted(value)


def _json_scalar(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_HTML)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _json_float(value)
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    if isinstance(value, datetime):
        return f'"{json_time(value)}"'
    if isinstance(value, Duration):
        return str(value.nanoseconds)
    raise FaultError(f"a {kind_of(value)} cannot be written as JSON")


def _json_float(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        raise FaultError(f"{_print_float(value)} cannot be written as JSON")
    sign, digits, point = _digits(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return sign + _positional(digits, point)
    return (sign + _scientific(digits, point)).replace("e-0", "e-")


def read_json(run: Run, text: str) -> Any:
    """The value of a JSON text, all numbers as floats, as Go's json.Unmarshal into `any`.

    Raises:
        FaultError: it is not JSON, or has a number that no float can hold.
    """
    run.write(len(text))
    try:
        value = json.loads(text, parse_int=_json_number, parse_float=_json_number, parse_constant=_no_constant)
    except ValueError as error:
        raise FaultError(f"invalid JSON: {error}") from None
    except RecursionError:
        raise FaultError("invalid JSON: it is nested too deeply") from None
    return _whole_characters(run, value, 0) if "\\ud" in text.lower() else value


def _json_number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise FaultError(f"invalid JSON: the number {text[:40]} is too large")
    return number


def _no_constant(text: str) -> float:
    raise FaultError(f"invalid JSON: '{text}' is no value")


def _whole_characters(run: Run, value: Any, depth: int) -> Any:
    """The value with U+FFFD for halves of surrogate pairs, as Go reads them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(run, element, run.descend(depth)) for element in value]
    if isinstance(value, dict):
        depth = run.descend(depth)
        return {_whole_characters(run, key, depth): _whole_characters(run, item, depth) for key, item in value.items()}
    return value
