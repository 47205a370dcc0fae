"""Values as Go's package fmt prints them: `%v` and the other verbs of Sprintf.

None, bool, int, float, str, bytes, list, dict, datetime and timedelta stand for Go's nil, bool, int, float64, string,
[]byte, []interface {}, map[string]interface {}, time.Time and time.Duration. Left out are `%b` and `%x` of a float and
the `#v` forms, which are answered like an unknown verb.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.duration import format_duration
from tiphys.lang.gotime import STRING_LAYOUT, format_time

#: Widths and precisions beyond it are refused, as in Go.
_LARGEST = 1_000_000
_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?:\[(?P<i1>\d*)\])?(?P<width>\d+|\*)?(?P<dot>\.(?:\[(?P<i2>\d*)\])?(?P<precision>\d+|\*)?)?"
    r"(?:\[(?P<i3>\d*)\])?(?P<verb>.)?",
    re.DOTALL,
)


@dataclass(slots=True)
class _Verb:
    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None

    def padded(self, text: str) -> str:
        if self.width is None:
            return text
        if "-" in self.flags:
            return text.ljust(self.width)
        return text.rjust(self.width, "0" if "0" in self.flags else " ")


def go_string(value: Any) -> str:
    """A value as `%v` prints it: "<nil>", "true", "1e+06", "[1 2]", "map[a:1 b:2]"."""
    return _printed(value, _Verb("v"))


def go_quote(text: str) -> str:
    """Text in double quotes, escaped as strconv.Quote does."""
    return '"' + "".join(_escaped(char, '"') for char in text) + '"'


def type_name(value: Any) -> str:
    """Go's name of the value's type."""
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return "<nil>" if value is None else type(value).__name__


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (bytes, "[]uint8"),
    (list, "[]interface {}"),
    (dict, "map[string]interface {}"),
    (datetime, "time.Time"),
    (timedelta, "time.Duration"),
)


def sprintf(template: str, *args: Any) -> str:
    """As Go's fmt.Sprintf; faults show in the text, as there ("%!d(string=x)", "%!s(MISSING)", "%!(EXTRA int=1)").

    Raises:
        ExpressionError: a width or a precision is beyond a million.
    """
    arguments = _Arguments(args)
    text = _VERB.sub(lambda match: _replaced(match, arguments), template)
    rest = args[arguments.position :]
    if rest and not arguments.reordered:
        text += f"%!(EXTRA {', '.join(_typed(value) for value in rest)})"
    return text


class _Arguments:
    """The arguments, taken one after the other or by their index."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values
        self.position = 0
        self.reordered = False
        self.bad_index = False

    def aim(self, index: str | None) -> None:
        """The next one is that of the index, if there is one."""
        if index is None:
            return
        self.reordered = True
        if index and 1 <= int(index) <= len(self._values):
            self.position = int(index) - 1
        else:
            self.bad_index = True

    def take(self) -> tuple[Any, ...]:
        """The next one; empty if there is none."""
        taken = self._values[self.position : self.position + 1]
        self.position += len(taken)
        return taken

    def number(self, text: str | None) -> tuple[int | None, bool]:
        """A width or precision, written out or taken from the arguments, and whether it is in order."""
        if text != "*":
            if text and int(text) > _LARGEST:
                raise ExpressionError(f"A width or precision of {text} is too large.")
            return (int(text) if text else None), True
        taken = self.take()
        good = bool(taken) and type(taken[0]) is int and abs(taken[0]) <= _LARGEST
        return (taken[0] if good else None), good


def _replaced(match: re.Match[str], arguments: _Arguments) -> str:
    verb = match["verb"]
    if verb is None:
        return "%!(NOVERB)"
    faults = ""
    arguments.bad_index = False
    arguments.aim(match["i1"])
    spec = _Verb(verb, match["flags"])
    spec.width, good = arguments.number(match["width"])
    faults += "" if good else "%!(BADWIDTH)"
    if spec.width is not None and spec.width < 0:
        spec.width, spec.flags = -spec.width, spec.flags + "-"
    if match["dot"] is not None:
        arguments.aim(match["i2"])
        spec.precision, good = arguments.number(match["precision"])
        negative = spec.precision is not None and spec.precision < 0
        faults += "" if good and not negative else "%!(BADPREC)"
        spec.precision = None if negative or not good else spec.precision or 0
    arguments.aim(match["i3"])
    if verb == "%":
        return faults + "%"
    if arguments.bad_index:
        return f"{faults}%!{verb}(BADINDEX)"
    taken = arguments.take()
    return faults + (_printed(taken[0], spec) if taken else f"%!{verb}(MISSING)")


def _typed(value: Any) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={go_string(value)}"


def _bad(value: Any, spec: _Verb) -> str:
    return f"%!{spec.verb}({_typed(value)})"


def _printed(value: Any, spec: _Verb) -> str:
    if spec.verb == "T":
        return _text(type_name(value), _Verb("s", spec.flags, spec.width, spec.precision))
    if value is None:
        return spec.padded("<nil>") if spec.verb == "v" else _bad(value, spec)
    if isinstance(value, list | tuple):
        return "[" + " ".join(_printed(member, spec) for member in value) + "]"
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=_key_order)
        return "map[" + " ".join(f"{_printed(key, spec)}:{_printed(member, spec)}" for key, member in pairs) + "]"
    if isinstance(value, timedelta) and spec.verb not in "vsqxX":
        return _integer(value // timedelta(microseconds=1) * 1000, spec)
    for kind, printer in _PRINTERS:
        if isinstance(value, kind):
            return printer(value, spec)
    return spec.padded(str(value)) if spec.verb in "vs" else _bad(value, spec)


def _key_order(pair: tuple[Any, Any]) -> tuple[int, Any]:
    key = pair[0]
    if isinstance(key, int | float):
        return (0, key)
    return (1, key.encode() if isinstance(key, str) else str(key).encode())


def _boolean(value: bool, spec: _Verb) -> str:
    return spec.padded("true" if value else "false") if spec.verb in "tv" else _bad(value, spec)


_BASES = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}


