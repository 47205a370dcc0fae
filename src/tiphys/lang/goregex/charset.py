"""Sets of characters: ranges and Unicode categories, negated and folded over case."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

_LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a set: characters in `ranges` (bounds included) or in a general category, or all others."""

    ranges: Ranges = ()
    #: General categories ("Lu") and major classes ("L").
    categories: frozenset[str] = frozenset()
    negated: bool = False

    def without_negation(self) -> Item:
        """The part of which this one is the rest, or itself."""
        return Item(self.ranges, self.categories)

    def holds(self, char: str) -> bool:
        """Whether the character is in the part, negation left aside."""
        code = ord(char)
        if any(low <= code <= high for low, high in self.ranges):
            return True
        if not self.categories:
            return False
        category = unicodedata.category(char)
        return category in self.categories or category[0] in self.categories


def item(text: str, *, negated: bool = False) -> Item:
    """A part from pairs of bounds: "09az" is 0-9 and a-z."""
    return Item(tuple((ord(text[i]), ord(text[i + 1])) for i in range(0, len(text), 2)), negated=negated)


class CharSet(dict[str, bool]):
    """Whether a character belongs; each answer is worked out once, and then looked up.

    Args:
        items: The set is the union of its parts.
        negated: It is all the rest.
        folded: A character belongs if it does in any case; negation (of a part, or of the set) comes after.
    """

    def __init__(self, items: tuple[Item, ...], *, negated: bool = False, folded: bool = False) -> None:
        super().__init__()
        self._items = items
        self._negated = negated
        self._folded = folded

    def __missing__(self, char: str) -> bool:
        forms = orbit(char) if self._folded else (char,)
        answer = any(any(part.holds(form) for form in forms) != part.negated for part in self._items) != self._negated
        self[char] = answer
        return answer

    @property
    def only(self) -> str | None:
        """The one character of the set, if it is a plain letter of a pattern."""
        if self._negated or self._folded or len(self._items) != 1 or self._items[0].negated:
            return None
        ranges = self._items[0].ranges
        return chr(ranges[0][0]) if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None

    def as_ranges(self) -> Ranges | None:
        """The set as ranges; None where they are not at hand (categories, folding)."""
        if self._folded or any(part.categories for part in self._items):
            return None
        found: list[tuple[int, int]] = []
        for part in self._items:
            found.extend(_complement(part.ranges) if part.negated else part.ranges)
        return _complement(tuple(found)) if self._negated else tuple(found)


def _complement(ranges: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _LAST:
        found.append((start, _LAST))
    return tuple(found)


@lru_cache(maxsize=4096)
def orbit(char: str) -> tuple[str, ...]:
    """The character in all its cases, by Unicode's simple case folding."""
    if char.isascii() and char not in "kKsS":
        return (char, char.swapcase()) if char.isalpha() else (char,)
    return _orbits().get(char, (char,))


@lru_cache(maxsize=1)
def _orbits() -> dict[str, tuple[str, ...]]:
    """Characters that have another case, each with all its forms.

    Folding joins a character with its small and its capital form; the Turkish dotted capital and dotless small i stay
    alone.
    """
    forms: dict[str, set[str]] = defaultdict(set)
    for code in range(0x1E944):  # no cased characters beyond
        char = chr(code)
        for other in (char.lower(), char.upper()):
            if other == char or len(other) != 1 or code in (0x130, 0x131):
                continue
            joined = {char, other} | forms[char] | forms[other]
            for member in joined:
                forms[member] = joined
    return {char: tuple(sorted(members)) for char, members in forms.items() if members}
