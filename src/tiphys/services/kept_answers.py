"""What was answered to writes, for a client that lost the answer and asks again: of any server on the database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from tiphys._util.canonical import canonical_json
from tiphys._util.times import utc_now
from tiphys.errors import AlreadyExistsError
from tiphys.ports.store import Store
from tiphys.records.base import Query, Where
from tiphys.records.servers import KeptAnswer

#: How long an answer is kept; clients ask again for ten minutes.
_KEPT = timedelta(days=1)
#: Seconds between looks for older ones.
_ROUND = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    media_type: str
    body: str


class KeptAnswers:
    """Answers in the database.

    Args:
        store: The database.
        now: Seconds, from any beginning.
    """

    def __init__(self, store: Store, *, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._cleans_at = now()

    def find(self, name: Sequence[str]) -> Answer | None:
        """What was answered to the write of that name.

        Args:
            name: All that tells it from others, also who made it; a digest of it is stored.
        """
        with self._store.reader() as reader:
            found = reader.get(KeptAnswer, _id_of(name))
        return None if found is None else Answer(found.status, found.media_type, found.body)

    def keep(self, name: Sequence[str], answer: Answer) -> None:
        """Keep an answer for a day."""
        now = utc_now()
        fresh = KeptAnswer(
            id=_id_of(name), status=answer.status, media_type=answer.media_type, body=answer.body, created_at=now
        )
        # The server that the request was handed on to may have kept the same one.
        with suppress(AlreadyExistsError), self._store.transaction() as transaction:
            transaction.add(fresh)
        if self._now() >= self._cleans_at:
            self._cleans_at = self._now() + _ROUND
            with self._store.transaction() as transaction:
                transaction.delete_found(Query(KeptAnswer, (Where("created_at", now - _KEPT, "lt"),)))


def _id_of(name: Sequence[str]) -> str:
    return hashlib.sha256(canonical_json(list(name)).encode()).hexdigest()
