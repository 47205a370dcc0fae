"""What a value is, whether it is empty, whether two are equal; the functions that give a default."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tiphys.lang.goformat import type_name
from tiphys.lang.sprig.signature import Table

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (dict, "map"),
    (list, "slice"),
    (tuple, "slice"),
    (bytes, "slice"),
    (timedelta, "int64"),
    (datetime, "struct"),
)


def kind_of(value: Any) -> str:
    """Go's kind of the value, such as "string", "slice" or "map"; "invalid" for nil."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "invalid" if value is None else "ptr"


def is_empty(value: Any) -> bool:
    """Whether the value is nil, false, zero, or without members; a time never is."""
    return not isinstance(value, datetime) and not value


def frozen(value: Any) -> Any:
    """Something hashable that is the same for two values exactly if Go's reflect.DeepEqual holds them equal."""
    if isinstance(value, list | tuple):
        return ("slice", *(frozen(member) for member in value))
    if isinstance(value, dict):
        return ("map", frozenset((frozen(key), frozen(member)) for key, member in value.items()))
    return (kind_of(value), value)


def _default(default: Any, *given: Any) -> Any:
    return default if not given or is_empty(given[0]) else given[0]


FUNCTIONS: Table = {
    "default": ("aa*", _default),
    "empty": ("a", is_empty),
    "coalesce": ("a*", lambda *values: next((value for value in values if not is_empty(value)), None)),
    "all": ("a*", lambda *values: not any(is_empty(value) for value in values)),
    "any": ("a*", lambda *values: any(not is_empty(value) for value in values)),
    "ternary": ("aab", lambda if_true, if_false, condition: if_true if condition else if_false),
    "typeOf": ("a", type_name),
    "typeIs": ("sa", lambda name, value: name == type_name(value)),
    "typeIsLike": ("sa", lambda name, value: type_name(value) in (name, f"*{name}")),
    "kindOf": ("a", kind_of),
    "kindIs": ("sa", lambda name, value: name == kind_of(value)),
    "deepEqual": ("aa", lambda left, right: frozen(left) == frozen(right)),
}
