"""Whether those live who carry workflows out: seen on this machine, told by their leases on others.

A lease is renewed each second and holds for six, by the database's clock: the machines' own may show any time. Who
looks all the time trusts no clock at all (`Lapses`). A wrong answer does no harm beyond work that is done twice: nobody
commits for a workflow that is not its own (`fencing`).

Where the database is a file, all who use it are on one machine, and there are no leases.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tiphys.controller.owner import is_alive, is_here
from tiphys.ports.clock import Clock
from tiphys.ports.store import Lease, Store

#: Seconds that a lease holds, and between two renewals.
LEASE, BEAT = 6.0, 1.0
#: Seconds that what is known of leases is used.
_FRESH = 0.5


class Leases:
    """The leases of a store, for one process. Thread-safe.

    Args:
        store: The database.
        owner: This process.
        place: Machine and home of this process.
        clock: Time.
    """

    def __init__(self, store: Store, *, owner: str, place: str, clock: Clock) -> None:
        self._store = store
        self._owner = owner
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Lease] = {}
        self._read_at: float | None = None

    def is_alive(self, owner: str) -> bool:
        """Whether the process that `owner` names still works.

        One of this machine that is gone is seen at once; one that was stopped for longer than its lease does not work.
        """
        if not is_alive(owner):
            return False
        if owner == self._owner or not self._store.shared:
            return True
        lease = self._leases().get(owner)
        return is_here(owner) if lease is None else lease.holds

    def renew(self, *, serving: bool) -> None:
        """Let this process's lease hold from now on."""
        with self._store.transaction() as transaction:
            transaction.renew(self._owner, place=self._place, serving=serving, seconds=LEASE)

    def _leases(self) -> dict[str, Lease]:
        now = self._clock.elapsed()
        with self._lock:
            if self._read_at is not None and now - self._read_at < _FRESH:
                return self._known
        with self._store.reader() as reader:
            known = {lease.owner: lease for lease in reader.leases()}
        with self._lock:
            self._known, self._read_at = known, now
        return known


class Lapses:
    """Whose lease was not renewed while this process looked: counted in its own looks, so that no clock matters.

    An outage of the database, or a pause of this process, begins all counts anew: the others may have had it too.

    Args:
        patience: Seconds that an owner may go without a renewal.
        gap: Seconds without a look after which counting begins anew.
    """

    def __init__(self, patience: float = LEASE, gap: float = LEASE / 2) -> None:
        self._patience = patience
        self._gap = gap
        self._last: float | None = None
        #: Owner → its beat, and when that was seen first.
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, beats: Mapping[str, int], now: float) -> set[str]:
        """Those that have lapsed.

        Args:
            beats: The beats of all who have work; -1 for those without a lease.
            now: As `Clock.elapsed`.
        """
        if self._last is not None and now - self._last > self._gap:
            self._seen.clear()
        self._last = now
        seen = {}
        for owner, beat in beats.items():
            before = self._seen.get(owner)
            seen[owner] = before if before is not None and before[0] == beat else (beat, now)
        self._seen = seen
        return {owner for owner, (_, since) in seen.items() if now - since >= self._patience}

    def forget(self) -> None:
        """Begin anew: a look failed."""
        self._seen.clear()