def _integer(value: int, spec: _Verb) -> str:
    if spec.verb in ("c", "q", "U"):
        return _character(value, spec)
    if spec.verb not in _BASES:
        return _bad(value, spec)
    digits = format(abs(value), _BASES[spec.verb])
    if spec.precision is not None:
        digits = "" if spec.precision == 0 and value == 0 else digits.rjust(spec.precision, "0")
    prefix = ""
    if spec.verb == "O":
        prefix = "0o"
    elif "#" in spec.flags:
        prefix = {"b": "0b", "o": "0" if not digits.startswith("0") else "", "x": "0x", "X": "0X"}.get(spec.verb, "")
    if not digits:
        return " " * (spec.width or 0)
    return _signed(_sign(spec, negative=value < 0) + prefix, digits, spec, zeros=spec.precision is None)


def _sign(spec: _Verb, *, negative: bool) -> str:
    return "-" if negative else "+" if "+" in spec.flags else " " if " " in spec.flags else ""


def _signed(sign: str, digits: str, spec: _Verb, *, zeros: bool) -> str:
    """A number padded to its width; zeros go between the sign and the digits."""
    if spec.width is not None and zeros and "0" in spec.flags and "-" not in spec.flags:
        return sign + digits.rjust(spec.width - len(sign), "0")
    text = sign + digits
    if spec.width is None:
        return text
    return text.ljust(spec.width) if "-" in spec.flags else text.rjust(spec.width)


def _character(value: int, spec: _Verb) -> str:
    char = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
    if spec.verb == "c":
        return spec.padded(char)
    if spec.verb == "q":
        return spec.padded("'" + _escaped(char, "'") + "'")
    text = f"U+{value:0{max(4, spec.precision or 0)}X}"
    if "#" in spec.flags and char.isprintable():
        text += f" '{char}'"
    return _Verb("U", spec.flags.replace("0", ""), spec.width).padded(text)


def _real(value: float, spec: _Verb) -> str:
    if spec.verb not in ("v", "g", "G", "e", "E", "f", "F"):
        return _bad(value, spec)
    sign = _sign(spec, negative=math.copysign(1, value) < 0)
    if math.isnan(value):
        return _signed("" if sign == "-" else sign, "NaN", spec, zeros=False)
    if math.isinf(value):
        return _signed(sign or "+", "Inf", spec, zeros=False)
    return _signed(sign, _unsigned_float(abs(value), spec), spec, zeros=True)


def _unsigned_float(value: float, spec: _Verb) -> str:
    form = "g" if spec.verb == "v" else spec.verb
    if form in "eEfF" or spec.precision is not None:
        return format(value, f".{6 if spec.precision is None else spec.precision}{form}")
    return _shortest(value, "E" if form == "G" else "e")


def _shortest(value: float, letter: str) -> str:
    """The fewest digits that tell the number apart, with an exponent below 1e-4 and from a million."""
    _, figures, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, figures)).lstrip("0")
    point = len(digits) + int(exponent)
    digits = digits.rstrip("0")
    if digits and not -4 <= point - 1 < 6:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{digits[0]}{fraction}{letter}{'-' if point < 1 else '+'}{abs(point - 1):02}"
    if not digits or point >= len(digits):
        return digits.ljust(point, "0") or "0"
    return f"{digits[:point]}.{digits[point:]}" if point > 0 else f"0.{'0' * -point}{digits}"


def _text(value: str, spec: _Verb) -> str:
    if spec.precision is not None and spec.verb in "vsq":
        value = value[: spec.precision]
    if spec.verb in "vs":
        return spec.padded(value)
    if spec.verb == "q":
        raw = "#" in spec.flags and "`" not in value and all(char == "\t" or char.isprintable() for char in value)
        return spec.padded(f"`{value}`" if raw else go_quote(value))
    return _hexadecimal(value.encode(), spec) if spec.verb in "xX" else _bad(value, spec)


def _hexadecimal(value: bytes, spec: _Verb) -> str:
    if spec.precision is not None:
        value = value[: spec.precision]
    prefix = "0x" if "#" in spec.flags and value else ""
    text = value.hex(" ").replace(" ", " " + prefix) if " " in spec.flags else value.hex()
    text = prefix + text
    return spec.padded(text.upper() if spec.verb == "X" else text)


def _octets(value: bytes, spec: _Verb) -> str:
    if spec.verb in "sqxX":
        return _hexadecimal(value, spec) if spec.verb in "xX" else _text(value.decode(errors="replace"), spec)
    return "[" + " ".join(_integer(octet, spec) for octet in value) + "]"


#: How a value of a type is printed; bool comes before int, of which it is one.
_PRINTERS: tuple[tuple[type, Callable[[Any, _Verb], str]], ...] = (
    (bool, _boolean),
    (int, _integer),
    (float, _real),
    (str, _text),
    (bytes, _octets),
    (datetime, lambda value, spec: _text(format_time(value, STRING_LAYOUT), spec)),
    (timedelta, lambda value, spec: _text(format_duration(value), spec)),
)

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def _escaped(char: str, quote: str) -> str:
    if char == quote:
        return "\\" + char
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
