"""Our API's application."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from tiphys.errors import TiphysError
from tiphys.server.api import artifact_data, work
from tiphys.services.backend import LocalBackend


def make_api(backend: LocalBackend) -> FastAPI:
    """The application."""
    app = FastAPI(title="Tiphys")
    app.state.backend = backend
    for module in (work, artifact_data):
        app.include_router(module.router)

    @app.exception_handler(TiphysError)
    async def answer(_request: Request, error: TiphysError) -> JSONResponse:
        return JSONResponse({"code": error.code, "message": error.message, "hint": error.hint}, error.http_status)

    return app
