"""Models, their versions and stages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Depends
from starlette.responses import Response

from tiphys.ports.backend import ModelRequest
from tiphys.records.base import EntityType
from tiphys.records.models import ModelStage, ModelVersion, RegisteredModel
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.auth.permissions import Action, needs

router = of_workspace("models")
_READ, _WRITE = [Depends(needs("models", Action.READ))], [Depends(needs("models", Action.WRITE))]


@router.get("/models/lookup", response_model=RegisteredModel, dependencies=_READ)
def look_up_model(backend: Here, name: str) -> Response:
    """A model by name or id."""
    return answer(backend.models.get(name))


@router.get("/model-versions/lookup", response_model=ModelVersion, dependencies=_READ)
def look_up_model_version(backend: Here, model: str, version: str | None = None) -> Response:
    """Digits → number; a stage → that version; "latest" or none → the newest; else by name."""
    return answer(backend.models.get_version(model, version))


@router.post("/models", response_model=RegisteredModel, dependencies=_WRITE)
def ensure_model(backend: Here, request: ModelRequest) -> Response:
    """The model of that name, created if there is none."""
    return answer(backend.models.ensure(request))


@router.post("/model-versions", response_model=ModelVersion, dependencies=_WRITE)
def ensure_model_version(backend: Here, request: ModelRequest) -> Response:
    """The version that a Model in code means, created if that is what it means."""
    return answer(backend.models.ensure_version(request))


@router.post("/models/{model:path}/versions", response_model=ModelVersion, dependencies=_WRITE)
def create_model_version(
    backend: Here,
    model: str,
    name: Annotated[str | None, Body()] = None,
    description: Annotated[str, Body()] = "",
    tags: Annotated[tuple[str, ...], Body()] = (),
) -> Response:
    """A new version of an existing model; numbers and names of stages are reserved."""
    return answer(backend.models.create_version(model, name, description=description, tags=tags))


@router.put("/model-versions/{id}/stage", response_model=ModelVersion, dependencies=_WRITE)
def set_stage(
    backend: Here, id: str, stage: Annotated[ModelStage, Body()], force: Annotated[bool, Body()] = False
) -> Response:
    """Move a version; another one there is an error, unless `force` archives it."""
    return answer(backend.models.set_stage(id, stage, force=force))


@router.post("/model-versions/{id}/links", status_code=204, dependencies=_WRITE)
def link(
    backend: Here, id: str, target_type: Annotated[EntityType, Body()], target_ids: Annotated[list[str], Body()]
) -> Response:
    """Link artifact versions or runs; what is linked stays linked."""
    backend.models.link(id, target_type, target_ids)
    return nothing()


@router.delete("/model-versions/{id}", status_code=204, dependencies=_WRITE)
def delete_model_version(backend: Here, id: str) -> Response:
    """Remove a version and its links."""
    backend.models.delete_version(id)
    return nothing()


@router.delete("/models/{model:path}", status_code=204, dependencies=_WRITE)
def delete_model(backend: Here, model: str) -> Response:
    """Remove a model, its versions and links; artifacts stay."""
    backend.models.delete(model)
    return nothing()
