"""Guesses at what a name was meant to be."""

from __future__ import annotations

import pytest

from tiphys.spec.validate.guesses import closest, did_you_mean


@pytest.mark.parametrize(
    ("name", "candidates", "guess"),
    [
        ("retryStategy", ["retryStrategy", "retries"], "retryStrategy"),
        ("message", ["messages", "massage"], "messages"),
        ("x", ["retryStrategy"], None),
        ("image", [], None),
    ],
)
def test_the_nearest_name_is_found(name: str, candidates: list[str], guess: str | None) -> None:
    assert closest(name, candidates) == guess
    assert did_you_mean(name, candidates) == (f"; did you mean '{guess}'?" if guess else "")


def test_only_some_names_are_compared() -> None:
    assert closest("name", [*(f"xxx{number}" for number in range(1000)), "names"]) is None
