"""A bounded number of threads that do what is due: at once, or after a pause in which none of them waits for it."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count


class Workers:
    """Daemon threads, made as needed: what one of them is stuck in does not keep the process alive.

    Args:
        most: How many.
        name: Beginning of their names.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._changed = threading.Condition()
        #: (when it is due by the monotonic clock, order, work), the earliest first.
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._threads = 0
        #: Threads that wait, or are about to.
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[[], None], *, after: float = 0.0) -> None:
        """Have `work`, which raises nothing, called by a thread `after` seconds; ignored once this is closed."""
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._queue, (time.monotonic() + after, next(self._numbers), work))
            self._have_a_thread()
            self._changed.notify()

    def close(self) -> None:
        """Forget what is not begun, and let the threads end."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    def _have_a_thread(self) -> None:
        """See that somebody looks after what is next; the lock is held."""
        if self._queue and not self._idle and self._threads < self._most:
            self._threads += 1
            self._idle += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _serve(self) -> None:
        """A thread's life."""
        while (work := self._next()) is not None:
            work()
            with self._changed:
                self._idle += 1

    def _next(self) -> Callable[[], None] | None:
        """What is due; None at the end."""
        with self._changed:
            while not self._closed:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    break
                self._changed.wait(wait)
            self._idle -= 1
            if self._closed:
                return None
            _, _, work = heapq.heappop(self._queue)
            self._have_a_thread()
            return work
