"""Constants in a form that can be compared and hashed, and what of them is code."""

from __future__ import annotations

import enum
import functools
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

#: Marks what has no plain form.
OPAQUE: Any = object()
_SCALARS = (str, int, float, bool, type(None), bytes, complex, PurePath, date, time, timedelta, Decimal, UUID, range)


def plain_form(value: Any, depth: int = 0) -> Any:
    """A value in a form that canonical JSON can hold, or `OPAQUE`."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, enum.Enum):
        return [type(value).__qualname__, value.name]
    if isinstance(value, _SCALARS):
        return [type(value).__name__, repr(value)]
    if isinstance(value, re.Pattern):
        return ["Pattern", repr(value.pattern), value.flags]
    if depth > 50:
        return OPAQUE
    if type(value) in (list, tuple, set, frozenset):
        items = [plain_form(item, depth + 1) for item in value]
        if any(item is OPAQUE for item in items):
            return OPAQUE
        return [type(value).__name__, sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items]
    if isinstance(value, Mapping) and type(value) in (dict, types.MappingProxyType):
        pairs = [[plain_form(key, depth + 1), plain_form(item, depth + 1)] for key, item in value.items()]
        return OPAQUE if any(item is OPAQUE for pair in pairs for item in pair) else ["dict", pairs]
    state = _state_of(value)
    if state is not None:
        plain = plain_form(state, depth + 1)
        return OPAQUE if plain is OPAQUE else [type(value).__qualname__, plain]
    return OPAQUE


def _state_of(value: Any) -> dict[str, Any] | None:
    """The fields of an object that is data and nothing else."""
    kind = type(value)
    if is_dataclass(kind):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=False))
    if (
        isinstance(value, types.SimpleNamespace)
        or "model_fields" in kind.__dict__
        or hasattr(kind, "__pydantic_fields__")
    ):
        return dict(vars(value))
    return None


def is_constant(value: Any) -> bool:
    """Whether a value is data, not code and not an object with a life of its own."""
    return not isinstance(value, (type, types.FunctionType, types.ModuleType)) and (
        isinstance(value, (*_SCALARS, enum.Enum, re.Pattern))
        or type(value) in (list, tuple, set, frozenset, dict, types.MappingProxyType)
        or _state_of(value) is not None
    )


def code_inside(value: Any, depth: int = 0) -> Iterator[Any]:
    """Functions and classes inside of containers and data objects."""
    if isinstance(value, (types.FunctionType, type, functools.partial)):
        yield value
    elif isinstance(value, enum.Enum):
        yield type(value)
    elif depth < 5 and type(value) in (list, tuple, set, frozenset):
        for item in value:
            yield from code_inside(item, depth + 1)
    elif depth < 5 and type(value) in (dict, types.MappingProxyType):
        for item in value.values():
            yield from code_inside(item, depth + 1)
    elif depth < 5 and not isinstance(value, _SCALARS) and _state_of(value) is not None:
        yield type(value)


def is_code(value: Any) -> bool:
    """Whether a class's member is a method or class of its own."""
    return isinstance(
        value,
        (types.FunctionType, staticmethod, classmethod, property, functools.cached_property, functools.partial, type),
    )
