"""One request, as handlers see it, and what makes a handler an endpoint."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.access import Principal
from tiphys.ports.backend import Backend
from tiphys.ports.workflows import Objects, Workflows
from tiphys.records.base import Query
from tiphys.records.workflows import WorkflowSummary
from tiphys.server.auth.permissions import HiddenError, Permission, principal_of, refusals_told
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
    #: Who asks.
    principal: Principal
    #: What the route needs of them; it was checked for the namespace in the path.
    needs: Permission

    @property
    def visible(self) -> frozenset[str] | None:
        """The namespaces that a list of all of them is of; None for all that there are."""
        return self.needs.visible(self.principal)

    def expect_allowed(self, namespace: str) -> None:
        """Refuse what is asked for in a namespace that stands elsewhere than in the path.

        Raises:
            ForbiddenError: who asks may not do it there.
        """
        if namespace:
            self.needs.expect(self.principal, namespace)

    def uid_here(self, uid: str) -> str:
        """A workflow's uid that stands beside a namespace in the path.

        Raises:
            NotFoundError: it is of no workflow in that namespace.
        """
        found = self.backend.find(Query.of(WorkflowSummary, id=uid, limit=1)) if uid else []
        if found and found[0].workspace == self.namespace:
            return uid
        if uid:
            kind = HiddenError if found else NotFoundError
            raise kind(f"There is no workflow '{uid}' in the namespace {self.namespace}.")
        return ""

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


def endpoint(handler: Handler, needs: Permission) -> Endpoint:
    """A handler as a route takes it: called in a thread of the pool, if who asks may do what it needs."""

    async def answer(request: Request) -> Response:
        call = await call_of(request, needs)
        with refusals_told(request):
            return await run_in_threadpool(lambda: _response(handler(call)))

    return answer


async def call_of(request: Request, needs: Permission) -> Call:
    """The call that a request makes.

    Raises:
        UnauthenticatedError: it is not known who makes it.
        ForbiddenError: they may not.
        UsageError: its body is not a JSON object.
    """
    # A body is not even read of somebody who may not send it.
    if needs.asks_database(request):
        await run_in_threadpool(needs, request)
    else:
        needs(request)
    state, query = request.app.state, Parameters(request.query_params)
    return Call(
        state.backend, state.runner, request.path_params, query, await _body(request), principal_of(request), needs
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
