"""What arguments a built-in function takes: checked before evaluation by kind, and again with the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: Arguments that are accepted where a kind is asked for; "any" takes all.
_ACCEPTED = {"number": ("int", "float"), "array": ("array", "bytes")}


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a function."""

    #: For each argument the kinds that it may have.
    parameters: tuple[frozenset[str], ...]
    #: Whether the last parameter may be given any number of times, at least once.
    repeated: bool
    #: Kind of the result; "any" if it is not known.
    result: str

    def takes(self, count: int) -> bool:
        """Whether so many arguments may be given."""
        return count >= len(self.parameters) if self.repeated else count == len(self.parameters)

    def misfit(self, kinds: Sequence[str]) -> int | None:
        """Index of the first argument that does not fit; None if all do. "any" as a kind is one not known yet."""
        for index, kind in enumerate(kinds):
            wanted = self.parameters[min(index, len(self.parameters) - 1)]
            if kind != "any" and kind not in wanted and "any" not in wanted:
                return index
        return None


def read_signature(text: str) -> Signature:
    """Read `string int|float -> array`; `...` after a parameter lets it repeat."""
    left, _, result = text.partition("->")
    words = left.split()
    repeated = bool(words) and words[-1].endswith("...")
    parameters = tuple(
        frozenset(kind for name in word.removesuffix("...").split("|") for kind in _ACCEPTED.get(name, (name,)))
        for word in words
    )
    return Signature(parameters, repeated, result.strip())


@dataclass(frozen=True, slots=True, init=False)
class Function:
    """A built-in function.

    Args:
        call: Takes the run and the arguments.
        signatures: The ways to call it, as `read_signature` reads them.
    """

    call: Callable[..., Any]
    signatures: tuple[Signature, ...]

    def __init__(self, call: Callable[..., Any], *signatures: str) -> None:
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "signatures", tuple(map(read_signature, signatures)))

    def problem(self, name: str, kinds: Sequence[str]) -> tuple[str, int | None] | None:
        """Why it cannot be called with arguments of these kinds, and which one is wrong; None if it can."""
        fitting = [signature for signature in self.signatures if signature.takes(len(kinds))]
        if not fitting:
            counts = sorted({len(signature.parameters) for signature in self.signatures})
            least = "at least " if any(signature.repeated for signature in self.signatures) else ""
            expected = least + " or ".join(map(str, counts))
            return f"invalid number of arguments for {name} (expected {expected}, got {len(kinds)})", None
        misfit = 0
        for signature in fitting:
            place = signature.misfit(kinds)
            if place is None:
                return None
            misfit = max(misfit, place)
        wanted = sorted(set().union(*(s.parameters[min(misfit, len(s.parameters) - 1)] for s in fitting)))
        return f"cannot use {kinds[misfit]} as argument (type {' or '.join(wanted)}) to call {name}", misfit

    def result(self, kinds: Sequence[str]) -> str:
        """Kind of the result."""
        for signature in self.signatures:
            if signature.takes(len(kinds)) and signature.misfit(kinds) is None:
                return signature.result
        return "any"
