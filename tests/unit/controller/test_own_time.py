"""A workflow's time never goes back, and timers do not wait for a clock that was put back."""

from __future__ import annotations

from tiphys.controller.own_time import ClockWatch, OwnTime
from tiphys.controller.timers import Timers
from tiphys.ports.clock import Clock


class Hands(Clock):
    """A clock that a test sets, beside the time that really passes."""

    shown, passed = 1000.0, 0.0

    def now(self) -> float:
        return self.shown

    def elapsed(self) -> float:
        return self.passed

    def go_on(self, seconds: float, *, jump: float = 0.0) -> None:
        self.passed += seconds
        self.shown += seconds + jump


def test_a_clock_that_is_put_back_is_not_believed() -> None:
    clock = Hands()
    time = OwnTime(clock)
    assert time.now() == 1000
    clock.go_on(5, jump=-600)
    assert (time.now(), time.ahead) == (1005, 600)
    clock.go_on(10)
    assert (time.now(), time.ahead) == (1015, 600)
    clock.go_on(1, jump=600)
    assert (time.now(), time.ahead) == (1016, 0)


def test_a_clock_that_is_put_forward_is_believed() -> None:
    clock = Hands()
    time = OwnTime(clock)
    clock.go_on(5, jump=3600)
    assert (time.now(), time.ahead) == (4605, 0)


def test_it_goes_on_where_another_machine_was() -> None:
    clock = Hands()
    time = OwnTime(clock, latest=2000)
    clock.go_on(5)
    assert (time.now(), time.ahead) == (2005, 1000)


def test_what_was_put_back_is_told_once() -> None:
    clock = Hands()
    watch = ClockWatch(clock)
    clock.go_on(1000)
    assert watch.put_back() == 0
    clock.go_on(5, jump=-60)
    assert watch.put_back() == 60
    clock.go_on(5, jump=-0.1)
    assert watch.put_back() == 0
    clock.go_on(5, jump=60)
    assert watch.put_back() == 0


def test_timers_are_brought_forward() -> None:
    timers = Timers()
    timers.set(1010, "w", "b")
    timers.set(1005, "w", "a")
    timers.bring_forward(600)
    assert timers.next_due() == 405
    assert timers.take_due(410) == [("w", "a"), ("w", "b")]
