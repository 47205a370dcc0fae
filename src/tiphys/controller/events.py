"""Carries events out and posts news as long as a server runs, in threads of their own: no workflow waits for them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from tiphys._util.outages import Outage
from tiphys.controller.owner import is_alive, this_process
from tiphys.controller.posting import post
from tiphys.errors import StoreError
from tiphys.ports.clock import SystemClock
from tiphys.services.backend import LocalBackend
from tiphys.services.events.delivery import Deliverer
from tiphys.services.events.dispatch import Dispatcher

_log = logging.getLogger("tiphys.controller.events")

#: Seconds between looks for events, and between the rounds of all else.
PAUSE, ROUND = 0.25, 10.0
#: Receivers that are posted to at the same time.
POSTERS = 4


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
        outage = Outage(_log, "looking for events")
        while not ending.is_set():
            try:
                if number % rounds_every == 0:
                    self._dispatcher.clean()
                while self._dispatcher.dispatch() and not ending.is_set():
                    pass
                outage.over()
            except StoreError as error:
                outage.failed(error.message)
            number += 1
            ending.wait(PAUSE)


class Courier:
    """Posts news to those who subscribed to them; a slow receiver keeps nobody else waiting, but a few more would.

    Args:
        backend: Where the news are.
        private: Whether they may be posted to this machine, or to a private network.
    """

    def __init__(self, backend: LocalBackend, *, private: bool = False) -> None:
        self._deliverer = Deliverer(
            backend.store,
            clock=SystemClock(),
            post=partial(post, private=private),
            owner=this_process(),
            is_alive=is_alive,
        )

    def run(self, ending: threading.Event) -> None:
        """Post until told to end; a database that fails is asked again."""
        rounds_every = round(ROUND / PAUSE)
        number = 0
        busy: dict[str, Future[int]] = {}
        outage = Outage(_log, "posting news")
        with ThreadPoolExecutor(POSTERS, "tiphys-courier") as pool:
            while not ending.is_set():
                busy = {key: one for key, one in busy.items() if not _is_done(one)}
                try:
                    if number % rounds_every == 0:
                        self._deliverer.clean()
                    for subscription in self._deliverer.due():
                        if subscription.id not in busy:
                            busy[subscription.id] = pool.submit(self._deliverer.deliver, subscription, ending.is_set)
                    outage.over()
                except StoreError as error:
                    outage.failed(error.message)
                number += 1
                ending.wait(PAUSE)


def _is_done(posting: Future[int]) -> bool:
    if not posting.done():
        return False
    failure = posting.exception()
    if failure is not None:
        _log.error("posting news failed: %s", failure, exc_info=failure)
    return True
