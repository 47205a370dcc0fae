"""Events of a server: what came in, what became of it, and where news are posted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tiphys.client.connection import Connection
from tiphys.client.place import Place, segment
from tiphys.errors import UnimplementedError
from tiphys.ports.events import Events, NewEvent, SubscriptionStatus
from tiphys.ports.wire import API, PAGE, read
from tiphys.records.events import EventState, EventSubscription, EventSummary, ReceivedEvent, RunNotice


class ClientEvents(Events):
    """Events of one workspace of a server.

    Args:
        connection: The server.
        namespace: The workspace.
    """

    def __init__(self, connection: Connection, *, namespace: str) -> None:
        self._connection = connection
        self._place = Place(connection, namespace)

    def in_namespace(self, namespace: str) -> ClientEvents:
        """The same for another workspace."""
        return ClientEvents(self._connection, namespace=namespace)

    def receive(self, event: NewEvent) -> ReceivedEvent | None:  # noqa: ARG002  # as the port says
        """Refused: whoever sends an event does so as any program can."""
        raise UnimplementedError(
            "An event is sent by an HTTP request of its own.", hint="POST its JSON to /api/v1/events/NAMESPACE/NAME."
        )

    def find(
        self,
        *,
        states: Sequence[EventState] = (),
        limit: int | None = None,
        after: str | None = None,
        all_namespaces: bool = False,
        among: Collection[str] | None = None,
    ) -> list[EventSummary]:
        """Events that came in, newest first, page by page; all of them are those that the server lets one see."""
        path = (API if all_namespaces else self._place.inside) + "/events"
        found: list[EventSummary] = []
        while limit is None or len(found) < limit:
            wanted = PAGE if limit is None else min(PAGE, limit - len(found))
            query = {"state": _values(states), "after": after, "limit": wanted}
            page = self._connection.ask("GET", path, query=query)
            items = read(list[EventSummary], page["items"])
            found += [one for one in items if among is None or one.workspace in among]
            after = page["next"]
            if after is None:
                break
        return found

    def get(self, id: str) -> ReceivedEvent:
        """An event by its id, or the end of it."""
        return self._place.get(ReceivedEvent, "/events/lookup", id=id)

    def retry(self, id: str) -> ReceivedEvent:
        """Have a dead event carried out again."""
        return self._place.post(ReceivedEvent, f"/events/{segment(id)}/retry", None)

    def subscribe(
        self, name: str, url: str, *, types: Sequence[str] = (), secret: str = "", private: bool = False
    ) -> EventSubscription:
        """Have news of runs that begin from now on posted to a URL."""
        body = {"name": name, "url": url, "types": list(types), "secret": secret, "private": private}
        return self._place.post(EventSubscription, "/event-subscriptions", body)

    def subscriptions(self) -> list[SubscriptionStatus]:
        """All subscriptions, by name; the keys of their signatures stay with the server."""
        return self._place.get(list[SubscriptionStatus], "/event-subscriptions")

    def unsubscribe(self, name: str) -> None:
        """Remove a subscription, and the news that wait for it."""
        self._place.delete(f"/event-subscriptions/{segment(name)}")

    def news(self, name: str, *, states: Sequence[EventState] = (), limit: int | None = None) -> list[RunNotice]:
        """News that wait for a subscription or were given up, oldest first; a thousand at most."""
        query: dict[str, Any] = {"state": _values(states), "limit": min(limit or PAGE, PAGE)}
        return self._place.get(list[RunNotice], f"/event-subscriptions/{segment(name)}/news", **query)

    def resend(self, name: str, ids: Sequence[str] = ()) -> int:
        """Have news that were given up posted again."""
        path = f"/event-subscriptions/{segment(name)}/resend"
        return self._place.post(dict[str, int], path, {"ids": list(ids)})["resent"]


def _values(states: Sequence[EventState]) -> list[str] | None:
    return [state.value for state in states] or None
