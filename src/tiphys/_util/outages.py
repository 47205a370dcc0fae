"""A failure that goes on is told of when it begins, now and then, and when it is over: not at each new attempt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tiphys._util.human import duration

#: Seconds until a failure that goes on is told of again.
REMINDER = 60.0


class Outage:
    """What one thread, which tries again and again, says of its failures.

    Args:
        log: Where to.
        doing: What it tries, for the reader: "looking for events".
        elapsed: A clock that only goes forward, in seconds.
    """

    def __init__(self, log: logging.Logger, doing: str, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._doing = doing
        self._elapsed = elapsed
        self._since: float | None = None
        self._remind_at = 0.0

    def failed(self, why: str) -> None:
        """An attempt failed."""
        now = self._elapsed()
        if self._since is None:
            self._since = now
            self._log.warning("%s failed; trying again until it works: %s", self._doing, why)
        elif now >= self._remind_at:
            self._log.warning("%s has failed for %s: %s", self._doing, duration(now - self._since), why)
        else:
            return
        self._remind_at = now + REMINDER

    def over(self) -> None:
        """An attempt worked."""
        if self._since is not None:
            self._log.warning("%s works again, after %s", self._doing, duration(self._elapsed() - self._since))
            self._since = None
