"""Port: time. The engine and the controller know no other."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """Where time comes from."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the epoch."""


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()
