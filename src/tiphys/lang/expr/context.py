"""What an evaluation is given beside its variables: the time, the seed, the bounds; and what it has used of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tiphys.lang.expr.faults import FaultError


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one evaluation may take."""

    #: Nodes evaluated, and values visited by comparisons, sorts and searches; about a second's work.
    steps: int = 5_000_000
    #: Elements of the arrays and maps that are made, as expr-lang's conf.DefaultMemoryBudget.
    items: int = 1_000_000
    #: Characters of the strings that are made.
    characters: int = 16_000_000
    #: How deep values may be nested in each other where they are compared, flattened or written.
    depth: int = 200


@dataclass(frozen=True, slots=True)
class Context:
    """The world of one evaluation."""

    #: What `now()` gives; aware.
    now: datetime
    #: From which functions of the environment draw their randomness.
    seed: bytes = b""
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(slots=True)
class Scope:
    """The element that a predicate looks at."""

    item: Any = None
    index: int = 0
    accumulator: Any = None


class Run:
    """One evaluation: its variables and what it has used.

    Args:
        environment: The variables, by name.
        context: The time and the bounds; without it there is no time.
        slots: How many `let` variables the expression has.
    """

    __slots__ = ("_characters", "_items", "_steps", "bounds", "context", "environment", "scope", "variables")

    def __init__(self, environment: Mapping[str, Any], context: Context | None = None, *, slots: int = 0) -> None:
        self.environment = environment
        self.context = context
        self.bounds = context.bounds if context else Bounds()
        self.variables: list[Any] = [None] * slots
        self.scope = Scope()
        self._steps = self.bounds.steps
        self._items = self.bounds.items
        self._characters = self.bounds.characters

    def step(self, count: int = 1) -> None:
        """Account for work.

        Raises:
            FaultError: the evaluation takes too long.
        """
        self._steps -= count
        if self._steps < 0:
            raise FaultError(f"the evaluation takes more than {self.bounds.steps} steps")

    def scan(self, length: int) -> None:
        """Account for looking through so many characters.

        Raises:
            FaultError: the evaluation takes too long.
        """
        self.step(1 + length // 256)

    def grow(self, count: int) -> None:
        """Account for elements before they are made.

        Raises:
            FaultError: they are too many.
        """
        self._items -= count
        if self._items <= 0:
            raise FaultError("memory budget exceeded", hint=f"At most {self.bounds.items} elements can be made.")

    def write(self, count: int) -> None:
        """Account for characters before they are made.

        Raises:
            FaultError: they are too many.
        """
        self._characters -= count
        if self._characters < 0:
            raise FaultError("memory budget exceeded", hint=f"At most {self.bounds.characters} characters can be made.")

    def descend(self, depth: int) -> int:
        """The next depth inside a nested value.

        Raises:
            FaultError: it is nested too deeply.
        """
        self.step()
        if depth >= self.bounds.depth:
            raise FaultError(f"recursion depth exceeded: a value is nested more than {self.bounds.depth} deep")
        return depth + 1
