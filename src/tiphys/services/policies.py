"""What an administrator lays down for all workspaces, as it stands in the database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace

from tiphys._util.ids import new_id
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.policies import NotKept, Policies
from tiphys.ports.store import Store
from tiphys.records.base import Query, Where
from tiphys.records.queue import PREFIX, about, is_limit_key
from tiphys.records.retention import Retention
from tiphys.records.synchronization import LockLimit
from tiphys.services.retention import beyond, outlived, retention, set_retention

#: A thousand years in seconds, which a date can be put back by; more workflows than there will be.
_MOST = 1000 * 365 * 86400
_RULES = tuple(field.name for field in fields(Retention))


class PolicyService(Policies):
    """Limits of the queue, and rules of retention.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def queue_limits(self) -> list[LockLimit]:
        """All limits of the queue, by key."""
        with self._store.reader() as reader:
            return reader.find(Query(LockLimit, (Where("key", PREFIX, "prefix"),), order="key"))

    def set_queue_limit(self, key: str, limit: int) -> None:
        """Let at most so many workflows run at once."""
        if not is_limit_key(key):
            raise UsageError(
                f"'{key}' is no limit of the queue.",
                hint="queue/all, queue/workspace/NAME, queue/pipeline/WORKSPACE/NAME or queue/label/KEY=VALUE",
            )
        _expect_count(key, limit)
        with self._store.transaction() as transaction:
            transaction.put(LockLimit(id=new_id(), key=key, limit_count=limit), "key")

    def delete_queue_limit(self, key: str) -> None:
        """Let any number run."""
        with self._store.transaction() as transaction:
            if not is_limit_key(key) or not transaction.delete_found(Query.of(LockLimit, key=key)):
                raise NotFoundError(
                    f"There is no limit of workflows {about(key)}.", hint="See them all: tiphys queue limit list"
                )

    def retention(self) -> Retention:
        """The rules by which ended workflows are kept."""
        with self._store.reader() as reader:
            return retention(reader)

    def change_retention(self, changes: Mapping[str, int | None]) -> Retention:
        """Change rules."""
        with self._store.transaction() as transaction:
            rules = _changed(retention(transaction), changes)
            set_retention(transaction, rules)
        return rules

    def not_kept(self, changes: Mapping[str, int | None]) -> NotKept:
        """What would go if the rules were changed so."""
        with self._store.reader() as reader:
            rules = _changed(retention(reader), changes)
            listed, archived = beyond(reader, rules), outlived(reader, rules, time.time())
        return NotKept(
            listed=[f"{row.workspace}/{row.name}" for row in listed],
            archived=[f"{row.workspace}/{row.name}" for row in archived],
        )


def _changed(rules: Retention, changes: Mapping[str, int | None]) -> Retention:
    for name, value in changes.items():
        if name not in _RULES:
            raise UsageError(f"There is no rule '{name}' of retention.", hint=f"There are {', '.join(_RULES)}.")
        if value is not None:
            _expect_count(name, value)
    return replace(rules, **changes)


def _expect_count(what: str, value: int) -> None:
    if not 0 <= value <= _MOST:
        raise UsageError(f"{what}: {value} is no number of workflows or seconds.", hint=f"From 0 to {_MOST}.")
