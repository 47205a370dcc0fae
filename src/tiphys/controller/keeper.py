"""Keeps this process's lease, and finds work for it: what dead processes left, and what waits in the queue.

One thread that looks each second. It claims, and the controller carries out. Where several processes serve, each takes
its share of what a dead one left; what is left over at the next look, anybody takes.

It also finds what is this process's and was never begun: whoever stored or claimed it was told that the transaction had
failed, as the connection was lost before the database's answer came.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from tiphys._util.outages import Outage
from tiphys.controller.leases import BEAT, Lapses, Leases
from tiphys.controller.owner import is_alive, is_here
from tiphys.controller.queue import claim, give_back, limits_of
from tiphys.errors import StoreError, TiphysError
from tiphys.ports.clock import Clock
from tiphys.ports.store import Lease, Store
from tiphys.records.base import Query, Where
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.workflows import UNFINISHED, WorkflowSummary
from tiphys.services.workflows.abandoned import abandoned

_log = logging.getLogger("tiphys.controller")

#: Seconds between looks for workflows that have no owner though nobody gave them back: who was to take them died first.
ROUND = 10.0
#: Seconds between two looks at least, however many workflows end.
_LEAST = 0.05
#: Seconds that a thread has to end in.
_PATIENCE = 5.0


class Keeper:
    """Looks after the lease of a process, and after workflows that are nobody's.

    Args:
        store: The database.
        leases: Who lives.
        owner: This process.
        clock: Time.
        start: Carries a workflow out that this process has claimed.
        carried: Which it carries out.
    """

    def __init__(
        self,
        store: Store,
        leases: Leases,
        *,
        owner: str,
        clock: Clock,
        start: Callable[[str], None],
        carried: Callable[[], Collection[str]],
    ) -> None:
        self._store = store
        self._leases = leases
        self._owner = owner
        self._clock = clock
        self._start = start
        self._carried = carried
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._serving = False
        self._retired = False
        self._lapses = Lapses()
        self._outage = Outage(_log, "looking for workflows")
        #: Owners of whom something was left over at the last look.
        self._left_over: set[str] = set()
        #: Workflows of this process that it did not carry out at the last look: somebody may be about to begin them.
        self._not_begun: set[str] = set()
        self._next_round = 0.0
        self._next_beat = 0.0
        #: Workflows of the queue that this process would carry out though it does not serve.
        self._expected: set[str] = set()
        #: Whether something waited in the queue at the last look.
        self._queue_waits = False
        #: What the queue was like when nobody's turn had come, and until when that is taken to be so.
        self._nobodys: tuple[object, float] = (None, 0.0)
        #: How many processes take up what is nobody's.
        self._serving_count = 1
        self._wake = threading.Event()

    def begin(self) -> None:
        """Have a lease from now on, where leases are needed; if the database is away, as soon as it is there."""
        with self._lock:
            if self._thread is not None or self._ending.is_set():
                return
            if self._store.shared:
                with suppress(StoreError):
                    self._leases.renew(serving=self._serving)
            self._thread = threading.Thread(target=self._run, name="tiphys-keeper", daemon=True)
            self._thread.start()

    def serve(self) -> None:
        """Carry out what nobody carries out, too."""
        self._serving = True
        self.begin()

    def expect(self, uid: str) -> None:
        """Carry a workflow of the queue out when its turn comes."""
        with self._lock:
            self._expected.add(uid)
        self.begin()
        self._wake.set()

    def look_soon(self) -> None:
        """A workflow has ended: it may be another one's turn."""
        if self._queue_waits:
            self._wake.set()

    def retire(self) -> None:
        """Claim nothing more; the lease goes on."""
        self._retired = True

    def close(self) -> None:
        """Give back what was not finished, at once, and the lease."""
        self._ending.set()
        self._wake.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(_PATIENCE)
        if not self._store.shared:
            return
        try:
            with self._store.transaction() as transaction:
                uids = transaction.owned(self._owner)
                rows = transaction.find(Query.of(WorkflowSummary, id=sorted(uids)))
                give_back(transaction, self._owner, [row.id for row in abandoned(transaction, rows, lambda _: False)])
                transaction.end_leases([self._owner])
        except TiphysError as error:
            _log.warning("workflows could not be given back, so others take them up later: %s", error.message)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if self._clock.elapsed() >= self._next_beat:
                    self._next_beat = self._clock.elapsed() + BEAT
                    self._beat()
                self._take_turns()
                self._outage.over()
            except TiphysError as error:
                self._lapses.forget()
                self._outage.failed(error.message)
            except Exception:  # noqa: BLE001  told of, and tried again
                # Without this thread others would take this process for dead.
                self._lapses.forget()
                _log.exception("looking for workflows failed; looking again later")
            self._wake.wait(max(_LEAST, self._next_beat - self._clock.elapsed()))
            self._wake.clear()
            self._ending.wait(_LEAST)

    def _beat(self) -> None:
        if self._store.shared:
            self._leases.renew(serving=self._serving)
        if self._serving and not self._retired:
            self._take_up()

    def _take_turns(self) -> None:
        """Start those of the queue whose turn has come."""
        with self._lock:
            expected = frozenset(self._expected)
        if self._retired or not (self._serving or expected):
            return
        with self._store.reader() as reader:
            waiting = reader.count(Query.of(QueuedWorkflow))
            self._queue_waits = waiting > 0
            if not waiting:
                with self._lock:
                    self._expected -= expected
                return
            running = reader.count(Query(WorkflowSummary, (Where("owner", "", "gt"),)))
            likeness = (waiting, running, limits_of(reader), expected)
        before, until = self._nobodys
        if before == likeness and self._clock.elapsed() < until:
            return
        with self._store.transaction() as transaction:
            only = None if self._serving else expected
            taken = claim(transaction, self._owner, only=only, of=self._serving_count)
        self._nobodys = (None if taken else likeness, self._clock.elapsed() + ROUND)
        for each in taken:
            self._start(each.workflow_uid)
        with self._lock:
            self._expected -= {each.workflow_uid for each in taken}

    def _take_up(self) -> None:
        """Claim what dead processes left, and start it."""
        with self._store.reader() as reader:
            leases = reader.leases()
            not_begun = reader.owned(self._owner).difference(self._carried())
            owners = reader.owners() - {self._owner}
            dead = self._dead(owners, leases)
            rows = reader.find(Query.of(WorkflowSummary, owner=sorted(dead), order="id")) if dead else []
            if self._clock.elapsed() >= self._next_round:
                self._next_round = self._clock.elapsed() + ROUND
                rows += reader.find(Query.of(WorkflowSummary, phase=UNFINISHED, owner="", order="id"))
            found = abandoned(reader, rows, lambda owner: owner != "" and owner not in dead)
        serving = {self._owner, *(lease.owner for lease in leases if lease.serving and lease.holds)}
        self._serving_count = len(serving)
        mine = share(found, sorted(serving), self._owner, left_over=self._left_over)
        self._left_over = {row.owner for row in found} if len(mine) < len(found) else set()
        for row in self._claim(mine):
            _log.info("workflow %s/%s: taking it up, as nobody carries it out", row.workspace, row.name)
            self._start(row.id)
        for uid in self._not_begun & not_begun:
            _log.info("workflow %s: beginning with it, as nobody did who should have", uid)
            self._start(uid)
        self._not_begun = not_begun
        stale = [lease.owner for lease in leases if not lease.holds and lease.owner not in owners]
        if stale:
            with self._store.transaction() as transaction:
                transaction.end_leases(stale)

    def _dead(self, owners: Iterable[str], leases: Sequence[Lease]) -> set[str]:
        """Those of some owners that do not work any more."""
        gone = {owner for owner in owners if not is_alive(owner)}
        if self._store.shared:
            beats = {lease.owner: lease.beat for lease in leases}
            # One that is seen and has no lease does without.
            told = {owner: beats.get(owner, -1) for owner in owners if owner in beats or not is_here(owner)}
            gone |= self._lapses.look(told, self._clock.elapsed())
        return gone

    def _claim(self, rows: Sequence[WorkflowSummary]) -> list[WorkflowSummary]:
        if not rows:
            return []
        with self._store.transaction() as transaction:
            return [row for row in rows if transaction.claim(row.id, self._owner, expected=row.owner)]


def share(
    rows: Sequence[WorkflowSummary], serving: Sequence[str], owner: str, *, left_over: Collection[str] = ()
) -> list[WorkflowSummary]:
    """Those of some workflows that one of several processes is to take.

    Args:
        rows: Workflows, in an order that is the same for all.
        serving: All processes that take some, in order.
        owner: One of them.
        left_over: Owners whose workflows anybody takes: they were shared out before, and somebody did not take some.
    """
    mine = serving.index(owner)
    return [row for number, row in enumerate(rows) if number % len(serving) == mine or row.owner in left_over]
