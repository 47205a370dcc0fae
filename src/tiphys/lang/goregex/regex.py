"""Compiled patterns and their matches, with the methods of Go's regexp.Regexp.

Positions are counted in characters (Go counts bytes).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tiphys.errors import ExpressionError
from tiphys.lang.goregex.parser import parse
from tiphys.lang.goregex.program import Program, Spans, assemble, run
from tiphys.lang.goregex.shortcut import shortcut

#: Characters that a replacement may produce.
MAX_RESULT = 10_000_000
_META = frozenset(r"\.+*?()|[]{}^$")
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<name>\w+)|\{(?P<braced>\w+)\})")


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a text where a pattern matches."""

    text: str
    #: Names of the groups, the whole first; empty for those without.
    names: tuple[str, ...]
    #: Begin and end of each group, the whole first; -1 where it took no part.
    spans: Spans

    @property
    def start(self) -> int:
        """Where the match begins."""
        return self.spans[0]

    @property
    def end(self) -> int:
        """Where the match ends."""
        return self.spans[1]

    def group(self, group: int | str = 0) -> str | None:
        """Text of a group, by number or name; None if it took no part.

        Raises:
            ExpressionError: the pattern has no such group.
        """
        number = group if isinstance(group, int) else self.names.index(group) if group in self.names else -1
        if not 0 <= number < len(self.names):
            raise ExpressionError(f"The regular expression has no group {group!r}.")
        begin, end = self.spans[2 * number : 2 * number + 2]
        return None if begin < 0 else self.text[begin:end]

    def groups(self) -> tuple[str | None, ...]:
        """Text of the groups, without the whole."""
        return tuple(self.group(number) for number in range(1, len(self.names)))

    def expand(self, template: str) -> str:
        """The template with `$1`, `$name`, `${name}` and `$$` replaced; unknown groups are empty.

        Raises:
            ExpressionError: the result could be longer than `MAX_RESULT`.
        """
        _check_size(len(template) + template.count("$") * (self.end - self.start))
        return _VARIABLE.sub(self._variable, template)

    def _variable(self, variable: re.Match[str]) -> str:
        if variable["dollar"]:
            return "$"
        name = variable["name"] or variable["braced"]
        if name.isascii() and name.isdigit():
            return (self.group(int(name)) or "") if len(name) < 9 and int(name) < len(self.names) else ""
        return (self.group(name) or "") if name in self.names else ""


def _check_size(size: int) -> None:
    if size > MAX_RESULT:
        raise ExpressionError(f"A replacement of a regular expression would give more than {MAX_RESULT} characters.")


class Regex:
    """A compiled pattern.

    Args:
        pattern: In RE2's syntax.
    """

    def __init__(self, pattern: str) -> None:
        parsed = parse(pattern)
        #: Names of the groups, the whole first; empty for those without.
        self.names = parsed.names
        self.pattern = pattern
        self._program: Program = assemble(parsed.tree, len(parsed.names))
        self._shortcut = shortcut(parsed.tree)

    def search(self, text: str, start: int = 0) -> Match | None:
        """The leftmost match that begins at `start` or later."""
        if self._shortcut is not None:
            match = self._shortcut.search(text, start)
            spans = None if match is None else tuple(bound for span in match.regs for bound in span)
        else:
            spans = run(self._program, text, start)
        return None if spans is None else Match(text, self.names, spans)

    def find_all(self, text: str, n: int = -1) -> list[Match]:
        """The matches that do not overlap, at most `n` (negative: all); no empty one right after another."""
        found: list[Match] = []
        position, last_end = 0, -1
        while len(found) != n and position <= len(text):
            match = self.search(text, position)
            if match is None:
                break
            if match.end > position or match.start != last_end:
                found.append(match)
            position = match.end if match.end > position else position + 1
            last_end = match.end
        return found

    def replace_all(self, text: str, template: str) -> str:
        """The text with each match replaced by the template (see `Match.expand`).

        Raises:
            ExpressionError: the result is longer than `MAX_RESULT`.
        """
        return self._replace(text, lambda match: match.expand(template))

    def replace_all_literal(self, text: str, replacement: str) -> str:
        """The text with each match replaced by the replacement as it is.

        Raises:
            ExpressionError: the result is longer than `MAX_RESULT`.
        """
        return self._replace(text, lambda _: replacement)

    def _replace(self, text: str, replacement: Callable[[Match], str]) -> str:
        pieces: list[str] = []
        position = last_end = 0
        size = len(text)
        while position <= len(text):
            match = self.search(text, position)
            if match is None:
                break
            pieces.append(text[last_end : match.start])
            if match.end > last_end or match.start == 0:
                pieces.append(replacement(match))
                size += len(pieces[-1])
                _check_size(size)
            last_end = match.end
            position = max(position + 1, match.end)
        return "".join(pieces) + text[last_end:]

    def split(self, text: str, n: int = -1) -> list[str]:
        """What stands between the matches; at most `n` pieces, the last being the rest (negative: all; 0: none)."""
        if n == 0:
            return []
        if self.pattern and not text:
            return [""]
        pieces: list[str] = []
        begin = end = 0
        for match in self.find_all(text, n):
            if len(pieces) == n - 1:
                break
            end = match.start
            if match.end:
                pieces.append(text[begin:end])
            begin = match.end
        return pieces if end == len(text) else [*pieces, text[begin:]]


@lru_cache(maxsize=512)
def compile_regex(pattern: str) -> Regex:
    """The compiled pattern.

    Raises:
        ExpressionError: it is not one, or it is too large; the message is Go's.
    """
    return Regex(pattern)


def quote_meta(text: str) -> str:
    """A pattern that matches the text as it is."""
    return "".join("\\" + char if char in _META else char for char in text)
