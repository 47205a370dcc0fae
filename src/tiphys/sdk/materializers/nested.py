"""Containers of values that are more than JSON: each such item by its own materializer, in a folder of its own.

`index.json` says what the container is and where its items are::

    {"kind": "list", "items": [{"value": 1}, {"folder": "1", "materializer": "…", "data_type": "…"}]}

Items that JSON can represent stand in the index itself. An item can be loaded without the others.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from tiphys.errors import ArtifactError
from tiphys.ports.materializer import BaseMaterializer, OtherMaterializer
from tiphys.records.artifacts import ArtifactType
from tiphys.sdk.materializers import finding
from tiphys.sdk.materializers.json_codec import (
    Json,
    NotJsonError,
    dump,
    find_type,
    from_state,
    pack,
    state_of,
    type_path,
    unpack,
)

INDEX = "index.json"


class NestedMaterializer(BaseMaterializer):
    """Lists, tuples, dicts, dataclasses and pydantic models whose items need materializers of their own."""

    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    #: Its items may.
    KEEPS_FILES = True

    def save(self, data: Any) -> None:
        """Write the index, and the items that do not fit in it."""
        try:
            self._save(data)
        except RecursionError:
            raise OtherMaterializer(finding.LAST_RESORT) from None

    def _save(self, data: Any) -> None:
        kind = type(data)
        index: dict[str, Json] = {}
        if kind in (list, tuple):
            index["kind"] = kind.__name__
            items = list(data)
        elif kind in (dict, OrderedDict):
            index["kind"] = "ordered" if kind is OrderedDict else "dict"
            items = list(data.values())
            try:
                index["keys"] = pack(list(data))
            except NotJsonError:
                raise OtherMaterializer(finding.LAST_RESORT) from None
        else:
            items = self._describe_object(data, index)
        index["items"] = [self._save_item(item, number) for number, item in enumerate(items)]
        (self.folder / INDEX).write_bytes(dump(index))

    @staticmethod
    def _describe_object(data: Any, index: dict[str, Json]) -> list[Any]:
        state = state_of(data)
        if state is None:  # a set, or an object that is more than its fields
            raise OtherMaterializer(finding.LAST_RESORT)
        label, fields = state
        index["kind"] = label
        index["type"] = type_path(type(data))
        if label == "model":
            index["set"] = fields["set"]
            fields = fields["values"]
        index["keys"] = list(fields)
        return list(fields.values())

    def _save_item(self, item: Any, number: int) -> Json:
        try:
            return {"value": pack(item)}
        except NotJsonError:
            folder = self.folder / str(number)
            saved_by = finding.save_into(item, folder)
            return {
                "folder": folder.name,
                "materializer": finding.path_of(saved_by),
                "data_type": finding.type_name(type(item)),
            }

    def load(self, data_type: type[Any]) -> Any:
        """All items."""
        index = json.loads((self.folder / INDEX).read_bytes())
        items = [load_nested_item(self.folder, item) for item in index["items"]]
        kind = index["kind"]
        if kind == "list":
            return items
        if kind == "tuple":
            return tuple(items)
        keys = unpack(index["keys"])
        fields = dict(zip(keys, items, strict=True))
        if kind == "dict":
            return fields
        if kind == "ordered":
            return OrderedDict(fields)
        if kind == "model":
            fields = {"values": fields, "set": index["set"]}
        return from_state(kind, find_type(index["type"]), fields)

    def extract_metadata(self, data: Any) -> dict[str, Any]:
        """The length of a container."""
        return {"length": len(data)} if isinstance(data, (list, dict, tuple)) else {}


def load_nested_item(folder: Path, item: Json) -> Any:
    """The value that an entry of an index's `items` stands for."""
    if "value" in item:
        return unpack(item["value"])
    return finding.load_from(folder / item["folder"], item["materializer"], item["data_type"])


def item_of(index: Json, number: int) -> Json:
    """The entry of an item in an index.

    Raises:
        ArtifactError: there is no such item.
    """
    items: list[Json] = index["items"]
    if not 0 <= number < len(items):
        raise ArtifactError(f"There is no item {number}: the stored {index['kind']} has {len(items)} items.")
    return items[number]
