"""Times and durations as `argo` prints them (values of its util/humanize tests and of go-humanize's)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tiphys.cli.argo import humanize

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture(autouse=True)
def _now(monkeypatch):
    monkeypatch.setattr(humanize, "utc_now", lambda: NOW)


def after(seconds):
    return (NOW + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (MINUTE + 5, "1 minute 5 seconds"),
        (59 * MINUTE, "59 minutes 0 seconds"),
        (HOUR + 5 * MINUTE, "1 hour 5 minutes"),
        (23 * HOUR + 59 * MINUTE, "23 hours 59 minutes"),
        (DAY + 2 * HOUR, "1 day 2 hours"),
        (8 * DAY, "1 week 0 hours"),
        (70 * DAY, "2 months 0 hours"),
        (400 * DAY, "1 year 0 hours"),
        (800 * DAY, "2 years 0 hours"),
    ],
)
def test_durations(seconds, text):
    assert humanize.duration(after(0), after(seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1, "1s"), (59, "59s"), (60, "1m"), (7199, "1h"), (DAY - 1, "23h"), (DAY, "1d"), (40 * DAY, "40d")],
)
def test_short_durations(seconds, text):
    assert humanize.short_duration(after(0), after(seconds)) == text


def test_without_an_end_a_duration_lasts_until_now():
    assert humanize.duration(after(-90), None) == "1 minute 30 seconds"
    assert humanize.short_duration(after(-90)) == "1m"
    assert humanize.short_duration(None) == "0s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (-3 * MINUTE, "3 minutes ago"), (2 * HOUR, "2 hours from now"), (-1, "1 second ago")],
)
def test_moments(seconds, text):
    shown = humanize.timestamp(after(seconds))
    assert shown.endswith(f" ({text})")
    assert datetime.strptime(shown.partition(" (")[0], "%a %b %d %H:%M:%S %z").month == 1
