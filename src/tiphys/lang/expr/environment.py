"""Argo's environment of an expression, and how the value of `{{=…}}` is written into a text.

Semantics: argo-workflows, util/expr/env (GetFuncMap), util/expand, util/template/expression_template.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tiphys.errors import ExpressionError
from tiphys.lang.expr.context import Run
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.functions_number import to_float, to_int
from tiphys.lang.expr.printing import read_json, write_json
from tiphys.lang.jsonpath import evaluate_jsonpath

_Result = TypeVar("_Result")


def argo_environment(variables: Mapping[str, Any], functions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The variables as nested maps, with Argo's functions `asInt`, `asFloat`, `jsonpath` and `toJson`.

    Args:
        variables: Values by dotted names: "steps.a.outputs.result". A name that others lie below gives way to them.
        functions: Further functions, and maps of functions, by name: {"sprig": function_map(now, seed)}.
    """
    return {**expand(variables), **_FUNCTIONS, **(functions or {})}


def expand(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested maps: {"a.b": 1} is {"a": {"b": 1}}; of "a" and "a.b" the second counts."""
    nested: dict[str, Any] = {}
    made = {id(nested)}
    for name in sorted(variables):
        *path, last = name.split(".")
        place = nested
        for part in path:
            below: dict[str, Any] = place.get(part, nested)
            if below is nested or id(below) not in made:
                below = {}
                made.add(id(below))
                place[part] = below
            place = below
        place[last] = variables[name]
    return nested


def to_text(value: Any) -> str:
    """The text that stands in place of `{{=…}}`: a string as it is, all else as compact JSON (2.0 is "2").

    Raises:
        ExpressionError: the value is nil, or has no JSON.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise ExpressionError("The expression gives nil.", hint="Provide another value with ??.")
    text = _guarded(lambda: write_json(Run({}), value))
    return text[1:-1] if text.startswith('"') else text


def _to_json(value: Any) -> str:
    return _guarded(lambda: write_json(Run({}), value))


def _jsonpath(text: Any, path: Any) -> Any:
    if not (isinstance(text, str) and isinstance(path, str)):
        raise ExpressionError("jsonpath takes a JSON text and a path, both strings.")
    return evaluate_jsonpath(path, _guarded(lambda: read_json(Run({}), text)))


def _guarded(work: Callable[[], _Result]) -> _Result:
    """What happens outside an evaluation fails with the error of the outside."""
    try:
        return work()
    except FaultError as fault:
        raise ExpressionError(fault.message, hint=fault.hint) from None


_FUNCTIONS: dict[str, Any] = {
    "asInt": lambda value: _guarded(lambda: to_int(Run({}), value)),
    "asFloat": lambda value: _guarded(lambda: to_float(Run({}), value)),
    "jsonpath": _jsonpath,
    "toJson": _to_json,
}
