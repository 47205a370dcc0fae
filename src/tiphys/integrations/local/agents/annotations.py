"""Annotations of objects as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def annotation(manifest: Mapping[str, Any], key: str) -> str | None:
    """An object's annotation; None if it has none of that name."""
    found: str | None = (manifest["metadata"].get("annotations") or {}).get(key)
    return found


def annotated(manifest: Mapping[str, Any], key: str, value: str) -> dict[str, Any]:
    """The object with one more annotation."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), key: value}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
