"""Values of expressions and filters as JSON text."""

from __future__ import annotations

from typing import Any

from tiphys.lang.expr.environment import argo_environment


def json_text(value: Any) -> str:
    """Compact JSON as Go writes it (2.0 is "2"), of all that an expression may give.

    Raises:
        ExpressionError: the value has no JSON.
    """
    text: str = argo_environment({})["toJson"](value)
    return text
