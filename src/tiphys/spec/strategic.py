"""Kubernetes' strategic merge: objects are merged by field, some lists by the key of their elements.

Semantics: k8s.io/apimachinery v0.35, pkg/util/strategicpatch (applying a patch). A patch may hold directives: `$patch:
delete|replace|merge`, `$retainKeys`, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from tiphys.errors import SpecError
from tiphys.spec.strategic_fields import FIELDS, Field, Fields

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_PLAIN = Field()


def strategic_merge(
    original: dict[str, Any], patch: dict[str, Any], type: str, *, typed: bool = False, fields: Fields = FIELDS
) -> dict[str, Any]:
    """The object with a patch applied; neither of the two is changed.

    Args:
        original: A JSON tree.
        patch: A JSON tree; what it says goes before what `original` says.
        type: Of the object, a name in `fields`; one that is not there has no lists joined by a key.
        typed: The patch is an object of that type itself: nulls and empty lists in it mean that nothing is said. Else
            a null deletes the field.
        fields: How the fields of the types are merged.

    Raises:
        SpecError: the patch does not fit the object, or a directive is wrong.
    """
    return _Merge(fields, typed=typed).objects(deepcopy(original), deepcopy(patch), type)


class _Merge:
    def __init__(self, fields: Fields, *, typed: bool) -> None:
        self._fields = fields
        self._typed = typed

    def objects(self, original: dict[str, Any], patch: dict[str, Any], type: str) -> dict[str, Any]:
        if _DIRECTIVE in patch:
            return _directed(patch)
        _retain(original, patch)
        self._merge_ordered_lists(original, patch, type)
        for name, value in patch.items():
            key = name.removeprefix(_DELETE)
            if self._typed and key in original and (value is None or value == []):
                continue
            if value is None and not self._typed:
                original.pop(key, None)
            elif key not in original or _shape(original[key]) != _shape(value):
                if name == key:
                    self._set(original, key, value)
            elif isinstance(value, dict):
                field = self._field(type, key)
                original[key] = value if field.replaced else self.objects(original[key], value, field.type)
            elif isinstance(value, list):
                original[key] = self._lists(original[key], value, self._field(type, key), key, deletes=name != key)
            else:
                original[key] = value
        return original

    def _field(self, type: str, key: str) -> Field:
        return self._fields.get(type, {}).get(key, _PLAIN)

    def _set(self, original: dict[str, Any], key: str, value: Any) -> None:
        if not self._typed:
            value = _without_nulls(value)
        if _is_directed(value):
            original.pop(key, None)
        else:
            original[key] = _without_directed(value)

    def _lists(self, original: list[Any], patch: list[Any], field: Field, key: str, *, deletes: bool) -> list[Any]:
        if deletes:
            return [element for element in original if element not in patch]
        if not field.joined or not (original or patch):
            return patch
        if field.key is not None:
            return self._lists_of_objects(original, patch, field, key)
        if any(isinstance(element, dict | list) for element in (*original, *patch)):
            raise SpecError(f"'{key}' is a list of plain values; the patch or the object has others in it.")
        return _in_order(list(dict.fromkeys([*original, *patch])), patch, original, lambda element: element)

    def _lists_of_objects(self, original: list[Any], patch: list[Any], field: Field, name: str) -> list[Any]:
        key = _key_reader(field.key, name)
        if any(_is_directed(element) and element[_DIRECTIVE] == "replace" for element in patch):
            return [element for element in patch if not _is_directed(element)]
        gone = set()
        for element in filter(_is_directed, patch):
            if element[_DIRECTIVE] != "delete":
                raise _wrong_directive(element[_DIRECTIVE])
            gone.add(key(element))
        original = [element for element in original if key(element) not in gone]
        patch = [element for element in patch if not _is_directed(element)]
        merged = list(original)
        places = _ranks(merged, key)
        for element in patch:
            place = places.setdefault(key(element), len(merged))
            if place == len(merged):
                merged.append(element)
            else:
                merged[place] = self.objects(merged[place], element, field.type)
        return _in_order(merged, patch, original, key)

    def _merge_ordered_lists(self, original: dict[str, Any], patch: dict[str, Any], type: str) -> None:
        """Merge the lists for which the patch names the order, and take them out of the patch."""
        for directive in [name for name in patch if name.startswith(_ORDER)]:
            order, name = patch.pop(directive), directive.removeprefix(_ORDER)
            elements, before = patch.pop(name, []), original.get(name) or []
            if not all(isinstance(part, list) for part in (order, elements, before)):
                raise SpecError(f"'{directive}' needs lists.")
            if name not in original and not elements:
                continue
            field = self._field(type, name)
            key = _key_reader(field.key, name) if field.key else lambda element: element
            remaining = iter([key(element) for element in order])
            if not all(key(element) in remaining for element in elements if not _is_directed(element)):
                raise SpecError(f"The order of '{name}' in the patch is not the one that '{directive}' says.")
            merged = self._lists(before, elements, field, name, deletes=False) if elements else before
            original[name] = _in_order(_without_directed(merged), order, before, key)


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[_DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    raise _wrong_directive(directive)


def _wrong_directive(directive: Any) -> SpecError:
    return SpecError(f"'{directive}' is not a directive for a patch here.", hint="Write $patch: replace or delete.")


def _retain(original: dict[str, Any], patch: dict[str, Any]) -> None:
    """Drop the fields that the patch's list of fields to retain does not name."""
    if _RETAIN not in patch:
        return
    retained = patch.pop(_RETAIN)
    if not isinstance(retained, list):
        raise SpecError(f"'{_RETAIN}' needs a list of field names.")
    for key, value in patch.items():
        if value is not None and key not in retained and not key.startswith((_DELETE, _ORDER)):
            raise SpecError(f"The patch sets '{key}', which its '{_RETAIN}' does not name.")
    for key in [key for key in original if key not in retained]:
        del original[key]


def _key_reader(field: str | None, name: str) -> Callable[[Any], Any]:
    def read(element: Any) -> Any:
        if not isinstance(element, dict) or isinstance(element.get(field, []), dict | list):
            raise SpecError(f"Each element of '{name}' needs a '{field}', by which it is merged.")
        return element[field]

    return read


def _ranks(elements: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, int]:
    """Where an element of each key stands first."""
    ranks: dict[Any, int] = {}
    for position, element in enumerate(elements):
        ranks.setdefault(key(element), position)
    return ranks


def _in_order(elements: list[Any], first: Iterable[Any], second: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
    """The elements in the order of `first`; those not in it keep their place in `second` as far as that can be."""
    wanted, before = _ranks(first, key), _ranks(second, key)
    named = sorted((element for element in elements if key(element) in wanted), key=lambda found: wanted[key(found)])
    others = deque(element for element in elements if key(element) not in wanted)
    ordered: list[Any] = []
    for element in named:
        place = before.get(key(element), -1)
        while others and before.get(key(others[0]), place) < place:
            ordered.append(others.popleft())
        ordered.append(element)
    return [*ordered, *others]


def _shape(value: Any) -> type:
    return type(value) if isinstance(value, dict | list) else object


def _is_directed(value: Any) -> bool:
    return isinstance(value, dict) and _DIRECTIVE in value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return [_without_nulls(element) for element in value] if isinstance(value, list) else value


def _without_directed(value: Any) -> Any:
    """The value without the objects in it that hold a directive."""
    if isinstance(value, dict):
        return {key: _without_directed(member) for key, member in value.items() if not _is_directed(member)}
    if isinstance(value, list):
        return [_without_directed(element) for element in value if not _is_directed(element)]
    return value
