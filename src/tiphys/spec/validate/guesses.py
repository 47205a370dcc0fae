"""What a misspelt name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

#: How many names are compared, and how much longer or shorter they may be, so that guessing costs little.
_MOST = 100
_SLACK = 4


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The most similar of the candidates; None if none is near."""
    near = (candidate for candidate in candidates if abs(len(candidate) - len(name)) <= _SLACK)
    found = difflib.get_close_matches(name, list(islice(near, _MOST)), 1, 0.7)
    return found[0] if found else None


def did_you_mean(name: str, candidates: Iterable[str], *, separator: str = "; ") -> str:
    """A guess to append to a message; empty without one."""
    guess = closest(name, candidates)
    return f"{separator}did you mean '{guess}'?" if guess else ""
