"""What is said of a failure that goes on."""

from __future__ import annotations

import logging

import pytest

from tiphys._util.outages import REMINDER, Outage


def test_a_failure_is_told_of_once_then_now_and_then_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    outage = Outage(logging.getLogger("tiphys.test"), "looking for events", lambda: now)
    outage.over()
    assert not caplog.messages
    for _ in range(5):
        outage.failed("refused")
        now += REMINDER / 10
    assert caplog.messages == ["looking for events failed; trying again until it works: refused"]
    now = 100.0 + REMINDER
    outage.failed("refused still")
    outage.failed("refused still")
    assert caplog.messages[1:] == ["looking for events has failed for 1 min: refused still"]
    now += 5
    outage.over()
    outage.over()
    assert caplog.messages[2:] == ["looking for events works again, after 1 min 5 s"]
    outage.failed("anew")
    assert caplog.messages[3:] == ["looking for events failed; trying again until it works: anew"]
