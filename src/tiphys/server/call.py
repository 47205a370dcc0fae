"""One request, as handlers see it, and what makes a handler an endpoint."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tiphys.errors import UsageError
from tiphys.ports.backend import Backend
from tiphys.ports.workflows import Objects, Workflows
from tiphys.server.parameters import Parameters
from tiphys.spec.yaml import check_depth


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked for, and of whom."""

    backend: Backend
    #: Runner of what is submitted; None for the default one.
    runner: str | None
    path: Mapping[str, str]
    query: Parameters
    body: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        """The namespace in the path; empty for all."""
        return self.path.get("namespace", "")

    @property
    def workflows(self) -> Workflows:
        """Workflows of the namespace."""
        service = self.backend.workflows
        return service.in_namespace(self.namespace) if self.namespace else service

    @property
    def objects(self) -> Objects:
        """Stored objects of the namespace."""
        service = self.backend.objects
        return service.in_namespace(self.namespace) if self.namespace else service


#: Answers a call with JSON, or with a whole response; it may block.
Handler = Callable[[Call], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(handler: Handler) -> Endpoint:
    """A handler as a route takes it: called in a thread of the pool."""

    async def answer(request: Request) -> Response:
        call = await call_of(request)
        return await run_in_threadpool(lambda: _response(handler(call)))

    return answer


async def call_of(request: Request) -> Call:
    """The call that a request makes.

    Raises:
        UsageError: its body is not a JSON object.
    """
    state = request.app.state
    return Call(
        state.backend, state.runner, request.path_params, Parameters(request.query_params), await _body(request)
    )


async def _body(request: Request) -> Mapping[str, Any]:
    text = await request.body()
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The body is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError("The body must be a JSON object.")
    check_depth(found)
    return found


def _response(answer: Any) -> Response:
    return answer if isinstance(answer, Response) else JSONResponse(answer)
