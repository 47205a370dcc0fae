"""Expressions of a workflow: what they may refer to is given as dotted names, as Argo's documentation spells them.

An expression is carried out again when a workflow is taken up anew, so its time and its randomness come from what is
stored: the moment and the name of the node it belongs to. The language is loaded when the first expression is met: most
pipelines have none, and starting one would take a tenth longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tiphys._util.times import from_epoch
from tiphys.errors import ExpressionError

_LANGUAGE = "tiphys.lang.expr"
_SPRIG = "tiphys.lang.sprig.functions"


def evaluate(source: str, variables: Mapping[str, Any], *, now: float, seed: str) -> Any:
    """The value of an expression.

    Args:
        source: The expression.
        variables: Values by dotted names.
        now: Epoch seconds.
        seed: Tells the randomness of this expression from that of others.

    Raises:
        ExpressionError: it cannot be read or evaluated; the message names the place.
    """
    program = _compile(source)
    moment, digest = from_epoch(now), hashlib.sha256(f"{seed}\0{source}".encode()).digest()
    uses_sprig = any(path[0] == "sprig" for path in program.references() | program.optional_references())
    functions = {"sprig": import_module(_SPRIG).function_map(moment, digest)} if uses_sprig else {}
    environment = import_module(f"{_LANGUAGE}.environment").argo_environment(variables, functions)
    return program.run(environment, import_module(f"{_LANGUAGE}.context").Context(moment, digest))


def evaluate_text(source: str, variables: Mapping[str, Any], *, now: float, seed: str) -> str:
    """What stands in place of `{{=source}}`."""
    value = evaluate(source, variables, now=now, seed=seed)
    text: str = import_module(f"{_LANGUAGE}.environment").to_text(value)
    return text


def evaluate_condition(source: str, variables: Mapping[str, Any], *, now: float, seed: str, where: str) -> bool:
    """The value of an expression that must be a boolean.

    Raises:
        ExpressionError: it is none, or cannot be evaluated.
    """
    found = evaluate(source, variables, now=now, seed=seed)
    if not isinstance(found, bool):
        raise ExpressionError(f"{where}: the expression '{source}' must give true or false, not {found!r}.")
    return found


def check(source: str) -> None:
    """See whether an expression can be read.

    Raises:
        ExpressionError: it cannot; the message names the place.
    """
    _compile(source)


def referenced(source: str) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """Paths that an expression reads: those it needs, and those whose absence it provides for."""
    program = _compile(source)
    return program.references(), program.optional_references()


def _compile(source: str) -> Any:
    return import_module(f"{_LANGUAGE}.program").compile_expression(source)
