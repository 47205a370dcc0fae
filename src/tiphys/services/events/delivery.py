"""Posts the news that wait for a subscription: those of each run in order, again and again until they are taken.

One process at a time posts for a subscription, for a while (`LEASE`). News that is not taken holds up what comes after
it of the same run, but not the news of others.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tiphys._util.times import from_epoch, rfc3339
from tiphys.errors import ServiceError, UsageError
from tiphys.ports.clock import Clock
from tiphys.ports.store import Store
from tiphys.records.base import Query, Where
from tiphys.records.events import EventState, EventSubscription, RunNotice
from tiphys.services.events.service import RETENTION
from tiphys.services.events.signatures import HEADER, sign

_log = logging.getLogger("tiphys.controller.events")

#: How long a subscription belongs to who posts for it.
LEASE = timedelta(minutes=2)
#: After so many attempts, which take two hours, news is given up.
MOST_ATTEMPTS = 16
#: Longest pause between two attempts.
_LONGEST_PAUSE = timedelta(minutes=10)
#: News that are looked at in one turn.
_BATCH = 500
#: After so many failures in one turn, the receiver is left alone for a while.
_MOST_FAILURES = 3
_REST = timedelta(seconds=5)
_LONGEST_MESSAGE = 500

#: Posts a body with headers to a URL; raises a ServiceError or UsageError if it is not taken.
Post = Callable[[str, Mapping[str, str], bytes], None]


class Deliverer:
    """Posts what is due.

    Args:
        store: The database.
        clock: The time.
        post: Sends.
        owner: Name of this process.
        is_alive: Whether the process of that name still runs.
    """

    def __init__(self, store: Store, *, clock: Clock, post: Post, owner: str, is_alive: Callable[[str], bool]) -> None:
        self._store = store
        self._clock = clock
        self._post = post
        self._owner = owner
        self._is_alive = is_alive

    def due(self) -> list[EventSubscription]:
        """Subscriptions that news wait for, and that nobody posts for."""
        now = self._now()
        with self._store.reader() as reader:
            return [
                one
                for one in reader.find(Query.of(EventSubscription))
                if (one.due_at <= now or (one.owner and not self._is_alive(one.owner)))
                and reader.find(_waiting(one, limit=1, due=now))
            ]

    def deliver(self, subscription: EventSubscription, ending: Callable[[], bool] = lambda: False) -> int:
        """Post for a subscription of `due`, if no other process does; returns how many were taken."""
        now = self._now()
        as_it_was = Query.of(
            EventSubscription, id=subscription.id, due_at=subscription.due_at, owner=subscription.owner
        )
        with self._store.transaction() as transaction:
            if not transaction.update_found(as_it_was, owner=self._owner, due_at=now + LEASE):
                return 0
        with self._store.reader() as reader:
            waiting = reader.find(_waiting(subscription, limit=_BATCH))
        taken, failures, message = 0, 0, ""
        held: set[str] = set()
        for notice in waiting:
            if failures >= _MOST_FAILURES or ending() or self._now() > now + LEASE / 2:
                break
            if notice.workflow_uid in held:
                continue
            if notice.due_at > self._now():
                held.add(notice.workflow_uid)
                continue
            try:
                self._send(subscription, notice)
            except (ServiceError, UsageError) as error:
                message = error.message[:_LONGEST_MESSAGE]
                failures += 1
                held.add(notice.workflow_uid)
                self._put_back(subscription, notice, message)
            else:
                taken += 1
                with self._store.transaction() as transaction:
                    transaction.delete(RunNotice, [notice.id])
        mine = Query.of(EventSubscription, id=subscription.id, owner=self._owner)
        rest = _REST if failures else timedelta(0)
        with self._store.transaction() as transaction:
            transaction.update_found(mine, owner="", due_at=self._now() + rest, message=message)
        return taken

    def clean(self) -> None:
        """Remove news that are a week old, and those of subscriptions that are gone."""
        now = self._now()
        with self._store.transaction() as transaction:
            for state, end in ((EventState.DEAD, now), (EventState.QUEUED, now - RETENTION)):
                over = (Where("state", state), Where("due_at", end, "lt"))
                transaction.delete_found(Query(RunNotice, over))
            # In this order: a subscription that is added meanwhile is not taken for one that is gone.
            oldest = transaction.find(Query.of(RunNotice, order="id", limit=_BATCH))
            known = {one.id for one in transaction.find(Query.of(EventSubscription))}
            for gone in {one.subscription_id for one in oldest} - known:
                transaction.delete_found(Query.of(RunNotice, subscription_id=gone))

    def _send(self, subscription: EventSubscription, notice: RunNotice) -> None:
        body = json.dumps(cloud_event(notice), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            HEADER: sign(subscription.secret, body, now=self._clock.now()),
        }
        self._post(subscription.url, headers, body)

    def _put_back(self, subscription: EventSubscription, notice: RunNotice, message: str) -> None:
        attempts, now = notice.attempts + 1, self._now()
        changes: dict[str, Any] = {"attempts": attempts, "message": message}
        if attempts >= MOST_ATTEMPTS:
            changes |= {"state": EventState.DEAD, "due_at": now + RETENTION}
            _log.error("%s for %s: given up after %d attempts: %r", notice.type, subscription.name, attempts, message)
        else:
            changes["due_at"] = now + min(timedelta(seconds=2**attempts), _LONGEST_PAUSE)
            _log.warning("%s for %s was not taken: %r", notice.type, subscription.name, message)
        with self._store.transaction() as transaction:
            transaction.update_found(Query.of(RunNotice, id=notice.id), **changes)

    def _now(self) -> datetime:
        return from_epoch(self._clock.now())


def cloud_event(notice: RunNotice) -> dict[str, Any]:
    """A piece of news as a CloudEvent 1.0 in JSON."""
    return {
        "specversion": "1.0",
        "id": notice.event_id,
        "source": notice.source,
        "type": notice.type,
        "subject": notice.subject,
        "time": rfc3339(notice.happened_at),
        "datacontenttype": "application/json",
        "data": dict(notice.data),
    }


def _waiting(subscription: EventSubscription, *, limit: int, due: datetime | None = None) -> Query[RunNotice]:
    where = [Where("subscription_id", subscription.id), Where("state", EventState.QUEUED)]
    if due is not None:
        where.append(Where("due_at", due, "le"))
    return Query(RunNotice, tuple(where), order="id", limit=limit)
