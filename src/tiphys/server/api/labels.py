"""Metadata and tags."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.responses import Response

from tiphys.ports.backend import TagRequest
from tiphys.records.base import EntityType
from tiphys.records.tags import TagRecord
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.auth.permissions import Action, needs

router = of_workspace("labels")
_METADATA = {action: [Depends(needs("metadata", action))] for action in (Action.READ, Action.WRITE)}
_TAGS = {action: [Depends(needs("tags", action))] for action in (Action.READ, Action.WRITE)}
Type = Annotated[EntityType, Body()]
Ids = Annotated[list[str], Body()]


@router.post("/metadata", status_code=204, dependencies=_METADATA[Action.WRITE])
def log_metadata(
    backend: Here,
    metadata: Annotated[dict[str, Any], Body()],
    entities: Annotated[list[tuple[EntityType, str]], Body()],
    step_run_id: Annotated[str | None, Body()] = None,
) -> Response:
    """Set keys on entities."""
    backend.labels.log_metadata(metadata, entities, step_run_id=step_run_id)
    return nothing()


@router.post("/metadata/of", response_model=dict[str, dict[str, Any]], dependencies=_METADATA[Action.READ])
def metadata_of(backend: Here, entity_type: Type, ids: Ids) -> Response:
    """Metadata by entity id."""
    return answer(backend.labels.metadata_of(entity_type, ids))


@router.put("/tags", response_model=TagRecord, dependencies=_TAGS[Action.WRITE])
def ensure_tag(backend: Here, request: TagRequest) -> Response:
    """Create a tag, or change the fields that are given."""
    return answer(backend.labels.ensure_tag(request))


@router.post("/tags/of", response_model=dict[str, list[str]], dependencies=_TAGS[Action.READ])
def tags_of(backend: Here, entity_type: Type, ids: Ids) -> Response:
    """Tag names by entity id."""
    return answer(backend.labels.tags_of(entity_type, ids))


@router.delete("/tags/{name:path}", status_code=204, dependencies=_TAGS[Action.WRITE])
def delete_tag(backend: Here, name: str) -> Response:
    """Remove a tag and take it off everything."""
    backend.labels.delete_tag(name)
    return nothing()


@router.post("/tag-links", status_code=204, dependencies=_TAGS[Action.WRITE])
def add_tags(
    backend: Here, tags: Annotated[list[TagRequest], Body()], entity_type: Type, entity_id: Annotated[str, Body()]
) -> Response:
    """Put tags on an entity; exclusive ones leave where they were, cascading ones of a run go to its outputs."""
    backend.labels.add_tags(tags, entity_type, entity_id)
    return nothing()


@router.post("/tag-links/delete", status_code=204, dependencies=_TAGS[Action.WRITE])
def remove_tags(
    backend: Here, names: Annotated[list[str], Body()], entity_type: Type, entity_id: Annotated[str, Body()]
) -> Response:
    """Take tags off."""
    backend.labels.remove_tags(names, entity_type, entity_id)
    return nothing()
