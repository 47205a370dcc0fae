"""Strategic merge.

`MERGED` are objects, patches and results of k8s.io/apimachinery v0.35, pkg/util/strategicpatch/patch_test.go, with
shorter field names.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import SpecError
from tiphys.spec.strategic import strategic_merge
from tiphys.spec.strategic_fields import FIELDS, Field

_ITEMS = Field(type="Item", key="name", joined=True)
ITEM = {
    "Item": {
        "items": _ITEMS,
        "more": _ITEMS,
        "keptItems": _ITEMS,
        "ints": Field(joined=True),
        "whole": Field(replaced=True),
        "kept": Field(type="Item"),
    }
}

MERGED = [
    ('{"simpleMap":{"key1":1,"key2":1}}', '{"simpleMap":{"$patch":"delete"}}', '{"simpleMap":{}}'),
    ('{"items":[{"name":1},{"name":2}]}', '{"items":[{"$patch":"replace"}]}', '{"items":[]}'),
    ('{"name":1,"value":1}', '{"$patch":"replace"}', "{}"),
    ('{"name":1,"value":1}', '{"other":"a","$patch":"replace"}', '{"other":"a"}'),
    (
        '{"items":[{"name":1},{"name":2}]}',
        '{"items":[{"name":1,"$patch":"delete"},{"name":2,"$patch":"delete"}]}',
        '{"items":[]}',
    ),
    (
        '{"items":[{"name":1,"other":"a"},{"name":2,"other":"b"}]}',
        '{"items":[{"name":1,"$patch":"delete"},{"name":2,"$patch":"delete"}]}',
        '{"items":[]}',
    ),
    ('{"items":[]}', '{"items":[{"name":1,"$patch":"delete"},{"name":2,"$patch":"delete"}]}', '{"items":[]}'),
    ('{"ints":[1,3]}', '{"$setElementOrder/ints":[3,2,1]}', '{"ints":[3,1]}'),
    ('{"ints":[1,2]}', '{"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2]}'),
    ('{"ints":null}', '{"$deleteFromPrimitiveList/ints":[3]}', '{"ints":null}'),
    ('{"foo":["bar"]}', '{"$deleteFromPrimitiveList/ints":[3]}', '{"foo":["bar"]}'),
    ('{"ints":[1,2,3]}', '{"$deleteFromPrimitiveList/ints":[2]}', '{"ints":[1,3]}'),
    ('{"plainInts":[1,2,3]}', '{"$deleteFromPrimitiveList/plainInts":[2]}', '{"plainInts":[1,3]}'),
    (
        '{"name":"hi"}',
        '{"items":[{"name":"hello"},{"$patch":"delete","name":"doesntexist"}]}',
        '{"name":"hi","items":[{"name":"hello"}]}',
    ),
    ('{"ints":[1,2,3]}', '{"$setElementOrder/ints":[1,2],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2]}'),
    ('{"ints":[1,2,3,4]}', '{"$setElementOrder/ints":[1,2],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2,4]}'),
    ('{"ints":[1,2,3,3]}', '{"$setElementOrder/ints":[1,2],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2]}'),
    ('{"ints":[1,2,3,3,4]}', '{"$setElementOrder/ints":[1,2],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2,4]}'),
    (
        '{"ints":[1,2,3]}',
        '{"$setElementOrder/ints":[1,2,4],"$deleteFromPrimitiveList/ints":[3],"ints":[4]}',
        '{"ints":[1,2,4]}',
    ),
    ('{"ints":[1,2,3,4]}', '{"$setElementOrder/ints":[1,2,4],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[1,2,4]}'),
    (
        '{"items":[{"name":1},{"name":2}]}',
        '{"$setElementOrder/items":[{"name":2}],"items":[{"name":1,"$patch":"delete"}]}',
        '{"items":[{"name":2}]}',
    ),
    (
        '{"items":[{"name":2,"other":"b"}]}',
        '{"$setElementOrder/items":[{"name":2}],"items":[{"name":1,"$patch":"delete"}]}',
        '{"items":[{"name":2,"other":"b"}]}',
    ),
    (
        '{"more":[{"name":1}]}',
        '{"$setElementOrder/more":[{"name":1},{"name":2}],"more":[{"name":2}]}',
        '{"more":[{"name":1},{"name":2}]}',
    ),
    ('{"ints":[1,2]}', '{"$setElementOrder/ints":[1,2,3],"ints":[3]}', '{"ints":[1,2,3]}'),
    ('{"ints":[1,2,4]}', '{"$setElementOrder/ints":[1,2,3],"ints":[3]}', '{"ints":[1,2,3,4]}'),
    ('{"ints":[1,2]}', '{"$setElementOrder/ints":[3,1,2],"ints":[3]}', '{"ints":[3,1,2]}'),
    ('{"ints":[1,4,2]}', '{"$setElementOrder/ints":[3,1,2],"ints":[3]}', '{"ints":[3,1,4,2]}'),
    ('{"ints":[1,2,3]}', '{"$setElementOrder/ints":[2,1],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[2,1]}'),
    ('{"ints":[1,2]}', '{"$setElementOrder/ints":[1,4,2,3],"ints":[4,3]}', '{"ints":[1,4,2,3]}'),
    ('{"ints":[1,3,2]}', '{"$setElementOrder/ints":[2,1],"$deleteFromPrimitiveList/ints":[3]}', '{"ints":[2,1]}'),
    (
        '{"ints":[1,3,2]}',
        '{"$setElementOrder/ints":[4,2,1],"ints":[4],"$deleteFromPrimitiveList/ints":[3]}',
        '{"ints":[4,2,1]}',
    ),
    (
        '{"ints":[1,2,3]}',
        '{"$setElementOrder/ints":[4,2,1],"ints":[4],"$deleteFromPrimitiveList/ints":[3]}',
        '{"ints":[4,2,1]}',
    ),
    ('{"ints":[1,3,4,2]}', '{"$setElementOrder/ints":[4,2,3,1]}', '{"ints":[4,2,3,1]}'),
    ('{"ints":[1,3,4,2,9]}', '{"$setElementOrder/ints":[4,2,3,1]}', '{"ints":[4,2,3,1,9]}'),
    ('{"ints":[1,2,3,4]}', '{"$setElementOrder/ints":[2,1,4,3]}', '{"ints":[2,1,4,3]}'),
    ('{"ints":[1,2,9,3,4]}', '{"$setElementOrder/ints":[2,1,4,3]}', '{"ints":[2,1,9,4,3]}'),
    ('{"ints":[1,2,7,9,8,3,4]}', '{"$setElementOrder/ints":[2,1,4,3]}', '{"ints":[2,1,7,9,8,4,3]}'),
    ('{"ints":[1,2,3,2,4]}', '{"$setElementOrder/ints":[2,1,4,3,2]}', '{"ints":[2,2,1,4,3]}'),
    ('{"kept":{"value":"foo"}}', '{"kept":{"$retainKeys":["other"],"other":"bar"}}', '{"kept":{"other":"bar"}}'),
    (
        '{"kept":{"name":"foo"}}',
        '{"kept":{"$retainKeys":["name","value"],"value":"bar"}}',
        '{"kept":{"name":"foo","value":"bar"}}',
    ),
    (
        '{"kept":{"name":"foo","other":"a"}}',
        '{"kept":{"$retainKeys":["name","value"],"value":"bar"}}',
        '{"kept":{"name":"foo","value":"bar"}}',
    ),
    (
        '{"kept":{"name":"foo","value":"bar"}}',
        '{"kept":{"$retainKeys":["name"],"value":null}}',
        '{"kept":{"name":"foo"}}',
    ),
    (
        '{"kept":{"name":"foo","value":"bar","other":"a"}}',
        '{"kept":{"$retainKeys":["name"],"value":null}}',
        '{"kept":{"name":"foo"}}',
    ),
    (
        '{"kept":{"name":"foo","value":"bar","other":"a"}}',
        '{"kept":{"$retainKeys":["name","value"]}}',
        '{"kept":{"name":"foo","value":"bar"}}',
    ),
    (
        '{"kept":{"name":"foo","ints":[1,2,3]}}',
        '{"kept":{"$retainKeys":["name"],"ints":null}}',
        '{"kept":{"name":"foo"}}',
    ),
    ('{"ints":[1,2]}', '{"ints":[2,3]}', '{"ints":[1,2,3]}'),
    ('{"items":[]}', '{"items":[]}', '{"items":[]}'),
    ('{"kept":{"name":"foo"}}', '{"kept":{"value":"bar"}}', '{"kept":{"name":"foo","value":"bar"}}'),
    ('{"kept":{"name":"foo","value":"a"}}', '{"kept":{"value":"b"}}', '{"kept":{"name":"foo","value":"b"}}'),
    ('{"kept":{"name":"foo","value":"a"}}', '{"kept":{"value":null}}', '{"kept":{"name":"foo"}}'),
    ('{"kept":{"name":"foo","value":"a"}}', '{"kept":{}}', '{"kept":{"name":"foo","value":"a"}}'),
    ('{"ints":[1,2,3]}', '{"ints":[3,1,2]}', '{"ints":[3,1,2]}'),
    ('{"ints":[1,2,3]}', '{"ints":[3,1]}', '{"ints":[2,3,1]}'),
    ("{}", '{"name":1,"value":1}', '{"name":1,"value":1}'),
    ('{"name":1,"other":"a"}', '{"value":1}', '{"name":1,"value":1,"other":"a"}'),
    ('{"name":1}', '{"value":1}', '{"name":1,"value":1}'),
    ('{"name":"a","other":"a"}', '{"name":1,"value":1}', '{"name":1,"value":1,"other":"a"}'),
    ('{"name":1}', '{"name":null,"value":1}', '{"value":1}'),
    ('{"name":1,"other":"a"}', '{"name":null,"value":1}', '{"value":1,"other":"a"}'),
    ('{"name":"a","other":"a"}', '{"name":null,"value":1}', '{"value":1,"other":"a"}'),
    ('{"simpleMap":{"key1":1,"key2":1}}', '{"simpleMap":{"key2":null}}', '{"simpleMap":{"key1":1}}'),
    (
        '{"simpleMap":{"key1":1,"key2":1,"other":"a"}}',
        '{"simpleMap":{"key2":null}}',
        '{"simpleMap":{"key1":1,"other":"a"}}',
    ),
    (
        '{"simpleMap":{"key1":"a","key2":1,"other":"a"}}',
        '{"simpleMap":{"key1":1,"key2":null}}',
        '{"simpleMap":{"key1":1,"other":"a"}}',
    ),
    ('{"name":1,"value":1}', '{"name":null,"value":null}', "{}"),
    ('{"name":1,"value":1,"other":"a"}', '{"name":null,"value":null}', '{"other":"a"}'),
    ('{"name":1,"value":"a","other":"a"}', '{"name":null,"value":null}', '{"other":"a"}'),
    ('{"name":1,"value":1}', '{"name":null,"value":null,"other":"a"}', '{"other":"a"}'),
]

REFUSED = [
    ({"kept": {"name": 1}}, {"kept": {"$retainKeys": ["name"], "value": 1}}, "which its '\\$retainKeys' does not name"),
    ({}, {"$retainKeys": "name"}, "needs a list"),
    ({"items": [{"name": 1}]}, {"items": [{"value": 1}]}, "needs a 'name'"),
    ({"items": [{"name": 1}]}, {"items": [{"$patch": "delete"}]}, "needs a 'name'"),
    ({"items": [{"name": 1}]}, {"items": [1]}, "needs a 'name'"),
    ({"items": [{"name": 1}]}, {"items": [{"$patch": "merge", "name": 1}]}, "not a directive"),
    ({"ints": [1]}, {"ints": [{"name": 1}]}, "list of plain values"),
    ({"simpleMap": {"a": 1}}, {"simpleMap": {"$patch": "unknown"}}, "not a directive"),
    ({"ints": [1, 2]}, {"$setElementOrder/ints": [1, 2], "ints": [2, 1]}, "is not the one that"),
    ({"ints": [1, 2]}, {"$setElementOrder/ints": 1}, "needs lists"),
]


@pytest.mark.parametrize(("original", "patch", "expected"), MERGED)
def test_merges_as_kubernetes(original: str, patch: str, expected: str) -> None:
    assert strategic_merge(json.loads(original), json.loads(patch), "Item", fields=ITEM) == json.loads(expected)


@pytest.mark.parametrize(("original", "patch", "message"), REFUSED)
def test_refuses_a_patch_that_does_not_fit(original: Any, patch: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        strategic_merge(original, patch, "Item", fields=ITEM)


def test_an_object_that_replaces_is_not_merged() -> None:
    assert strategic_merge({"whole": {"a": 1}}, {"whole": {"b": 2}}, "Item", fields=ITEM) == {"whole": {"b": 2}}


def test_in_a_typed_patch_nulls_and_empty_lists_say_nothing() -> None:
    original = {"a": 1, "plain": [1], "inner": {"b": 2}}
    patch = {"a": None, "plain": [], "inner": {"b": None, "c": None}, "new": []}
    assert strategic_merge(original, patch, "Item", typed=True) == {
        "a": 1,
        "plain": [1],
        "inner": {"b": 2, "c": None},
        "new": [],
    }


@pytest.mark.parametrize("type", sorted(FIELDS))
def test_every_type_that_is_named_exists(type: str) -> None:
    named = {field.type for field in FIELDS[type].values() if field.type}
    assert named <= set(FIELDS)


names = st.sampled_from("abcd")
values = st.integers(0, 3) | st.text("xy", max_size=2)
named_items = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"value": values}), unique_by=lambda i: i["name"]
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "name": values,
        "items": named_items,
        "plainItems": named_items,
        "ints": st.lists(st.integers(0, 5), unique=True),
        "kept": st.fixed_dictionaries({}, optional={"value": values, "items": named_items}),
    },
)


@given(objects, objects)
def test_merging_twice_is_merging_once(original: dict[str, Any], patch: dict[str, Any]) -> None:
    once = strategic_merge(original, patch, "Item", fields=ITEM)
    assert strategic_merge(once, patch, "Item", fields=ITEM) == once


@given(objects)
def test_nothing_changes_nothing(original: dict[str, Any]) -> None:
    assert strategic_merge(original, {}, "Item", fields=ITEM) == original
    assert strategic_merge({}, original, "Item", fields=ITEM) == original
    assert strategic_merge(original, original, "Item", fields=ITEM) == original


@given(objects, objects)
def test_what_is_merged_stays_as_it_was(original: dict[str, Any], patch: dict[str, Any]) -> None:
    before = deepcopy((original, patch))
    merged = strategic_merge(original, patch, "Item", fields=ITEM)
    merged.setdefault("items", []).append({"name": "new"})
    merged.setdefault("kept", {})["value"] = "new"
    assert (original, patch) == before


@given(named_items, named_items)
def test_a_list_joined_by_name_has_every_name_once(original: list[Any], patch: list[Any]) -> None:
    merged = strategic_merge({"items": original}, {"items": patch}, "Item", fields=ITEM)["items"]
    found = [item["name"] for item in merged]
    assert sorted(found) == sorted({item["name"] for item in (*original, *patch)})
    assert [name for name in found if name in {item["name"] for item in patch}] == [item["name"] for item in patch]
