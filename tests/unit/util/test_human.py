"""How durations, ages and sizes are written."""

from __future__ import annotations

import pytest

from tiphys._util.human import age, duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "<1 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.9, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "now"), (12.7, "12 s"), (119, "1 min"), (7200, "2 h"), (20 * 86400, "20 d"), (-3, "now")],
)
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1200, "1.2 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (3.4e9, "3.4 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(int(count)) == text
