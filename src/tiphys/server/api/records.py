"""Records by query: the same few routes for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from fastapi import Query as InQuery
from starlette.requests import Request
from starlette.responses import Response

from tiphys.errors import NotFoundError
from tiphys.ports.wire import OF_WORKSPACE, PAGE, SHARED, read_filter
from tiphys.records.base import Query, Record
from tiphys.records.stacks import Component
from tiphys.server.api.answers import answer, tagged
from tiphys.server.api.here import Here, of_server, of_workspace
from tiphys.server.auth.permissions import Action, needs
from tiphys.services.backend import LocalBackend, WorkspaceBackend
from tiphys.services.stacks import masked

#: Collection → what a permission to read it is for.
RESOURCES = {
    "pipelines": "pipelines",
    "runs": "runs",
    "step-runs": "runs",
    "workflows": "workflows",
    "queue": "workflows",
    "metadata": "metadata",
    "artifacts": "artifacts",
    "artifact-versions": "artifacts",
    "artifact-uses": "artifacts",
    "models": "models",
    "model-versions": "models",
    "model-links": "models",
    "tags": "tags",
    "tag-links": "tags",
    "stacks": "stacks",
    "components": "stacks",
    "services": "services",
    "metric-values": "metrics",
}

Filters = Annotated[tuple[str, ...], InQuery(description="`<field>:<op>:<JSON value>`; all must hold.")]
Limit = Annotated[int, InQuery(ge=1, le=PAGE)]


@dataclass(frozen=True, slots=True)
class Page:
    """Records in the order that was asked for."""

    items: list[dict[str, Any]]
    #: The id after which the next page begins; None on the last.
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many records obey the filters."""

    count: int


def routers() -> list[APIRouter]:
    """The routes of all collections."""
    inside, shared = of_workspace("records"), of_server("records")
    for router, collections in ((inside, OF_WORKSPACE), (shared, SHARED)):
        for name, kind in collections.items():
            _add(router, name, kind)
    return [inside, shared]


def _add(router: APIRouter, name: str, kind: type[Record]) -> None:
    wanted = [Depends(needs(RESOURCES[name], Action.READ))]

    def add(verb: str, path: str, handler: Callable[..., Response], model: Any) -> None:
        title = f"{handler.__name__}_{name.replace('-', '_')}"
        router.add_api_route(
            f"/{name}{path}",
            handler,
            methods=[verb],
            response_model=model,
            name=title,
            operation_id=title,
            dependencies=wanted,
        )

    add("GET", "", _find(kind), Page)
    add("POST", "/find", _find_by_body(kind), Page)
    add("GET", "/count", _count(kind), Count)
    add("POST", "/count", _count_by_body(kind), Count)
    add("GET", "/{id}", _get(kind), kind)


def _find(kind: type[Record]) -> Callable[..., Response]:
    def find(
        backend: Here,
        filter: Filters = (),
        order: str = "-id",
        after: str | None = None,
        limit: Limit = 100,  # the framework copies it
    ) -> Response:
        """Records that obey all filters, page by page."""
        return _page(backend, kind, filter, order, after, limit)

    return find


def _find_by_body(kind: type[Record]) -> Callable[..., Response]:
    def find_by_body(
        backend: Here,
        filter: Annotated[list[str], Body()],
        order: Annotated[str, Body()] = "-id",
        after: Annotated[str | None, Body()] = None,
        limit: Annotated[int, Body(ge=1, le=PAGE)] = 100,
    ) -> Response:
        """As GET, for filters that are too long for an address."""
        return _page(backend, kind, filter, order, after, limit)

    return find_by_body


def _page(
    backend: LocalBackend | WorkspaceBackend,
    kind: type[Record],
    filters: Sequence[str],
    order: str,
    after: str | None,
    limit: int,
) -> Response:
    where = tuple(read_filter(kind, text) for text in filters)
    last = None if after is None else _one(backend, kind, after)
    found = backend.find(Query(kind, where, order, last, limit + 1))
    items = [_shown(record) for record in found[:limit]]
    return answer({"items": items, "next": found[limit - 1].id if len(found) > limit else None})


def _count(kind: type[Record]) -> Callable[..., Response]:
    def count(backend: Here, filter: Filters = ()) -> Response:
        """How many records obey all filters."""
        return answer(Count(backend.count(Query(kind, tuple(read_filter(kind, text) for text in filter)))))

    return count


def _count_by_body(kind: type[Record]) -> Callable[..., Response]:
    def count_by_body(backend: Here, filter: Annotated[list[str], Body(embed=True)]) -> Response:
        """As GET, for filters that are too long for an address."""
        return answer(Count(backend.count(Query(kind, tuple(read_filter(kind, text) for text in filter)))))

    return count_by_body


def _get(kind: type[Record]) -> Callable[..., Response]:
    def get(request: Request, backend: Here, id: str) -> Response:
        """One record, with an ETag."""
        return tagged(_shown(_one(backend, kind, id)), request)

    return get


def _one(backend: LocalBackend | WorkspaceBackend, kind: type[Record], id: str) -> Record:
    found = backend.find(Query.of(kind, id=id, limit=1))
    if not found:
        raise NotFoundError(f"There is no {kind.__name__} with the id '{id}'.")
    return found[0]


def _shown(record: Record) -> Record:
    """A record for whoever may read: secrets of a component are for those who use it."""
    if isinstance(record, Component):
        return replace(record, configuration=masked(record.configuration))
    return record
