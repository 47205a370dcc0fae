"""Lists; none of the functions changes the list that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.casting import to_int
from tiphys.lang.sprig.reflection import frozen, is_empty, kind_of
from tiphys.lang.sprig.signature import Table, bounded


def _members(value: Any, action: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ExpressionError(f"Cannot {action} type {kind_of(value)}")
    return list(value)


def _push(members: Any, member: Any) -> list[Any]:
    return [*_members(members, "push on"), member]


def _prepend(members: Any, member: Any) -> list[Any]:
    return [member, *_members(members, "prepend on")]


def _chunk(size: int, members: Any) -> list[list[Any]]:
    found = _members(members, "chunk")
    if size < 1:
        raise ExpressionError(f"Cannot chunk into pieces of {size}")
    return [found[start : start + size] for start in range(0, len(found), size)]


def _last(members: Any) -> Any:
    found = _members(members, "find last on")
    return found[-1] if found else None


def _first(members: Any) -> Any:
    found = _members(members, "find first on")
    return found[0] if found else None


def _compact(members: Any) -> list[Any]:
    return [member for member in _members(members, "compact on") if not is_empty(member)]


def _uniq(members: Any) -> list[Any]:
    found: dict[Any, Any] = {}
    for member in _members(members, "find uniq on"):
        found.setdefault(frozen(member), member)
    return list(found.values())


def _without(members: Any, *omitted: Any) -> list[Any]:
    out = {frozen(member) for member in omitted}
    return [member for member in _members(members, "find without on") if frozen(member) not in out]


def _has(needle: Any, members: Any) -> bool:
    if members is None:
        return False
    wanted = frozen(needle)
    return any(frozen(member) == wanted for member in _members(members, "find has on"))


def _slice(members: Any, *bounds: Any) -> Any:
    if not isinstance(members, list | tuple):
        raise ExpressionError(f"list should be type of slice or array but {kind_of(members)}")
    if not members:
        return None
    start = to_int(bounds[0]) if bounds else 0
    end = to_int(bounds[1]) if len(bounds) > 1 else len(members)
    if not 0 <= start <= end <= len(members):
        raise ExpressionError(f"slice bounds out of range [{start}:{end}] with length {len(members)}")
    return list(members[start:end])


def _concat(*lists: Any) -> list[Any]:
    found: list[Any] = []
    for members in lists:
        if not isinstance(members, list | tuple):
            raise ExpressionError(f"Cannot concat type {kind_of(members)} as list")
        bounded(len(found) + len(members), "concat")
        found.extend(members)
    return found


def _twice(name: str, kinds: str, function: Callable[..., Any]) -> dict[str, tuple[str, Callable[..., Any]]]:
    """A function under its name and that of its strict form, which differ only in how Go reports an error."""
    return {name: (kinds, function), f"must{name[0].upper()}{name[1:]}": (kinds, function)}


FUNCTIONS: Table = {
    "list": ("a*", lambda *members: list(members)),
    "tuple": ("a*", lambda *members: list(members)),
    "concat": ("a*", _concat),
    **_twice("append", "aa", _push),
    **_twice("push", "aa", _push),
    **_twice("prepend", "aa", _prepend),
    **_twice("chunk", "ia", _chunk),
    **_twice("first", "a", _first),
    **_twice("rest", "a", lambda members: _members(members, "find rest on")[1:]),
    **_twice("last", "a", _last),
    **_twice("initial", "a", lambda members: _members(members, "find initial on")[:-1]),
    **_twice("reverse", "a", lambda members: _members(members, "find reverse on")[::-1]),
    **_twice("compact", "a", _compact),
    **_twice("uniq", "a", _uniq),
    **_twice("without", "aa*", _without),
    **_twice("has", "aa", _has),
    **_twice("slice", "aa*", _slice),
}
