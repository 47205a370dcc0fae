"""Events that came in and what became of them, and the news that are posted to those who subscribed.

Events are sent by Argo's path (`/api/v1/events/…`), and bindings are stored objects like others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Body, Depends
from fastapi import Query as InQuery
from starlette.requests import Request
from starlette.responses import Response

from tiphys.ports.events import SubscriptionStatus
from tiphys.ports.wire import PAGE
from tiphys.records.events import EventState, EventSubscription, EventSummary, ReceivedEvent, RunNotice
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.here import Here, of_server, of_workspace
from tiphys.server.auth.permissions import Action, needs, principal_of
from tiphys.services.backend import LocalBackend, WorkspaceBackend

router, shared = of_workspace("events"), of_server("events")
_READS = needs("events", Action.READ)
_READ, _WRITE = [Depends(_READS)], [Depends(needs("events", Action.WRITE))]
States = Annotated[tuple[EventState, ...], InQuery(alias="state")]
Limit = Annotated[int, InQuery(ge=1, le=PAGE)]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first."""

    items: list[EventSummary]
    #: The id after which the next page begins; None on the last.
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Resent:
    """How many are posted again."""

    resent: int


@router.get("/events", response_model=EventPage, dependencies=_READ)
def find_events(backend: Here, state: States = (), after: str | None = None, limit: Limit = 100) -> Response:
    """Events that came in, newest first, without what they brought."""
    return _page(backend, state, after, limit)


@shared.get("/events", response_model=EventPage, dependencies=_READ)
def find_events_everywhere(
    request: Request, backend: Here, state: States = (), after: str | None = None, limit: Limit = 100
) -> Response:
    """Events of all workspaces whose events who asks may see."""
    return _page(backend, state, after, limit, everywhere=True, among=_READS.visible(principal_of(request)))


def _page(
    backend: LocalBackend | WorkspaceBackend,
    states: tuple[EventState, ...],
    after: str | None,
    limit: int,
    *,
    everywhere: bool = False,
    among: Collection[str] | None = None,
) -> Response:
    found = backend.events.find(states=states, limit=limit + 1, after=after, all_namespaces=everywhere, among=among)
    return answer(EventPage(found[:limit], found[limit - 1].id if len(found) > limit else None))


@router.get("/events/lookup", response_model=ReceivedEvent, dependencies=_READ)
def look_up_event(backend: Here, id: str) -> Response:
    """An event with what it brought and what became of it, by its id or the end of it."""
    return answer(backend.events.get(id))


@router.post("/events/{id}/retry", response_model=ReceivedEvent, dependencies=_WRITE)
def retry_event(backend: Here, id: str) -> Response:
    """Have a dead event carried out again, but for the bindings that submitted a workflow."""
    return answer(backend.events.retry(id))


@router.get("/event-subscriptions", response_model=list[SubscriptionStatus], dependencies=_READ)
def find_subscriptions(backend: Here) -> Response:
    """Where news of runs are posted, and how that gets on; without the keys of the signatures."""
    found = backend.events.subscriptions()
    return answer([replace(one, subscription=replace(one.subscription, secret="")) for one in found])


@router.post("/event-subscriptions", response_model=EventSubscription, dependencies=_WRITE)
def subscribe(
    backend: Here,
    name: Annotated[str, Body()],
    url: Annotated[str, Body()],
    types: Annotated[list[str], Body()] = [],  # noqa: B006  # the framework copies it
    secret: Annotated[str, Body()] = "",
    private: Annotated[bool, Body()] = False,
) -> Response:
    """Have news of runs that begin from now on posted; the answer alone has the key of the signatures."""
    return answer(backend.events.subscribe(name, url, types=types, secret=secret, private=private))


@router.delete("/event-subscriptions/{name}", status_code=204, dependencies=_WRITE)
def unsubscribe(backend: Here, name: str) -> Response:
    """Remove a subscription, and the news that wait for it."""
    backend.events.unsubscribe(name)
    return nothing()


@router.get("/event-subscriptions/{name}/news", response_model=list[RunNotice], dependencies=_READ)
def find_news(backend: Here, name: str, state: States = (), limit: Limit = PAGE) -> Response:
    """News that wait for a subscription or were given up, oldest first."""
    return answer(backend.events.news(name, states=state, limit=limit))


@router.post("/event-subscriptions/{name}/resend", response_model=Resent, dependencies=_WRITE)
def resend_news(backend: Here, name: str, ids: Annotated[list[str], Body(embed=True)]) -> Response:
    """Have news that were given up posted again: those of some ids, or all."""
    return answer(Resent(backend.events.resend(name, ids)))
