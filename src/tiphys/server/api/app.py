"""The application of our API: its routers, errors, and what stands before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from tiphys._version import __version__
from tiphys.errors import HeldElsewhereError, TiphysError
from tiphys.server.api import (
    about,
    accounts,
    artifact_data,
    artifacts,
    events,
    labels,
    models,
    objects,
    policies,
    records,
    runs,
    stacks,
    work,
    workflows,
)
from tiphys.server.api.answers import (
    answer_defect,
    answer_error,
    answer_http_error,
    answer_invalid,
    answer_system_error,
)
from tiphys.server.api.elsewhere import answer_from_elsewhere
from tiphys.server.api.versions import Versions
from tiphys.services.backend import LocalBackend

#: Routers in the order in which they are asked: records by id come last, as their paths fit what others name.
ROUTERS: Sequence[APIRouter] = (
    about.router,
    accounts.router,
    policies.router,
    work.router,
    runs.router,
    artifact_data.router,
    artifacts.router,
    artifacts.shared,
    models.router,
    labels.router,
    stacks.router,
    workflows.router,
    objects.router,
    objects.shared,
    events.router,
    events.shared,
    *records.routers(),
)


def make_api(
    backend: LocalBackend,
    *,
    runner: str | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Our API, to be mounted under its path.

    Args:
        backend: The services of all workspaces.
        runner: What carries submitted workflows out; None for the default.
        ending: Tells whether answers without end should end.
    """
    api = FastAPI(
        title="Tiphys",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Versions)],
        exception_handlers={
            HeldElsewhereError: answer_from_elsewhere,
            TiphysError: answer_error,
            RequestValidationError: answer_invalid,
            OSError: answer_system_error,
            HTTPException: answer_http_error,
            Exception: answer_defect,
        },
        redirect_slashes=False,
    )
    for router in ROUTERS:
        api.include_router(router)
    api.state.backend, api.state.runner = backend, runner
    api.state.ending = ending
    return api
