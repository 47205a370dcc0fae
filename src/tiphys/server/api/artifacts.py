"""Artifacts and their versions; their data travels by routes of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Body, Depends
from starlette.responses import Response

from tiphys.ports.backend import NewArtifactVersion
from tiphys.records.artifacts import ArtifactVersion
from tiphys.server.api.answers import answer
from tiphys.server.api.here import Here, of_server, of_workspace
from tiphys.server.auth.permissions import Action, needs

router, shared = of_workspace("artifacts"), of_server("artifacts")
_READ, _WRITE = [Depends(needs("artifacts", Action.READ))], [Depends(needs("artifacts", Action.WRITE))]


@dataclass(frozen=True, slots=True)
class Removed:
    """How many were removed."""

    removed: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Stored data that no version points to."""

    digest: str
    size: int


@router.get("/artifact-versions/lookup", response_model=ArtifactVersion, dependencies=_READ)
def look_up_artifact_version(backend: Here, name: str, version: str | None = None) -> Response:
    """By id, or by the artifact's name and version (the newest by default)."""
    return answer(backend.artifacts.get_version(name, version))


@router.post("/artifact-versions", response_model=ArtifactVersion, dependencies=_WRITE)
def create_artifact_version(backend: Here, request: NewArtifactVersion) -> Response:
    """Record a version whose data is stored; numbers are given in order, without gaps."""
    return answer(backend.artifacts.create_version(request))


@router.post("/artifact-versions/delete", response_model=Removed, dependencies=_WRITE)
def delete_artifact_versions(backend: Here, ids: Annotated[list[str], Body(embed=True)]) -> Response:
    """Remove versions that no run uses; the others are left."""
    return answer(Removed(backend.artifacts.delete_versions(ids)))


@shared.post("/artifact-data/gc", response_model=list[Tree], dependencies=[Depends(needs("artifacts", Action.ADMIN))])
def collect_artifact_data(backend: Here, dry_run: Annotated[bool, Body(embed=True)]) -> Response:
    """Remove from the stores what no version of any workspace points to, or with `dry_run` tell what it would be."""
    return answer([Tree(digest, size) for digest, size in backend.artifacts.gc(dry_run=dry_run)])
