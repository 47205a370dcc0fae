"""What handlers share: the services of the workspace that a route is in, and the routers that declare it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request

from tiphys.server.api.answers import Problem
from tiphys.services.backend import LocalBackend, WorkspaceBackend

_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "description": words}
    for status, words in (
        (400, "The request is wrong."),
        (404, "There is no such thing in this workspace."),
        (409, "Its state, or another of that name, forbids it."),
    )
}


async def here(request: Request) -> LocalBackend | WorkspaceBackend:
    """The services of the workspace in the path; of the whole server where the path names none."""
    whole: LocalBackend = request.app.state.backend
    name = request.path_params.get("workspace")
    return whole if name is None else whole.in_workspace(name)


async def _named(
    _workspace: Annotated[str, Path(alias="workspace", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")],
) -> None:
    """Declares the path's first part, and refuses what cannot be a workspace's name."""


#: The services that a handler calls.
Here = Annotated[LocalBackend | WorkspaceBackend, Depends(here)]


def of_workspace(*tags: str) -> APIRouter:
    """A router whose paths begin with a workspace."""
    return APIRouter(
        prefix="/workspaces/{workspace}", dependencies=[Depends(_named)], responses=_REFUSALS, tags=list(tags)
    )


def of_server(*tags: str) -> APIRouter:
    """A router for what all workspaces share."""
    return APIRouter(responses=_REFUSALS, tags=list(tags))
