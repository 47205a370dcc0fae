"""Values as plain JSON: for metadata, for conditions and loops on outputs, for parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tiphys.errors import UsageError

_SCALARS = frozenset({str, int, bool, type(None)})


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as JSON values.

    Raises:
        UsageError: a key is not text, or a value has no JSON form.
    """
    result = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise UsageError(f"Metadata keys are text, not {type(key).__qualname__} ({key!r}).")
        if type(value) in _SCALARS:
            result[key] = value
            continue
        try:
            result[key] = json.loads(to_json(value))
        except UsageError as error:
            raise UsageError(f"The metadata '{key}' has no JSON form: {error.message}") from error
    return result


def to_json(value: Any) -> str:
    """JSON text of a value; NumPy scalars, dates, paths, enums, dataclasses and pydantic models have one too.

    Numbers that JSON does not know are `null`.

    Raises:
        UsageError: the value has no JSON form.
    """
    try:
        return json.dumps(value, default=_other, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        if "circular" in str(error).lower():
            raise UsageError("The value holds itself.") from error
        return json.dumps(_without_nan(json.loads(json.dumps(value, default=_other))), ensure_ascii=False)
    except TypeError as error:  # a key that is not text
        raise UsageError(str(error)) from error


def _other(value: Any) -> Any:
    item = getattr(value, "item", None)
    if item is not None and getattr(value, "ndim", None) == 0:
        return item()
    to_list = getattr(value, "tolist", None)
    if to_list is not None:
        return to_list()
    try:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{type(value).__module__}.{type(value).__qualname__} has no JSON form.") from error


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return value
