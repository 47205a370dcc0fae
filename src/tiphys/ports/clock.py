"""Port: time. The engine and the controller know no other."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """Where time comes from."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the epoch."""

    def elapsed(self) -> float:
        """Seconds since some moment: unlike `now`, it never jumps."""
        return time.monotonic()


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()
