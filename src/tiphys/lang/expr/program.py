"""Expressions ready to run: expr-lang v1.17 as Argo uses it, with bounds on time and memory.

It differs from the Go implementation in that maps keep the order of their making, times have microseconds, sorting is
stable, and a variable that has the name of a built-in function can be read but not called.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.expr.checker import Nature, check
from tiphys.lang.expr.context import Context, Run
from tiphys.lang.expr.evaluator import build
from tiphys.lang.expr.faults import FaultError, located
from tiphys.lang.expr.nodes import Node
from tiphys.lang.expr.parser import parse
from tiphys.lang.expr.references import find_references
from tiphys.lang.expr.source_text import source_text
from tiphys.lang.expr.values import kind_of

#: How many combinations of kinds of variables a program remembers to be right.
_MOST_CHECKED = 64
#: Characters of the longest expression whose program is remembered.
_MOST_REMEMBERED = 4000


class Program:
    """An expression that was read and checked; it may be run from several threads.

    Args:
        source: The text.
        root: Its tree.
    """

    def __init__(self, source: str, root: Node) -> None:
        self._source = source
        self._root = root
        self._evaluate, self._slots = build(root)
        self._references = find_references(root)
        self._names = tuple(sorted(self._references.names))
        #: Kinds of the variables for which the expression was checked.
        self._checked: set[tuple[str | None, ...]] = set()

    def __str__(self) -> str:
        return self.source()

    def source(self) -> str:
        """The expression written out of its tree; it reads as the same tree."""
        return source_text(self._root)

    def references(self) -> frozenset[tuple[str, ...]]:
        """Paths it reads from the environment: `steps['a-b'].x` is ("steps", "a-b", "x").

        A path ends where a key is computed. Functions count too: `sprig.trim(x)` reads ("sprig", "trim").
        """
        return frozenset(self._references.required)

    def optional_references(self) -> frozenset[tuple[str, ...]]:
        """Paths whose absence the expression provides for, with `??` or `?.`; their first name is required."""
        return frozenset(self._references.optional)

    def run(self, env: Mapping[str, Any], context: Context | None = None) -> Any:
        """The value of the expression.

        Args:
            env: Variables and functions by name; values as JSON has them, and times.
            context: The time and the bounds.

        Raises:
            ExpressionError: it cannot be evaluated with these variables, or takes too much; with line and column.
        """
        try:
            self._check(env)
            return self._evaluate(Run(env, context, slots=self._slots))
        except FaultError as fault:
            raise located(fault, self._source) from fault.__cause__
        except RecursionError:
            raise located(_too_deep(), self._source) from None
        except UnicodeEncodeError:
            raise located(FaultError("a string holds half a character (a lone surrogate)"), self._source) from None

    def _check(self, env: Mapping[str, Any]) -> None:
        kinds = tuple(kind_of(env[name]) if name in env else None for name in self._names)
        if kinds in self._checked:
            return
        known = {name: Nature(kind) for name, kind in zip(self._names, kinds, strict=True) if kind is not None}
        check(self._root, known)
        if len(self._checked) < _MOST_CHECKED:
            self._checked.add(kinds)


def _too_deep() -> FaultError:
    return FaultError("the expression is nested too deeply", 0, hint="Split it with let.")


def compile_expression(source: str) -> Program:
    """Read an expression and check what can be checked without its variables; short ones are remembered.

    Raises:
        ExpressionError: it is not an expression, or its operands do not go together; with line and column.
    """
    return _remembered(source) if len(source) <= _MOST_REMEMBERED else _compiled(source)


def _compiled(source: str) -> Program:
    try:
        root = parse(source)
        check(root)
        return Program(source, root)
    except FaultError as fault:
        raise located(fault, source) from fault.__cause__
    except RecursionError:
        raise located(_too_deep(), source) from None


_remembered = lru_cache(maxsize=2048)(_compiled)


def evaluate_condition(source: str, env: Mapping[str, Any], context: Context | None = None) -> bool:
    """The value of an expression that must be true or false, as Argo's argoexpr.EvalBool.

    Raises:
        ExpressionError: it cannot be evaluated, or gives something else.
    """
    value = compile_expression(source).run(env, context)
    if not isinstance(value, bool):
        raise ExpressionError(
            f"The expression '{source}' gives a {kind_of(value)}, not true or false.", hint="Compare it with something."
        )
    return value
