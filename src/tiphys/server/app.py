"""The application: routes, errors, and what guards them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from tiphys.errors import TiphysError
from tiphys.server.answers import answer_defect, answer_error, answer_http_error
from tiphys.server.argo.routes import routes
from tiphys.server.auth.authentication import Authentication
from tiphys.server.guard import Guard
from tiphys.services.backend import LocalBackend


def make_app(
    backend: LocalBackend,
    *,
    hosts: Collection[str],
    authenticates: bool = False,
    runner: str | None = None,
    ending: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The server's application.

    Args:
        backend: The services.
        hosts: Names and addresses under which it may be asked.
        authenticates: Whether it asks who sends requests even while there is no account.
        runner: What carries submitted workflows out; None for the default.
        ending: Tells whether answers without end should end.
    """
    app = Starlette(
        routes=routes(),
        middleware=[
            Middleware(Guard, hosts=hosts),
            Middleware(Authentication, access=lambda: backend.access, demanded=authenticates),
        ],
        exception_handlers={
            TiphysError: answer_error,
            HTTPException: answer_http_error,
            Exception: answer_defect,
        },
    )
    app.router.redirect_slashes = False
    app.state.backend, app.state.runner, app.state.ending = backend, runner, ending
    return app
