"""Clients of another version: those that cannot be understood are told what to upgrade, before anything is done."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiphys._version import __version__
from tiphys.ports.wire import API_MAJOR, VERSION, VERSION_HEADER
from tiphys.server.api.answers import Problem, answer

_CLIENT = re.compile(r"(?P<version>[^;\s]+)\s*;\s*api=(?P<api>\d{1,6})")


def refusal_of(header: str) -> Problem | None:
    """Why a client that says this of itself cannot be served; None if it can. Clients that are not ours say nothing."""
    found = _CLIENT.fullmatch(header.strip())
    if found is None or int(found["api"]) == API_MAJOR:
        return None
    return _refusal(found["version"], int(found["api"]))


def _refusal(client: str, api: int) -> Problem:
    older, newer = ("client", "server") if api < API_MAJOR else ("server", "client")
    wanted = __version__ if older == "client" else client
    return Problem(
        "upgrade_required",
        f"The client (Tiphys {client}) speaks version {api} of the API, this server (Tiphys {__version__}) "
        f"version {API_MAJOR}: the {older} is older than the {newer}.",
        f"Upgrade the {older}: pip install 'tiphys=={wanted}'",
    )


async def answer_other_major(request: Request) -> Response:
    """The answer to whatever is asked of another major version of the API."""
    header = _CLIENT.fullmatch(request.headers.get(VERSION_HEADER, "").strip())
    client = header["version"] if header else "of an unknown version"
    return answer(_refusal(client, int(request.path_params["major"])), status=426)


class Versions:
    """Looks at the version of each request's client, and says ours in each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[VERSION_HEADER] = VERSION
            await send(message)

        wrong = refusal_of(Headers(scope=scope).get(VERSION_HEADER, ""))
        if wrong is not None:
            await answer(wrong, status=426)(scope, receive, say)
        else:
            await self._app(scope, receive, say)
