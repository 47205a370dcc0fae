"""Functions with Go's typed parameters: what is passed must be of the type that sprig's source names.

A module of this package lists its functions as `{name: (kinds, function)}`. `kinds` has one letter for each parameter:
(s)tring, (i)nt, (f)loat, (b)ool, (d)ict, (t)ime, (a)ny; a last "*" lets the last parameter come any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import type_name

Table = Mapping[str, tuple[str, Callable[..., Any]]]

#: Characters or items that one call may produce.
LIMIT = 1_000_000

_TYPES: dict[str, tuple[type, ...]] = {
    "s": (str,),
    "i": (int,),
    "f": (float, int),
    "b": (bool,),
    "d": (dict,),
    "t": (datetime,),
    "a": (object,),
}
_NAMES = {"s": "string", "i": "int", "f": "float64", "b": "bool", "d": "map[string]interface {}", "t": "time.Time"}


def checked(table: Table) -> dict[str, Callable[..., Any]]:
    """The functions, each behind a check of its arguments."""
    return {name: _checked(name, kinds, function) for name, (kinds, function) in table.items()}


def _checked(name: str, kinds: str, function: Callable[..., Any]) -> Callable[..., Any]:
    variadic = kinds.endswith("*")
    letters = kinds.removesuffix("*")
    least = len(letters) - variadic

    def call(*args: Any) -> Any:
        if len(args) < least or (len(args) > least and not variadic):
            wanted = f"at least {least}" if variadic else str(least)
            raise ExpressionError(f"sprig.{name} takes {wanted} arguments, {len(args)} were given.")
        for position, value in enumerate(args):
            letter = letters[min(position, len(letters) - 1)]
            if not isinstance(value, _TYPES[letter]) or (letter in "if" and isinstance(value, bool)):
                given = f"argument {position + 1} is of type {type_name(value)}"
                raise ExpressionError(f"sprig.{name}: {given}, {_NAMES[letter]} is expected.")
        try:
            return function(*args)
        except RecursionError:
            raise ExpressionError(f"sprig.{name}: the value is nested too deeply.") from None
        except UnicodeEncodeError:
            raise ExpressionError(f"sprig.{name}: the text is not Unicode (it holds half of a character).") from None

    call.__name__ = name
    call.__doc__ = function.__doc__
    return call


def bounded(count: int, what: str) -> int:
    """The count, if a call may produce so many.

    Raises:
        ExpressionError: it is beyond the limit.
    """
    if count > LIMIT:
        raise ExpressionError(f"sprig.{what} would produce {count} characters or items; at most {LIMIT} are allowed.")
    return count
