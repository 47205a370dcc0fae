"""`/healthz` and `/readyz`: whether to start this server anew, and whether to send it requests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tiphys.errors import StoreError
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.backend import LocalBackend

#: Seconds after which the engine is stuck on a batch of events, and not only slow. While the database cannot be reached
#: it tries again and again, and each trial is a batch of its own.
_STUCK = 120.0


def healthz(request: Request) -> Response:
    """GET /healthz: the engine moves."""
    busy = request.app.state.backend.figures().busy
    if busy > _STUCK:
        return PlainTextResponse(f"The engine has worked on the same events for {busy:.0f} seconds.\n", 503)
    return PlainTextResponse("ok\n")


def readyz(request: Request) -> Response:
    """GET /readyz: the database answers (it has its tables since it was opened), and the server is not ending."""
    if request.app.state.draining():
        return PlainTextResponse("The server is ending.\n", 503)
    backend: LocalBackend = request.app.state.backend
    try:
        with backend.store.reader() as reader:
            reader.get(WorkflowSummary, "")
    except StoreError as error:
        return PlainTextResponse(f"{error.message}\n", 503)
    return PlainTextResponse("ok\n")
