"""Conditions on values that exist only once the pipeline runs: `when=score > 0.9` and what can be said in such a place.

An output in a pipeline's body stands for a value of the future. Comparing it gives a `Condition`, which the compiler
writes as Argo's `when`; Python's own `if`, `and`, `or` and `not` would need the value now, so they are refused with an
explanation.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from tiphys.errors import DefinitionError

#: Writes an operand as a tag of the workflow.
Render = Callable[["Operand"], str]

_NOT_NOW = "The pipeline's body only describes the steps; their values exist once they run."
_REFLECTED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Condition(ABC):
    """A truth about outputs; combine with `&`, `|` and `~`, use as `when=`."""

    __slots__ = ()

    @abstractmethod
    def operands(self) -> Iterator[Operand]:
        """The outputs that it asks for."""

    @abstractmethod
    def text(self, render: Render) -> str:
        """As the `when` of a task."""

    def __and__(self, other: Any) -> Condition:
        return Junction("&&", self, as_condition(other))

    def __rand__(self, other: Any) -> Condition:
        return Junction("&&", as_condition(other), self)

    def __or__(self, other: Any) -> Condition:
        return Junction("||", self, as_condition(other))

    def __ror__(self, other: Any) -> Condition:
        return Junction("||", as_condition(other), self)

    def __invert__(self) -> Condition:
        return Negation(self)

    def __bool__(self) -> bool:
        raise DefinitionError(
            f"A condition on a step's output was used as True or False while the pipeline was being built. {_NOT_NOW}",
            hint="Give it to the steps that depend on it, `step(..., when=condition)`; combine conditions with &, | "
            "and ~, each in parentheses. To look at a value in Python, do it inside a step.",
        )


class Operand:
    """An output as a part of conditions. `str()` of it names it for people."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Condition:
        return Comparison(self, "<", other)

    def __le__(self, other: Any) -> Condition:
        return Comparison(self, "<=", other)

    def __gt__(self, other: Any) -> Condition:
        return Comparison(self, ">", other)

    def __ge__(self, other: Any) -> Condition:
        return Comparison(self, ">=", other)

    def __eq__(self, other: object) -> Any:
        return Comparison(self, "==", other)

    def __ne__(self, other: object) -> Any:
        return Comparison(self, "!=", other)

    def __and__(self, other: Any) -> Condition:
        return Junction("&&", Truth(self), as_condition(other))

    def __rand__(self, other: Any) -> Condition:
        return Junction("&&", as_condition(other), Truth(self))

    def __or__(self, other: Any) -> Condition:
        return Junction("||", Truth(self), as_condition(other))

    def __ror__(self, other: Any) -> Condition:
        return Junction("||", as_condition(other), Truth(self))

    def __invert__(self) -> Condition:
        return Negation(Truth(self))

    def __bool__(self) -> bool:
        raise DefinitionError(
            f"{self} was used as True or False while the pipeline was being built. {_NOT_NOW}",
            hint="Run a step only if it holds: `step(..., when=output)` or `when=output > 0.5`.",
        )


class Comparison(Condition):
    """One output against a literal or another output."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, left: Operand, operator: str, right: Any) -> None:
        if not isinstance(right, Operand):
            right = _literal(right, left)
            if operator in _REFLECTED and (right is None or isinstance(right, bool)):
                raise DefinitionError(f"{left} {operator} {right!r}: {right!r} has no order.", hint="Use == or !=.")
        self.left, self.operator, self.right = left, operator, right

    def operands(self) -> Iterator[Operand]:
        """Both sides that are outputs."""
        yield self.left
        if isinstance(self.right, Operand):
            yield self.right

    def text(self, render: Render) -> str:
        """`{{…}} < 0.5`."""
        right = render(self.right) if isinstance(self.right, Operand) else literal_text(self.right)
        return f"{render(self.left)} {self.operator} {right}"


class Truth(Condition):
    """An output that is True or False itself."""

    __slots__ = ("operand",)

    def __init__(self, operand: Operand) -> None:
        self.operand = operand

    def operands(self) -> Iterator[Operand]:
        """The one output."""
        yield self.operand

    def text(self, render: Render) -> str:
        """`{{…}} == true`: what is not a truth value counts as false."""
        return f"{render(self.operand)} == true"


class Junction(Condition):
    """Both of two, or one of them."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Condition, right: Condition) -> None:
        self.left, self.operator, self.right = left, operator, right

    def operands(self) -> Iterator[Operand]:
        """Those of both sides."""
        yield from self.left.operands()
        yield from self.right.operands()

    def text(self, render: Render) -> str:
        """`(…) && (…)`."""
        return f"({self.left.text(render)}) {self.operator} ({self.right.text(render)})"


class Negation(Condition):
    """The contrary."""

    __slots__ = ("inner",)

    def __init__(self, inner: Condition) -> None:
        self.inner = inner

    def operands(self) -> Iterator[Operand]:
        """Those of what is denied."""
        yield from self.inner.operands()

    def text(self, render: Render) -> str:
        """`!(…)`."""
        return f"!({self.inner.text(render)})"


class Constant(Condition):
    """A truth that is known already: `when=False` leaves a step out of one run and keeps it in the pipeline."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value

    def operands(self) -> Iterator[Operand]:
        """None."""
        return iter(())

    def text(self, render: Render) -> str:  # noqa: ARG002  as in all conditions
        """`true == true` or `true == false`."""
        return f"true == {literal_text(self.value)}"


def as_condition(value: Any) -> Condition:
    """A condition, or the truth of an output or of a bool.

    Raises:
        DefinitionError: it is none of them.
    """
    if isinstance(value, Condition):
        return value
    if isinstance(value, Operand):
        return Truth(value)
    if isinstance(value, bool):
        return Constant(value)
    raise DefinitionError(
        f"{value!r} ({type(value).__qualname__}) is no condition.",
        hint="Compare a step's output, for example `when=score > 0.9`. Mind the parentheses: (a > 1) & (b < 2).",
    )


def _literal(value: Any, left: Operand) -> Any:
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        value = value.item()
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise DefinitionError(
        f"{left} is compared with {value!r}, which a condition cannot hold.",
        hint="Compare with a number, text, True, False, None or another output; for anything else, return a bool from "
        "a step and use that.",
    )


def literal_text(value: str | float | bool | None) -> str:
    """A literal as JSON, numbers without an exponent."""
    if isinstance(value, float) and not isinstance(value, bool):
        text = repr(value)
        if "e" in text:
            from decimal import Decimal  # only very large and small numbers need it

            text = format(Decimal(text), "f")
        return text
    return quotable(json.dumps(value, ensure_ascii=False))


def quotable(text: str) -> str:
    """JSON text that stays one literal wherever a `when` holds it: there a `'` ends a string that a `"` began."""
    return text.replace("'", "\\u0027").replace("{{", "{\\u007b")
