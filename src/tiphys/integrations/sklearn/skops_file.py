"""Makes equal estimators equal skops files: skops writes addresses of objects and the time into them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

_SCHEMA = "schema.json"
_ADDRESS = "__id__"
_FILE = "file"
#: The earliest time that a zip file can hold.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_canonical(content: bytes, path: Path) -> None:
    """Write a skops file with numbers for addresses, in the order of their appearance, and without the time."""
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(path, "x") as target:
        schema = json.loads(source.read(_SCHEMA))
        files: dict[str, str] = {}
        _number(schema, {}, files)
        for old, new in files.items():
            target.writestr(zipfile.ZipInfo(new, _NO_TIME), source.read(old))
        target.writestr(zipfile.ZipInfo(_SCHEMA, _NO_TIME), json.dumps(schema, indent=2))


def _number(node: Any, numbers: dict[Any, int], files: dict[str, str]) -> None:
    """Replace addresses in a part of the schema; `files` collects new names by old ones."""
    if isinstance(node, list):
        for item in node:
            _number(item, numbers, files)
        return
    if not isinstance(node, dict):
        return
    address = node.get(_ADDRESS)
    if isinstance(address, int):
        # Scalars are known by what they are: whether two equal ones are one object means nothing.
        key = (node["__class__"], node["content"]) if node.get("is_json") else address
        node[_ADDRESS] = numbers.setdefault(key, len(numbers) + 1)
    old = node.get(_FILE)
    if isinstance(old, str) and "__loader__" in node:
        node[_FILE] = files.setdefault(old, f"{len(files) + 1}{Path(old).suffix}")
    for item in node.values():
        _number(item, numbers, files)
