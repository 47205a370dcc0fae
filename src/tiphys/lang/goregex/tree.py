"""What a pattern says, as a tree."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.lang.goregex.charset import CharSet


@dataclass(frozen=True, slots=True)
class Char:
    """One character of a set."""

    chars: CharSet


@dataclass(frozen=True, slots=True)
class Assertion:
    r"""A place: `\A`, `\z`, `^` and `$` (of a line), `\b` or `\B`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after the other; without parts it is empty text."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives; the first that leads to a match is taken."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part `low` to `high` times (None: without end), as often as possible if `greedy`."""

    part: Node
    low: int
    high: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A part whose place is reported; the whole match is group 0, so numbers start at 1."""

    part: Node
    number: int


Node = Char | Assertion | Sequence | Choice | Repeat | Group
