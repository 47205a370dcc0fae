"""The built-in functions that look at each element with a predicate.

Semantics: expr-lang v1.17, compiler/compiler.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.functions_collection import sort_values
from tiphys.lang.expr.operators import add
from tiphys.lang.expr.values import AnyMap, hashable, to_bool


class Body:
    """A predicate on its way through the elements.

    Args:
        run: The evaluation.
        evaluate: The predicate; None takes the element itself.
        size: How many nodes it has.
    """

    __slots__ = ("_evaluate", "_size", "run")

    def __init__(self, run: Run, evaluate: Callable[[Run], Any] | None, size: int) -> None:
        self.run = run
        self._evaluate = evaluate
        self._size = size

    def __call__(self, index: int, item: Any) -> Any:
        """Its value for an element."""
        self.run.step(self._size)
        scope = self.run.scope
        scope.index, scope.item = index, item
        return item if self._evaluate is None else self._evaluate(self.run)

    def holds(self, index: int, item: Any) -> bool:
        """Its value for an element, which must be a bool."""
        return to_bool(self(index, item), "result of a predicate")


def _all(body: Body, array: Sequence[Any]) -> bool:
    return all(body.holds(*place) for place in enumerate(array))


def _none(body: Body, array: Sequence[Any]) -> bool:
    return not _any(body, array)


def _any(body: Body, array: Sequence[Any]) -> bool:
    return any(body.holds(*place) for place in enumerate(array))


def _count(body: Body, array: Sequence[Any]) -> int:
    return sum(body.holds(*place) for place in enumerate(array))


def _one(body: Body, array: Sequence[Any]) -> bool:
    return _count(body, array) == 1


def _filter(body: Body, array: Sequence[Any]) -> list[Any]:
    found = [item for index, item in enumerate(array) if body.holds(index, item)]
    body.run.grow(len(found))
    return found


def _map(body: Body, array: Sequence[Any]) -> list[Any]:
    body.run.grow(len(array))
    return [body(*place) for place in enumerate(array)]


def _first(body: Body, places: Iterable[tuple[int, Any]]) -> tuple[int | None, Any]:
    return next(((index, item) for index, item in places if body.holds(index, item)), (None, None))


def _backwards(array: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    return zip(range(len(array) - 1, -1, -1), reversed(array), strict=True)


def _sum(body: Body, array: Sequence[Any]) -> Any:
    total: Any = 0
    for place in enumerate(array):
        total = add(body.run, body(*place), total)
    return total


def _group_by(body: Body, array: Sequence[Any]) -> AnyMap:
    body.run.grow(len(array))
    groups = AnyMap()
    kinds: dict[Any, type] = {}
    for index, item in enumerate(array):
        key = hashable(body(index, item))
        if kinds.setdefault(key, type(key)) is not type(key):
            raise FaultError(
                f"groupBy cannot tell the keys {key!r} of different types apart", hint="Use string(…) of them."
            )
        groups.setdefault(key, []).append(item)
    return groups


def _sort_by(body: Body, array: Sequence[Any], order: Any = "asc") -> list[Any]:
    body.run.grow(len(array))
    keys = [body(*place) for place in enumerate(array)]
    return [array[index] for index in sort_values(body.run, keys, order)]


_ABSENT = object()


def _reduce(body: Body, array: Sequence[Any], initial: Any = _ABSENT) -> Any:
    places = list(enumerate(array))
    if initial is _ABSENT:
        if not places:
            raise FaultError("reduce of empty array with no initial value", hint="Give it as third argument.")
        initial = places.pop(0)[1]
    scope = body.run.scope
    scope.accumulator = initial
    for place in places:
        scope.accumulator = body(*place)
    return scope.accumulator


@dataclass(frozen=True, slots=True)
class Loop:
    """A function with a predicate as its second argument."""

    call: Callable[..., Any]
    #: Kind of the result; "same" is the kind of the array.
    result: str
    #: How many arguments it needs, and how many it takes.
    least: int = 2
    most: int = 2
    #: Whether the predicate must give a bool.
    tests: bool = False
    #: Pointers beside `#` that the predicate may use.
    pointers: frozenset[str] = frozenset()


LOOPS = {
    "all": Loop(_all, "bool", tests=True),
    "none": Loop(_none, "bool", tests=True),
    "any": Loop(_any, "bool", tests=True),
    "one": Loop(_one, "bool", tests=True),
    "filter": Loop(_filter, "same", tests=True),
    "map": Loop(_map, "array", pointers=frozenset({"index"})),
    "count": Loop(_count, "int", least=1, tests=True),
    "sum": Loop(_sum, "any", least=1),
    "find": Loop(lambda body, array: _first(body, enumerate(array))[1], "any", tests=True),
    "findIndex": Loop(lambda body, array: _first(body, enumerate(array))[0], "any", tests=True),
    "findLast": Loop(lambda body, array: _first(body, _backwards(array))[1], "any", tests=True),
    "findLastIndex": Loop(lambda body, array: _first(body, _backwards(array))[0], "any", tests=True),
    "groupBy": Loop(_group_by, "any"),
    "sortBy": Loop(_sort_by, "same", most=3),
    "reduce": Loop(_reduce, "any", most=3, pointers=frozenset({"index", "acc"})),
}
