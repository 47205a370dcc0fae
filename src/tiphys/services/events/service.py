"""Events in a store: an event is kept before it is answered, and carried out by `dispatch`."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, UsageError
from tiphys.ports.events import Events, NewEvent, QueueFullError, SignatureError, SubscriptionStatus
from tiphys.ports.store import Reader, Store
from tiphys.records.base import DEFAULT_WORKSPACE, Query, Where
from tiphys.records.events import EventState, EventSubscription, EventSummary, ReceivedEvent, RunNotice, SeenSignature
from tiphys.services.events.targets import addresses_of, read_target
from tiphys.spec.validate.names import is_object_name

#: Events that may wait; no more are taken then.
MOST_WAITING = 10_000
#: How long events that ended are kept, and deliveries known.
RETENTION = timedelta(days=7)
#: How long a signature is known; signatures are good for a shorter time.
SIGNATURES_KEPT = timedelta(minutes=20)
#: Shortest key that a person may choose.
_LEAST_SECRET = 16


class EventService(Events):
    """Events of one workspace.

    Args:
        store: The database.
        home: Folder of the database, if it is a file.
        namespace: The workspace.
    """

    def __init__(self, store: Store, *, home: Path, namespace: str = DEFAULT_WORKSPACE) -> None:
        self._store = store
        self._home = home
        self._namespace = namespace

    def in_namespace(self, namespace: str) -> EventService:
        """The same for another workspace."""
        return EventService(self._store, home=self._home, namespace=namespace)

    # What came in -----------------------------------------------------------------------------------------------------

    def receive(self, event: NewEvent) -> ReceivedEvent | None:
        """Keep an event; its bindings are carried out later."""
        now, fresh = utc_now(), new_id()
        record = ReceivedEvent(
            id=fresh,
            workspace=self._namespace,
            discriminator=event.discriminator,
            delivery=event.delivery or fresh,
            sender=event.sender,
            payload=event.payload,
            metadata=event.metadata,
            due_at=now,
            created_at=now,
        )
        with self._store.transaction() as transaction:
            if event.signature:
                seen = SeenSignature(id=new_id(), signature=event.signature, created_at=now)
                if transaction.ensure(seen, "signature") is not seen:
                    raise SignatureError("The signature was used before.", hint="Sign each delivery anew.")
            if transaction.count(Query.of(ReceivedEvent, state=EventState.QUEUED)) >= MOST_WAITING:
                raise QueueFullError(f"{MOST_WAITING} events wait already.", hint="Send it again later.")
            present = transaction.ensure(record, "workspace", "discriminator", "delivery")
        return record if present is record else None

    def find(
        self,
        *,
        states: Sequence[EventState] = (),
        limit: int | None = None,
        after: str | None = None,
        all_namespaces: bool = False,
        among: Collection[str] | None = None,
    ) -> list[EventSummary]:
        """Events that came in, newest first, without what they brought."""
        where = [] if all_namespaces else [Where("workspace", self._namespace)]
        if states:
            where.append(Where("state", list(states), "in"))
        if after is not None:
            where.append(Where("id", after, "lt"))
        if among is not None:
            where.append(Where("workspace", sorted(among), "in"))
        with self._store.reader() as reader:
            return reader.find(Query(EventSummary, tuple(where), limit=limit))

    def get(self, id: str) -> ReceivedEvent:
        """An event by its id, or the end of it."""
        with self._store.reader() as reader:
            return self._event(reader, id)

    def retry(self, id: str) -> ReceivedEvent:
        """Have a dead event carried out again."""
        with self._store.transaction() as transaction:
            found = self._event(transaction, id)
            wanted = Query.of(ReceivedEvent, id=found.id, state=EventState.DEAD)
            changed = transaction.update_found(
                wanted, state=EventState.QUEUED, attempts=0, owner="", due_at=utc_now(), message="", finished_at=None
            )
            if not changed:
                raise ConflictError(f"The event {found.id} is not dead, but {found.state}.")
            return self._event(transaction, found.id)

    def _event(self, reader: Reader, id: str) -> ReceivedEvent:
        found = reader.get(ReceivedEvent, id)
        if found is not None and found.workspace == self._namespace:
            return found
        # The last characters of an id are random, the first ones those of all events of a day.
        known = reader.find(Query.of(EventSummary, workspace=self._namespace)) if id else []
        ends = [one.id for one in known if one.id.endswith(id)]
        whole = reader.get(ReceivedEvent, ends[0]) if len(ends) == 1 else None
        if whole is None:
            several = "There are several events" if ends else "There is no event"
            raise NotFoundError(
                f"{several} '{id}' in the workspace {self._namespace}.", hint="See them all: tiphys event list"
            )
        return whole

    # What is posted ---------------------------------------------------------------------------------------------------

    def subscribe(
        self, name: str, url: str, *, types: Sequence[str] = (), secret: str = "", private: bool = False
    ) -> EventSubscription:
        """Have news of runs that begin from now on posted to a URL."""
        if not is_object_name(name) or len(name) > 63:
            raise UsageError(f"'{name}' is not a name of a subscription: lower case letters, digits and '-' can be.")
        if secret and len(secret) < _LEAST_SECRET:
            raise UsageError(f"The secret has {len(secret)} characters; it must have {_LEAST_SECRET}.")
        addresses_of(read_target(url), private=private)
        now = utc_now()
        record = EventSubscription(
            id=new_id(),
            workspace=self._namespace,
            name=name,
            url=url,
            secret=secret or secrets.token_urlsafe(32),
            types=list(types),
            due_at=now,
            created_at=now,
        )
        with self._store.transaction() as transaction:
            if transaction.ensure(record, "workspace", "name") is not record:
                raise AlreadyExistsError(f"There is a subscription '{name}' already.", hint="Delete it first.")
        # As for Secrets: the key stands in it as it is.
        for file in self._home.glob("tiphys.db*"):
            file.chmod(0o600)
        return record

    def subscriptions(self) -> list[SubscriptionStatus]:
        """All subscriptions, by name."""
        with self._store.reader() as reader:
            return [
                SubscriptionStatus(
                    one,
                    reader.count(Query.of(RunNotice, subscription_id=one.id, state=EventState.QUEUED)),
                    reader.count(Query.of(RunNotice, subscription_id=one.id, state=EventState.DEAD)),
                )
                for one in reader.find(Query.of(EventSubscription, workspace=self._namespace, order="name"))
            ]

    def unsubscribe(self, name: str) -> None:
        """Remove a subscription, and the news that wait for it."""
        with self._store.transaction() as transaction:
            found = self._subscription(transaction, name)
            transaction.delete(EventSubscription, [found.id])
            transaction.delete_found(Query.of(RunNotice, subscription_id=found.id))

    def news(self, name: str, *, states: Sequence[EventState] = (), limit: int | None = None) -> list[RunNotice]:
        """News that wait for a subscription or were given up, oldest first."""
        with self._store.reader() as reader:
            where = [Where("subscription_id", self._subscription(reader, name).id)]
            if states:
                where.append(Where("state", list(states), "in"))
            return reader.find(Query(RunNotice, tuple(where), order="id", limit=limit))

    def resend(self, name: str, ids: Sequence[str] = ()) -> int:
        """Have news that were given up posted again."""
        with self._store.transaction() as transaction:
            dead = Query.of(RunNotice, subscription_id=self._subscription(transaction, name).id, state=EventState.DEAD)
            known = [one.id for one in transaction.find(dead)]
            for wanted in ids:
                if not wanted or not any(one.endswith(wanted) for one in known):
                    raise NotFoundError(
                        f"No news that was given up for '{name}' has the id '{wanted}'.",
                        hint=f"See them all: tiphys event subscription news {name} --state dead",
                    )
            chosen = [one for one in known if not ids or one.endswith(tuple(ids))]
            these = replace(dead, where=(*dead.where, Where("id", chosen, "in")))
            return transaction.update_found(these, state=EventState.QUEUED, attempts=0, due_at=utc_now(), message="")

    def _subscription(self, reader: Reader, name: str) -> EventSubscription:
        found = reader.find(Query.of(EventSubscription, workspace=self._namespace, name=name))
        if not found:
            raise NotFoundError(
                f"There is no subscription '{name}' in the workspace {self._namespace}.",
                hint="See them all: tiphys event subscription list",
            )
        return found[0]
