"""The thread that empties lanes and writes live files, for as long as there are steps that print."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Protocol

#: Seconds between two looks (one may take half a millisecond from other threads), and after which the thread ends if it
#: has nothing to do.
TICK, IDLE = 0.25, 5.0

_log = logging.getLogger(__name__)


class Written(Protocol):
    """What the thread looks after."""

    def empty_lanes(self) -> None:
        """Keep what is in lanes, so that it does not wait for more."""

    def tick(self) -> None:
        """Write out what is due."""

    def forget(self) -> None:
        """In a forked child: nothing here is written by it."""


_active: set[Written] = set()
_thread: threading.Thread | None = None
_lock = threading.Lock()
_wake = threading.Event()
_start = threading.Thread.start

#: Have the thread look now.
wake = _wake.set


def follow(written: Written) -> None:
    """Look after this one, too."""
    global _thread
    _active.add(written)
    if _thread is None:
        with _lock:
            if _thread is None:
                _thread = threading.Thread(target=_run, name="tiphys-logs", daemon=True)
                _start(_thread)


def leave(written: Written) -> None:
    """Look after this one no more."""
    _active.discard(written)


def _run() -> None:
    global _thread
    idle_since = time.monotonic()
    broken: set[Written] = set()
    while True:
        _wake.wait(TICK)
        _wake.clear()
        for each in list(_active):
            idle_since = time.monotonic()
            # A stream that cannot be written to says so to the step itself, with the next that it prints.
            with contextlib.suppress(OSError, ValueError):
                each.empty_lanes()
            if each in broken:
                continue
            try:
                each.tick()
            except OSError as error:
                broken.add(each)
                _log.warning("A step's live log cannot be written: %s", error)
        broken &= _active
        if time.monotonic() - idle_since > IDLE:
            with _lock:
                _thread = None
                if not _active:
                    return
                _thread = threading.current_thread()


def after_fork() -> None:
    """In the child: the thread is the parent's, and so is all that it looks after."""
    global _thread, _lock
    _thread, _lock = None, threading.Lock()
    for each in _active:
        each.forget()
    _active.clear()
