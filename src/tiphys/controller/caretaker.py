"""What is done beside carrying workflows out: schedules, cleaning up. The host takes up what is nobody's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta

from tiphys._util.outages import Outage
from tiphys._util.zones import local_zone
from tiphys.controller.cleaning import Cleaner
from tiphys.controller.cron import CronScheduler
from tiphys.controller.owner import this_process
from tiphys.controller.retention import remove_what_is_not_kept
from tiphys.errors import StoreError, TiphysError
from tiphys.ports.clock import SystemClock
from tiphys.records.base import Query
from tiphys.records.workflows import UNFINISHED, WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.workflows.abandoned import abandoned, waiting

_log = logging.getLogger("tiphys.controller")

#: Seconds between looks at the schedules, and between the rounds of all else.
PAUSE, ROUND = 1.0, 10.0


class Caretaker:
    """Does the rounds.

    Args:
        backend: What it looks after.
        look_back: Times of schedules that came so shortly before the first look are dealt with, too.
    """

    def __init__(self, backend: LocalBackend, *, look_back: timedelta) -> None:
        clock = self._clock = SystemClock()
        self._backend = backend
        self._outage = Outage(_log, "looking at schedules and cleaning up")
        self._cleaner = Cleaner(backend, clock=clock)
        self._scheduler = CronScheduler(backend, self._cleaner, clock=clock, zone=local_zone(), look_back=look_back)

    def run(self, ending: threading.Event) -> None:
        """Do rounds until told to end."""
        self._backend.serve()
        rounds_every = round(ROUND / PAUSE)
        number = 0
        while not ending.is_set():
            self.look(everything=number % rounds_every == 0)
            number += 1
            ending.wait(PAUSE)

    def look(self, *, everything: bool) -> None:
        """Start what schedules ask for, and if told so all else; a database that fails is asked again next time."""
        try:
            self._scheduler.look()
            if everything:
                self._clean()
            self._outage.over()
        except StoreError as error:
            self._outage.failed(error.message)
        except OSError as error:
            self._outage.failed(str(error))

    def one_round(self) -> None:
        """Start what is due, wait for all that this process carries out, and clean up."""
        self._scheduler.look()
        self._take_up(self.abandoned())
        for row in self.carried():
            self._backend.workflows.in_namespace(row.workspace).wait(row.name)
        self._scheduler.synchronize()
        self._clean()

    def _clean(self) -> None:
        self._cleaner.clean()
        remove_what_is_not_kept(self._backend, self._cleaner, self._clock)

    def carried(self) -> list[WorkflowSummary]:
        """Unfinished workflows of this process."""
        return self._backend.find(Query.of(WorkflowSummary, finished_at=None, owner=this_process()))

    def abandoned(self) -> list[WorkflowSummary]:
        """Unfinished workflows that wait or that nobody carries out; not pipelines, which their next call takes up."""
        with self._backend.store.reader() as reader:
            unfinished = reader.find(Query.of(WorkflowSummary, phase=UNFINISHED, order="id"))
            waits = waiting(reader, unfinished)
            found = {row.id for row in abandoned(reader, unfinished, self._backend.is_alive)}
            return [row for row in unfinished if row.id in found or row.id in waits]

    def _take_up(self, rows: Sequence[WorkflowSummary]) -> None:
        """Carry abandoned workflows on, until they have ended."""
        for row in rows:
            _log.info("workflow %s/%s: taking it up, as nobody carries it out", row.workspace, row.name)
        try:
            self._backend.workflows.carry_out([row.id for row in rows], lambda: None)
        except TiphysError as error:
            _log.error("%s", error)
