"""Built-in functions of arrays and maps that take no predicate. Semantics: expr-lang v1.17, builtin/builtin.go.

Maps keep the order in which they were made, where Go's have none; arrays are copied, never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cmp_to_key
from typing import Any

from tiphys.lang.expr.access import get
from tiphys.lang.expr.context import Run
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.methods import Enumerated
from tiphys.lang.expr.signatures import Function
from tiphys.lang.expr.values import AnyMap, describe, elements, equal, hashable, kind_of, less

_TYPES = {
    "time": "time.Time",
    "duration": "time.Duration",
    "timezone": "time.Location",
    "bytes": "array",
    "function": "func",
}


def _len(_: Run, value: Any) -> int:
    return len(value)


def _type(_: Run, value: Any) -> str:
    if isinstance(value, Enumerated):
        return "time.Month" if value.name[-3:] != "day" else "time.Weekday"
    kind = kind_of(value)
    return _TYPES.get(kind, kind)


def _edge(index: int) -> Function:
    """The first or the last element; nil if there is none."""
    return Function(lambda _, array: array[index] if array else None, "array -> any", "nil -> nil")


def _take(run: Run, array: Any, count: int) -> list[Any]:
    if count < 0:
        raise FaultError(f"cannot take {count} elements")
    run.step(min(count, len(array)))
    return list(array[:count])


def _copied(run: Run, array: Sequence[Any]) -> list[Any]:
    run.grow(len(array))
    return list(array)


def _uniq(run: Run, array: Any) -> list[Any]:
    found: list[Any] = []
    for element in array:
        run.step(len(found))
        if not any(equal(run, element, other) for other in found):
            found.append(element)
    return found


def _concat(run: Run, *arrays: Any) -> list[Any]:
    run.grow(sum(map(len, arrays)))
    return [element for array in arrays for element in array]


def _flatten(run: Run, array: Any) -> list[Any]:
    found: list[Any] = []
    for element in _leaves(run, array, 0):
        run.grow(1)
        found.append(element)
    return found


def _leaves(run: Run, array: Any, depth: int) -> Iterator[Any]:
    depth = run.descend(depth)
    for element in array:
        if isinstance(element, (list, tuple, bytes)):
            yield from _leaves(run, element, depth)
        else:
            yield element


def sort_values(run: Run, keys: Sequence[Any], order: Any) -> list[int]:
    """Indices of the keys in their order; equal ones keep their places.

    Raises:
        FaultError: the order is neither "asc" nor "desc", or keys cannot be compared.
    """
    if order not in ("asc", "desc"):
        raise FaultError(f'unknown order, use "asc" or "desc" (got {describe(order)})')

    def compare(one: int, other: int) -> int:
        run.step()
        left, right = (keys[one], keys[other]) if order == "asc" else (keys[other], keys[one])
        return -1 if less(run, left, right) else int(less(run, right, left))

    return sorted(range(len(keys)), key=cmp_to_key(compare))


def _sort(run: Run, array: Any, order: Any = "asc") -> list[Any]:
    values = array or []
    run.grow(len(values))
    return [values[index] for index in sort_values(run, values, order)]


def _keys(run: Run, value: Any) -> list[Any]:
    return _copied(run, list(value))


def _values(run: Run, value: Any) -> list[Any]:
    return _copied(run, list(value.values()))


def _to_pairs(run: Run, value: Any) -> list[Any]:
    run.grow(3 * len(value))
    return [[key, item] for key, item in value.items()]


def _from_pairs(run: Run, array: Any) -> AnyMap:
    run.grow(len(array))
    made = AnyMap()
    for pair in array:
        parts = elements(pair, "a pair of fromPairs")
        if len(parts) != 2:
            raise FaultError(f"invalid pair length {len(parts)} in fromPairs")
        made[hashable(parts[0])] = parts[1]
    return made


COLLECTION = {
    "len": Function(_len, "array|map|string -> int"),
    "type": Function(_type, "any -> string"),
    "first": _edge(0),
    "last": _edge(-1),
    "get": Function(get, "any any -> any"),
    "take": Function(_take, "array int -> array"),
    "reverse": Function(lambda run, array: _copied(run, array)[::-1], "array -> array"),
    "uniq": Function(_uniq, "array -> array"),
    "concat": Function(_concat, "array... -> array"),
    "flatten": Function(_flatten, "array -> array"),
    "sort": Function(_sort, "array|nil -> array", "array|nil string -> array"),
    "keys": Function(_keys, "map -> array"),
    "values": Function(_values, "map -> array"),
    "toPairs": Function(_to_pairs, "map -> array"),
    "fromPairs": Function(_from_pairs, "array -> any"),
}
