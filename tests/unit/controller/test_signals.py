"""Signals wait for the end of what they must not interrupt."""

from __future__ import annotations

import signal
import threading

import pytest

from tiphys.controller.signals import deferred_signals


def test_a_signal_is_heard_at_the_end() -> None:
    before = signal.getsignal(signal.SIGINT)
    done = []

    def interrupted() -> None:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_goes_on_when_no_signal_came() -> None:
    with pytest.raises(ValueError, match="own"), deferred_signals():
        raise ValueError("own")


def test_other_threads_change_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    found = []

    def look() -> None:
        with deferred_signals():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
