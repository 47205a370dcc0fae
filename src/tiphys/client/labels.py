"""Metadata and tags of a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tiphys.client.place import Place, segment
from tiphys.ports.backend import Labels, TagRequest
from tiphys.records.base import EntityType
from tiphys.records.tags import TagRecord


class ClientLabels(Labels):
    """Metadata and tags in a workspace of a server."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def log_metadata(
        self, metadata: Mapping[str, Any], entities: Iterable[tuple[EntityType, str]], *, step_run_id: str | None = None
    ) -> None:
        """Set keys on entities."""
        self._place.write("/metadata", {"metadata": metadata, "entities": list(entities), "step_run_id": step_run_id})

    def metadata_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Metadata by entity id."""
        body = {"entity_type": entity_type, "ids": list(ids)}
        return self._place.ask(dict[str, dict[str, Any]], "/metadata/of", body)

    def ensure_tag(self, tag: TagRequest) -> TagRecord:
        """Create a tag, or change the fields that are given."""
        return self._place.post(TagRecord, "/tags", tag, verb="PUT")

    def add_tags(self, tags: Iterable[TagRequest], entity_type: EntityType, entity_id: str) -> None:
        """Put tags on an entity."""
        self._place.write("/tag-links", {"tags": list(tags), "entity_type": entity_type, "entity_id": entity_id})

    def remove_tags(self, names: Iterable[str], entity_type: EntityType, entity_id: str) -> None:
        """Take tags off."""
        body = {"names": list(names), "entity_type": entity_type, "entity_id": entity_id}
        self._place.write("/tag-links/delete", body)

    def delete_tag(self, name: str) -> None:
        """Remove a tag and take it off everything."""
        self._place.delete(f"/tags/{segment(name)}")

    def tags_of(self, entity_type: EntityType, ids: Iterable[str]) -> dict[str, list[str]]:
        """Tag names by entity id."""
        return self._place.ask(dict[str, list[str]], "/tags/of", {"entity_type": entity_type, "ids": list(ids)})
