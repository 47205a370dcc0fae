"""Reading out of values: members, indices, slices, `in`. Semantics: expr-lang v1.17, vm/runtime (Fetch, Slice, In)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.methods import method_of
from tiphys.lang.expr.values import byte_length, byte_slice, describe, equal, is_number, kind_of, map_key, to_int


def fetch(run: Run, target: Any, key: Any) -> Any:
    """`target[key]`: the value of a key, nil if there is none; an element, counted from the end if negative; a method.

    A string is made of bytes, as in Go.
    """
    if isinstance(target, Mapping):
        return target.get(map_key(target, key))
    if isinstance(target, (list, tuple, str, bytes)):
        if not is_number(key):
            raise FaultError(f"cannot fetch {_shown(key)} from {kind_of(target)}")
        if isinstance(target, str):
            run.scan(len(target))
        values = target.encode() if isinstance(target, str) else target
        index = to_int(key)
        place = index + len(values) if index < 0 else index
        if not 0 <= place < len(values):
            raise FaultError(f"index out of range: {index} (array length is {len(values)})")
        return values[place]
    method = method_of(target, key)
    if method is None:
        raise FaultError(f"cannot fetch {_shown(key)} from {kind_of(target)}")
    return method


def _shown(key: Any) -> str:
    return key if isinstance(key, str) and len(key) <= 60 else describe(key)


def get(run: Run, target: Any, key: Any) -> Any:
    """As `fetch`, but nil where there is nothing."""
    if target is None or (isinstance(target, Mapping) and not isinstance(key, str) and key is not None):
        return None
    if isinstance(target, (list, tuple, str, bytes)) and is_number(key):
        run.scan(len(target))
        length = byte_length(target) if isinstance(target, str) else len(target)
        index = to_int(key)
        return fetch(run, target, index) if -length <= index < length else None
    return fetch(run, target, key) if isinstance(target, (Mapping, list, tuple, str, bytes)) else method_of(target, key)


def cut(run: Run, target: Any, start: Any, stop: Any) -> Any:
    """`target[start:stop]` of an array or a string (its bytes); bounds beyond the ends are moved to them."""
    if not isinstance(target, (list, tuple, str, bytes)):
        raise FaultError(f"cannot slice {kind_of(target)}")
    run.scan(len(target))
    length = byte_length(target) if isinstance(target, str) else len(target)
    first = 0 if start is None else to_int(start)
    last = length if stop is None else to_int(stop)
    first = max(0, first + length if first < 0 else first)
    last = min(length, max(0, last + length if last < 0 else last))
    first = min(first, last)
    if isinstance(target, str):
        run.write(last - first)
        return byte_slice(target, first, last)
    run.step(last - first)
    return target[first:last] if isinstance(target, bytes) else list(target[first:last])


def contains(run: Run, needle: Any, haystack: Any) -> bool:
    """`needle in haystack`: an element of an array, a key of a map; nil holds nothing."""
    if haystack is None:
        return False
    if isinstance(haystack, Mapping):
        return map_key(haystack, needle) in haystack
    if isinstance(haystack, (list, tuple, bytes)):
        run.step(len(haystack))
        return any(equal(run, element, needle) for element in haystack)
    raise FaultError(f'operator "in" not defined on {kind_of(haystack)}', hint="For text there is 'contains'.")
