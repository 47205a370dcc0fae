"""Dictionaries.

Where sprig changes the dictionary that it is given (`set`, `unset`, `merge`, …) these functions give a changed copy, so
that evaluating an expression changes nothing outside of it. Keys and values come in the order of the keys; Go has none.
"""

from __future__ import annotations

import copy
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.sprig.reflection import is_empty, kind_of
from tiphys.lang.sprig.signature import Table
from tiphys.lang.sprig.strings import text_of

Dict = dict[str, Any]


def _dict(*values: Any) -> Dict:
    return {text_of(values[i]): values[i + 1] if i + 1 < len(values) else "" for i in range(0, len(values), 2)}


def _pluck(key: str, *dicts: Dict) -> list[Any]:
    return [members[key] for members in dicts if key in members]


def _keys(*dicts: Dict) -> list[str]:
    return [key for members in dicts for key in sorted(members)]


def _pick(members: Dict, *keys: Any) -> Dict:
    return {key: members[key] for key in keys if key in members}


def _omit(members: Dict, *keys: Any) -> Dict:
    return {key: value for key, value in members.items() if key not in keys}


def _merge(target: Dict, *sources: Dict) -> Dict:
    for source in sources:
        target = _merged(target, source, overwrite=False)
    return target


def _merge_overwrite(target: Dict, *sources: Dict) -> Dict:
    for source in sources:
        target = _merged(target, source, overwrite=True)
    return target


def _merged(target: Dict, source: Dict, *, overwrite: bool) -> Dict:
    """As mergo.Merge on maps: dictionaries are merged at every depth, lists are taken or left as a whole.

    A value of the target stays if it is not empty, or, with `overwrite`, if the source has none for its key.
    """
    result = dict(target)
    for key, value in source.items():
        present = result.get(key)
        if isinstance(value, dict) and isinstance(present, dict) and present:
            result[key] = _merged(present, value, overwrite=overwrite)
        elif overwrite or (value is not None and is_empty(present)):
            result[key] = value
    return result


def _dig(*path: Any) -> Any:
    *keys, default, members = path
    if not keys:
        raise ExpressionError("dig needs at least three arguments")
    for key in keys:
        if not isinstance(members, dict):
            raise ExpressionError(f"dig: '{key}' is looked up in a {kind_of(members)}, not in a map.")
        if not isinstance(key, str):
            raise ExpressionError(f"dig: a key is a {kind_of(key)}, not a string.")
        if key not in members:
            return default
        members = members[key]
    return members


FUNCTIONS: Table = {
    "dict": ("a*", _dict),
    "get": ("ds", lambda members, key: members.get(key, "")),
    "set": ("dsa", lambda members, key, value: {**members, key: value}),
    "unset": ("ds", lambda members, key: _omit(members, key)),
    "hasKey": ("ds", lambda members, key: key in members),
    "pluck": ("sd*", _pluck),
    "keys": ("d*", _keys),
    "values": ("d", lambda members: [members[key] for key in sorted(members)]),
    "pick": ("ds*", _pick),
    "omit": ("ds*", _omit),
    "merge": ("dd*", _merge),
    "mustMerge": ("dd*", _merge),
    "mergeOverwrite": ("dd*", _merge_overwrite),
    "mustMergeOverwrite": ("dd*", _merge_overwrite),
    "dig": ("aaa*", _dig),
    "deepCopy": ("a", copy.deepcopy),
    "mustDeepCopy": ("a", copy.deepcopy),
}
