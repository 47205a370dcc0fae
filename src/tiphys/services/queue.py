"""Limits of the queue: how many workflows run at once."""

from __future__ import annotations

from tiphys._util.ids import new_id
from tiphys.errors import NotFoundError
from tiphys.ports.store import Store
from tiphys.records.base import Query, Where
from tiphys.records.queue import PREFIX, about
from tiphys.records.synchronization import LockLimit


def queue_limits(store: Store) -> list[LockLimit]:
    """All limits of the queue, by key."""
    with store.reader() as reader:
        return reader.find(Query(LockLimit, (Where("key", PREFIX, "prefix"),), order="key"))


def set_queue_limit(store: Store, key: str, limit: int) -> None:
    """Let at most so many workflows run at once; those that run already go on.

    Args:
        store: The database.
        key: As `records.queue.limit_key`.
        limit: 0 for none.
    """
    with store.transaction() as transaction:
        transaction.put(LockLimit(id=new_id(), key=key, limit_count=limit), "key")


def delete_queue_limit(store: Store, key: str) -> None:
    """Let any number run.

    Raises:
        NotFoundError: there is no such limit.
    """
    with store.transaction() as transaction:
        if not transaction.delete_found(Query.of(LockLimit, key=key)):
            raise NotFoundError(
                f"There is no limit of workflows {about(key)}.", hint="See them all: tiphys queue limit list"
            )
