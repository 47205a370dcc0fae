"""Port: a runner that can use the threads of those who wait for a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Lender(Protocol):
    """A runner that can use a waiting thread."""

    def work(self, until: Callable[[], bool]) -> None:
        """Carry out tasks in the calling thread until told to stop."""

    def wake(self) -> None:
        """Have lent threads look at their `until` again."""

    def is_free(self) -> bool:
        """Whether the calling thread carries out no task: nobody interrupts it."""
