"""The application: routes, errors, and what guards them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from tiphys.errors import TiphysError
from tiphys.ports.wire import API
from tiphys.server import operations
from tiphys.server.answers import answer_defect, answer_error, answer_http_error, answer_system_error
from tiphys.server.api.app import make_api
from tiphys.server.api.repeats import Repeats
from tiphys.server.api.versions import answer_other_major
from tiphys.server.argo.routes import routes
from tiphys.server.auth.authentication import Authentication
from tiphys.server.bounds import Limits, RateLimit, Rates
from tiphys.server.guard import Guard
from tiphys.server.metrics import Metrics
from tiphys.services.backend import LocalBackend
from tiphys.services.kept_answers import KeptAnswers

_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def make_app(
    backend: LocalBackend,
    *,
    hosts: Collection[str],
    limits: Limits = Limits(),  # noqa: B008  # it is frozen
    strict_transport: bool = False,
    authenticates: bool = False,
    runner: str | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The server's application.

    Args:
        backend: The services.
        hosts: Names and addresses under which it may be asked.
        limits: What one client may ask for.
        strict_transport: Whether browsers are told to come by TLS alone.
        authenticates: Whether it asks who sends requests even while there is no account.
        runner: What carries submitted workflows out; None for the default.
        ending: Tells whether answers without end should end.
    """
    measured = Metrics(backend)
    rates = None if limits.rate is None else Rates(limits.rate)
    app = Starlette(
        routes=[
            *operations.routes(),
            Mount(API, make_api(backend, runner=runner, ending=ending)),
            Route("/api/tiphys/v{major:int}/{rest:path}", answer_other_major, methods=_VERBS),
            *routes(),
        ],
        middleware=[
            *operations.around(measured, limits, strict_transport=strict_transport),
            Middleware(Guard, hosts=hosts),
            Middleware(Authentication, access=lambda: backend.access, demanded=authenticates, rates=rates),
            *([] if rates is None else [Middleware(RateLimit, rates=rates)]),
            Middleware(Repeats, answers=KeptAnswers(backend.store)),
        ],
        exception_handlers={
            TiphysError: answer_error,
            OSError: answer_system_error,
            HTTPException: answer_http_error,
            Exception: answer_defect,
        },
    )
    app.router.redirect_slashes = False
    app.state.metrics, app.state.draining = measured, ending
    app.state.backend, app.state.runner, app.state.ending = backend, runner, ending
    return app
