"""What handlers of our API ask."""

from __future__ import annotations

from starlette.requests import Request

from tiphys.services.backend import LocalBackend


def backend_of(request: Request, workspace: str) -> LocalBackend:
    """The services in a workspace."""
    backend: LocalBackend = request.app.state.backend
    return backend.in_workspace(workspace)
