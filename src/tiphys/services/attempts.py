"""Counts logins that failed, so that passwords cannot be tried out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tiphys.errors import TooManyAttemptsError

#: Seconds after which failures are forgotten.
WINDOW = 300.0
#: Failures of one name from one address, and of all names from it.
OF_ONE_NAME, OF_ALL_NAMES = 10, 50
#: Counters that are kept at most; the oldest goes first.
_KEPT = 20_000


@dataclass(slots=True)
class _Counter:
    began: float
    count: int = 0


class Attempts:
    """Attempts to log in, as this process saw them. Thread-safe.

    An attempt counts from its beginning, so that many at once are not all tried.

    Args:
        now: A clock that does not go back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, ...], _Counter] = {}

    def begin(self, name: str, address: str) -> None:
        """Count an attempt.

        Raises:
            TooManyAttemptsError: there were too many; this one is not to be tried.
        """
        with self._lock:
            found = [(self._counter(address, name), OF_ONE_NAME), (self._counter(address), OF_ALL_NAMES)]
            if any(counter.count >= limit for counter, limit in found):
                raise TooManyAttemptsError(
                    "Too many logins failed.", hint=f"Try again in {round(WINDOW / 60)} minutes, or use an API key."
                )
            for counter, _ in found:
                counter.count += 1

    def succeeded(self, name: str, address: str) -> None:
        """Forget what failed before for this name, and that this attempt was one."""
        with self._lock:
            self._counters.pop((address, name), None)
            self._counter(address).count -= 1

    def _counter(self, *key: str) -> _Counter:
        now = self._now()
        found = self._counters.get(key)
        if found is None or now - found.began > WINDOW:
            self._counters.pop(key, None)
            while len(self._counters) >= _KEPT:
                del self._counters[next(iter(self._counters))]
            found = self._counters[key] = _Counter(now)
        return found
