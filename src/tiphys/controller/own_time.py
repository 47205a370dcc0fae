"""The time of one workflow: the clock's, but it never goes back.

The engine counts by what its nodes say: if a clock that was put back by an hour were believed, a retry that is due in
ten seconds would wait for an hour, and a step could end before it began. A clock that is put forward is believed, as in
Argo: a machine that slept shows just that.
"""

from __future__ import annotations

from tiphys.ports.clock import Clock
from tiphys.ports.store import StoredWorkflow

#: Seconds by which a clock must differ from what is expected to count as put back: less is set right unnoticed.
NOTICED = 0.5


class OwnTime:
    """The time of one workflow.

    Args:
        clock: Time.
        latest: What the workflow has seen last; epoch seconds.
    """

    __slots__ = ("_clock", "_last", "_read_at", "ahead")

    def __init__(self, clock: Clock, latest: float = 0.0) -> None:
        self._clock = clock
        self._last = latest
        self._read_at = clock.elapsed()
        #: Seconds by which it is later than the clock.
        self.ahead = 0.0

    @classmethod
    def of(cls, stored: StoredWorkflow, clock: Clock) -> OwnTime:
        """That of a stored workflow, which may have been carried out by a machine whose clock is ahead."""
        latest = stored.state.started_at or 0.0
        for node in stored.nodes:
            latest = max(latest, node.started_at or 0.0, node.finished_at or 0.0)
        return cls(clock, latest)

    def now(self) -> float:
        """Epoch seconds."""
        now, elapsed = self._clock.now(), self._clock.elapsed()
        own = now if now >= self._last else self._last + (elapsed - self._read_at)
        self._last, self._read_at, self.ahead = own, elapsed, own - now
        return own


class ClockWatch:
    """Tells when the clock was put back.

    Args:
        clock: Time.
    """

    __slots__ = ("_clock", "_difference")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._difference = clock.now() - clock.elapsed()

    def put_back(self) -> float:
        """Seconds by which it was put back since the last look; 0 if it was not."""
        before, self._difference = self._difference, self._clock.now() - self._clock.elapsed()
        back = before - self._difference
        return back if back > NOTICED else 0.0
