"""JSON text as Go's encoding/json writes it, so that values look the same as in Argo."""

from __future__ import annotations

import json
from typing import Any

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def go_json(value: Any) -> str:
    """Compact JSON, keys sorted, with `<`, `>` and `&` escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_HTML)


def go_text(value: Any) -> str:
    """A JSON value as text: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else go_json(value)
