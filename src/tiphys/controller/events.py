"""Carries events out as long as a server runs, in a thread of its own: nobody's workflow waits for them."""

from __future__ import annotations

import logging
import threading

from tiphys.controller.owner import is_alive, this_process
from tiphys.errors import StoreError
from tiphys.ports.clock import SystemClock
from tiphys.services.backend import LocalBackend
from tiphys.services.events.dispatch import Dispatcher

_log = logging.getLogger("tiphys.controller.events")

#: Seconds between looks for events, and between the rounds of all else.
PAUSE, ROUND = 0.25, 10.0


class EventDesk:
    """Looks for events that came in.

    Args:
        backend: Where they are.
        runner: What carries submitted workflows out; None for the default.
    """

    def __init__(self, backend: LocalBackend, *, runner: str | None = None) -> None:
        self._dispatcher = Dispatcher(
            backend.store,
            backend.workflows,
            clock=SystemClock(),
            owner=this_process(),
            is_alive=is_alive,
            runner=runner,
        )

    def run(self, ending: threading.Event) -> None:
        """Carry events out until told to end; a database that fails is asked again."""
        rounds_every = round(ROUND / PAUSE)
        number = 0
        while not ending.is_set():
            try:
                if number % rounds_every == 0:
                    self._dispatcher.clean()
                while self._dispatcher.dispatch() and not ending.is_set():
                    pass
            except StoreError as error:
                _log.warning("the metadata store failed; looking for events again later: %s", error.message)
            number += 1
            ending.wait(PAUSE)
