"""What a client must know before it asks for anything else."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tiphys._version import __version__
from tiphys.ports.access import ANYONE
from tiphys.ports.wire import API_MAJOR
from tiphys.records.base import DEFAULT_WORKSPACE
from tiphys.server.api.answers import answer
from tiphys.server.api.here import of_server

router = of_server("about")


@dataclass(frozen=True, slots=True)
class Info:
    """The server."""

    version: str
    #: Major version of the API.
    api: int
    #: The workspace of clients that name none.
    workspace: str
    #: Whether it must be told who asks.
    authentication: bool


@router.get("/info", response_model=Info)
def info(request: Request) -> Response:
    """What this server is; nobody needs a permission for it."""
    return answer(Info(__version__, API_MAJOR, DEFAULT_WORKSPACE, request.scope.get("principal") is not ANYONE))
