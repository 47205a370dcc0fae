"""JSONPath as the expression function `jsonpath(json, path)` understands it.

A path starts with `$` and goes on with `.key`, `['key']`, `[0]`, `[-1]`, `[1:5:2]`, `[0,2]`, `['a','b']`, `*`, `..`,
`.length`, `[?(filter)]` and `[(script)]`. A path without wildcard, slice, union, filter or `..` gives one value; all
others give a list, and a list inside a list for each further one of them. In a filter `@` is the member, in a script
the value so far.

Semantics: evilmonkeyinc/jsonpath v0.8.1 with its standard script engine, as argo-workflows, util/expr/env calls it. Its
operators of one kind associate to the right (`9-3-2` is 8) and a member whose filter cannot be computed is left out.
Where that library misreads text, this one reads it as meant: a key may contain `in` (`@.kind`), `(a) || (b)` is two
groups, `@.*.x` is a path, and strings can be found in lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_string
from tiphys.lang.goregex import compile_regex
from tiphys.lang.jsonpath_syntax import (
    Filter,
    Index,
    Key,
    Literal,
    Path,
    Script,
    Segments,
    Slice,
    Tree,
    Union,
    parse_path,
)

_MAX_STEPS = 1_000_000


def evaluate_jsonpath(path: str, data: Any) -> Any:
    """What `path` selects of a JSON value.

    Args:
        path: The path, starting with `$`.
        data: Dicts, lists, texts, numbers, booleans and None.

    Returns:
        The value itself, or a list of values if the path can select several; None where a null is selected.

    Raises:
        ExpressionError: the path cannot be read, leads to nothing, or visits more than a million values.
    """
    segments = parse_path(path)
    try:
        return _Evaluation(data).follow(segments, data)
    except _Nothing as nothing:
        raise ExpressionError(f"JSONPath '{path}': {nothing}.") from None
    except ExpressionError as error:
        raise ExpressionError(f"JSONPath '{path}': {error.message}", hint=error.hint) from None
    except RecursionError:
        raise ExpressionError(f"JSONPath '{path}' is nested too deeply.", hint="Split it.") from None


class _Nothing(Exception):  # noqa: N818 (no error by itself: filters and wildcards pass over it)
    """A path that leads to nothing, or an expression that has no value."""


class _Evaluation:
    """Follows paths from one root and counts what it visits."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MAX_STEPS

    def follow(self, segments: Segments, value: Any) -> Any:
        """What the segments select, starting at `value`.

        Raises:
            _Nothing: they lead to nothing.
            ExpressionError: too much is visited.
        """
        for position, segment in enumerate(segments):
            self._count(1)
            rest = segments[position + 1 :]
            if isinstance(segment, Slice | Union | Filter):
                found = self._several(segment, value)
                if not (rest and isinstance(rest[0], Index)):
                    return self._each(found, rest)
                value = found
            elif segment == "*":
                return self._each(_children(value), rest)
            elif segment == "..":
                return self._everywhere(value, rest)
            else:
                value = self._one(segment, value)
        return value

    def _one(self, segment: str | Key | Index | Script, value: Any) -> Any:
        if isinstance(segment, Key):
            return _member_of(value, segment.name)
        if isinstance(segment, Index):
            return _element_of(value, segment.position)
        if isinstance(segment, Script):
            place = self._place(segment, value)
            return _member_of(value, place) if isinstance(place, str) else _element_of(value, place)
        if segment == "length":
            return _length(value)
        return self._root if segment == "$" else value

    def _count(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise ExpressionError(f"it visits more than {_MAX_STEPS:,} values.", hint="Select less.")

    def _several(self, segment: Slice | Union | Filter, value: Any) -> list[Any]:
        if isinstance(segment, Slice):
            return self._slice(segment, value)
        if isinstance(segment, Union):
            return self._union(segment, value)
        return [member for member in _children(value) if self._holds(segment.condition, member)]

    def _each(self, values: Sequence[Any], rest: Segments) -> list[Any]:
        """What the rest selects of each value; nulls and values of which it selects nothing are left out."""
        self._count(len(values))
        if not rest:
            return list(values)
        found = []
        for value in values:
            try:
                selected = self.follow(rest, value)
            except _Nothing:
                continue
            if selected is not None:
                found.append(selected)
        return found

    def _everywhere(self, value: Any, rest: Segments) -> list[Any]:
        """What the rest selects of the value and of everything in it, in one list; parents before children."""
        found: list[Any] = []
        for descendant in _descendants(value):
            self._count(1)
            if not rest:
                found.append(descendant)
                continue
            try:
                selected = self.follow(rest, descendant)
            except _Nothing:
                continue
            if isinstance(selected, list):
                found.extend(selected)
            elif selected is not None:
                found.append(selected)
        return found

    def _slice(self, segment: Slice, value: Any) -> list[Any]:
        items = _list(value)
        numbers = [None if bound is None else self._number_at(bound, value) for bound in segment.bounds]
        start, stop, step = (*numbers, None)[:3]
        if step == 0:
            raise _Nothing("the step of a slice is 0")
        selected = items[slice(start, stop)]
        return selected[:: step or 1]

    def _number_at(self, bound: int | Script, value: Any) -> int:
        if isinstance(bound, int):
            return bound
        number = self._place(bound, value)
        if isinstance(number, str):
            raise _Nothing(f"a slice needs whole numbers, not '{number}'")
        return number

    def _union(self, segment: Union, value: Any) -> list[Any]:
        places = [self._place(member, value) if isinstance(member, Script) else member for member in segment.members]
        keys = [place for place in places if isinstance(place, str)]
        if not keys:
            items = _list(value)
            return [items[place] for place in places if isinstance(place, int) and -len(items) <= place < len(items)]
        if len(keys) < len(places):
            raise _Nothing("a list of keys and numbers is mixed")
        if not isinstance(value, dict):
            raise _Nothing(f"keys are looked up in {_kind(value)}")
        return [value[key] for key in keys if key in value]

    def _place(self, script: Script, value: Any) -> str | int:
        """The key or the position that a script computes."""
        place = self._value(script.tree, value)
        number = _whole(place)
        if isinstance(place, str):
            as_number = _as_number(place)
            number = None if as_number is None else _whole(as_number)
        if number is not None:
            return number
        if isinstance(place, str):
            return _unquoted(place)
        raise _Nothing(f"a script gives {_kind(place)}, not a number or a key")

    def _holds(self, condition: Tree, member: Any) -> bool:
        try:
            value = self._value(condition, member)
        except _Nothing:
            return False
        if isinstance(condition, Literal) and isinstance(value, str):
            number, truth = _as_number(value), _as_boolean(value)
            value = number if number is not None else value if truth is None else truth
        return bool(_unquoted(value) if isinstance(value, str) else value)

    # --- computing a filter or a script; texts keep their quotes

    def _value(self, tree: Tree, current: Any) -> Any:
        self._count(1)
        if isinstance(tree, Literal):
            return tree.value
        if isinstance(tree, Path):
            value = self.follow(tree.segments, current)
            return _quoted(value) if isinstance(value, str) else value
        right = self._value(tree.right, current)
        if tree.left is None:
            return not _boolean(right)
        return _apply(tree.operator, self._value(tree.left, current), right)


def _apply(operator: str, left: Any, right: Any) -> Any:
    if operator in ("==", "!="):
        return _equal(left, right) is (operator == "==")
    if operator in ("&&", "||"):
        first, second = _boolean(left), _boolean(right)
        return (first and second) if operator == "&&" else (first or second)
    if operator in ("in", "not in"):
        return _contains(right, left) is (operator == "in")
    if operator == "=~":
        return _matches(left, right)
    try:
        return _ARITHMETIC[operator](_number(left), _number(right))
    except (ArithmeticError, ValueError):
        raise _Nothing(f"'{operator}' has no result") from None


_ARITHMETIC: dict[str, Callable[[float, float], Any]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: math.fmod(_integer(left), _integer(right)),
    "**": math.pow,
}


def _equal(left: Any, right: Any) -> bool:
    first, second = _as_number(left), _as_number(right)
    if first is not None and second is not None:
        return first == second
    return _printed(left) == _printed(right)


def _contains(collection: Any, item: Any) -> bool:
    if isinstance(collection, dict):
        collection = list(collection.values())
    if not isinstance(collection, list):
        raise _Nothing(f"'in' looks into a list or an object, not into {_kind(collection)}")
    wanted = _as_number(item)
    if wanted is not None:
        return any(_is_number(member) and _real(member) == wanted for member in collection)
    if isinstance(item, str) and item[:1] != "'" and (truth := _as_boolean(item)) is not None:
        item = truth
    if isinstance(item, str):
        return any(isinstance(member, str) and member == _unquoted(item) for member in collection)
    return any(type(member) is type(item) and member == item for member in collection)


def _matches(value: Any, pattern: Any) -> bool:
    try:
        regex = compile_regex(_unquoted(_printed(pattern)))
    except ExpressionError as error:
        raise _Nothing(error.message) from None
    return regex.search(_unquoted(_printed(value))) is not None


def _member_of(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise _Nothing(f"'{name}' is looked up in {_kind(value)}")
    if name not in value:
        raise _Nothing(f"there is no '{name}'")
    return value[name]


def _element_of(value: Any, position: int) -> Any:
    items = _list(value)
    if not -len(items) <= position < len(items):
        raise _Nothing(f"there is no element {position} in a list of {len(items)}")
    return items[position]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Nothing(f"elements are looked up in {_kind(value)}")
    return value


def _children(value: Any) -> Sequence[Any]:
    """Members of a list, or of an object in the order of its keys."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    if isinstance(value, list):
        return value
    raise _Nothing(f"members are looked up in {_kind(value)}")


def _descendants(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current is None:
            continue
        yield current
        if isinstance(current, dict | list):
            waiting.extend(reversed(_children(current)))


def _length(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("length", len(value))
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str):
        return len(value.encode())
    raise _Nothing(f"{_kind(value)} has no length")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _integer(value: float) -> int:
    if not value.is_integer():
        raise ValueError(value)
    return int(value)


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _as_number(value: Any) -> float | None:
    """The number that a value is, or that a bare word spells; a quoted text is none."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return _real(value) if _is_number(value) else None


def _real(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf


def _printed(value: Any) -> str:
    """As Go prints it, to which every number is a float64."""
    return go_string(_with_reals(value))


def _with_reals(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_reals(member) for member in value]
    if isinstance(value, dict):
        return {key: _with_reals(member) for key, member in value.items()}
    return _real(value) if _is_number(value) else value


def _number(value: Any) -> float:
    number = _as_number(value)
    if number is None:
        raise _Nothing(f"{_printed(value)} is not a number")
    return number


def _as_boolean(value: Any) -> bool | None:
    text = "false" if value is None else _printed(value)
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    return False if text in ("0", "f", "F", "FALSE", "false", "False") else None


def _boolean(value: Any) -> bool:
    truth = _as_boolean(value)
    if truth is None:
        raise _Nothing(f"{_printed(value)} is neither true nor false")
    return truth


def _quoted(text: str) -> str:
    return text if len(text) > 1 and text[0] == text[-1] == "'" else f"'{text}'"


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return kinds.get(type(value), "a number")
