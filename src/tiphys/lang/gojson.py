"""JSON text as Go's encoding/json writes it, so that values look the same as in Argo."""

from __future__ import annotations

import json
from typing import Any

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def go_json(value: Any) -> str:
    """Compact JSON, keys sorted, with `<`, `>` and `&` escaped; a float without a fraction has none (4.0 is `4`)."""
    plain = _whole(value) if _has_float(value) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


def go_text(value: Any) -> str:
    """A JSON value as text: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else go_json(value)


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return isinstance(value, float) or (isinstance(value, list) and any(map(_has_float, value)))


def _whole(value: Any) -> Any:
    """The same with whole floats as integers, up to where Go begins to write exponents."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        return {key: _whole(member) for key, member in value.items()}
    return [_whole(member) for member in value] if isinstance(value, list) else value
