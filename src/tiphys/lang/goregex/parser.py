"""Pattern → tree, in the syntax of Go's regexp/syntax with its Perl flags, and with its messages.

Groups nest at most 50 deep (Go: 1000), so that no recursion runs out. Of Unicode's classes the general categories are
known, scripts are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from tiphys.errors import ExpressionError
from tiphys.lang.goregex.charset import CharSet, Item, item
from tiphys.lang.goregex.tree import Assertion, Char, Choice, Group, Node, Repeat, Sequence

MAX_REPEAT = 1000
_MAX_DEPTH = 50

_DIGIT, _SPACE, _WORD = "09", "\t\n\f\r  ", "09AZ__az"
_PERL = {
    "d": item(_DIGIT), "D": item(_DIGIT, negated=True),
    "s": item(_SPACE), "S": item(_SPACE, negated=True),
    "w": item(_WORD), "W": item(_WORD, negated=True),
}  # fmt: skip
_POSIX = {
    "alnum": "09AZaz", "alpha": "AZaz", "ascii": "\x00\x7f", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f",
    "digit": "09", "graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ",
    "word": "09AZ__az", "xdigit": "09AFaf",
}  # fmt: skip
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
#: Major classes, and the categories of two letters.
_CATEGORIES = frozenset("CLMNPSZ") | frozenset(
    re.findall("..", "CcCfCoCsLlLmLoLtLuMcMeMnNdNlNoPcPdPePfPiPoPsScSkSmSoZlZpZs")
)
_COUNT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_CLASS_NAME = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_]+")
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NO_FLAGS = re.compile(r"\(\?[imsU]*(?:-[imsU]*)?.?", re.DOTALL)
#: One that stands between two bounds, not at the end of a class.
_HYPHEN = re.compile(r"-(?=[^]])")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")


@dataclass(slots=True)
class Parsed:
    """A tree, and the names of its groups: one for each, the whole first; empty for those without."""

    tree: Node
    names: tuple[str, ...]


@dataclass(slots=True)
class _Open:
    """A group that is not closed yet, or the pattern itself."""

    #: Its number; None where nothing is reported.
    number: int | None
    #: The flags that hold again after it.
    flags: frozenset[str]
    alternatives: list[Node] = field(default_factory=list)
    parts: list[Node] = field(default_factory=list)

    def closed(self) -> Node:
        self.alternatives.append(_sequence(self.parts))
        tree = self.alternatives[0] if len(self.alternatives) == 1 else Choice(tuple(self.alternatives))
        return tree if self.number is None else Group(tree, self.number)


def _sequence(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def parse(pattern: str) -> Parsed:
    """The tree of a pattern.

    Raises:
        ExpressionError: it is not a pattern; the message is Go's.
    """
    return _Parser(pattern).parse()


def _fail(problem: str, where: str, *, hint: str | None = None) -> NoReturn:
    raise ExpressionError(f"error parsing regexp: {problem}: `{where}`", hint=hint)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._flags: frozenset[str] = frozenset()
        self._names = [""]
        self._open = [_Open(None, self._flags)]
        #: Where the repetition starts that was read last, if nothing followed it.
        self._repetition: int | None = None

    def parse(self) -> Parsed:
        while self._position < len(self._pattern):
            char = self._pattern[self._position]
            count = _COUNT.match(self._pattern, self._position) if char == "{" else None
            if char in "*+?" or count:
                self._repeat(char, count)
                continue
            self._repetition = None
            if char == "(":
                self._enter()
            elif char == ")":
                self._leave()
            elif char == "|":
                self._position += 1
                self._open[-1].alternatives.append(_sequence(self._open[-1].parts))
                self._open[-1].parts = []
            elif char == "[":
                self._add(Char(self._char_class()))
            elif char == "\\":
                self._escape()
            else:
                self._position += 1
                self._add(self._plain(char))
        if len(self._open) > 1:
            _fail("missing closing )", self._pattern)
        return Parsed(self._open[0].closed(), tuple(self._names))

    def _add(self, node: Node) -> None:
        self._open[-1].parts.append(node)

    def _plain(self, char: str) -> Node:
        if char == "^":
            return Assertion("^" if "m" in self._flags else "\\A")
        if char == "$":
            return Assertion("$" if "m" in self._flags else "\\z")
        if char == ".":
            return Char(CharSet((item("\x00\U0010ffff"),) if "s" in self._flags else (item("\n\n", negated=True),)))
        return self._literal(char)

    def _literal(self, char: str) -> Node:
        folded = "i" in self._flags and (char.isalpha() or not char.isascii())
        return Char(CharSet((item(char + char),), folded=folded))

    def _repeat(self, char: str, count: re.Match[str] | None) -> None:
        start = self._position
        self._position = count.end() if count else start + 1
        lazy = self._pattern.startswith("?", self._position)
        self._position += lazy
        if self._repetition is not None:
            _fail("invalid nested repetition operator", self._pattern[self._repetition : self._position])
        self._repetition = start
        low, high = (0, 1) if char == "?" else (int(char == "+"), None)
        if count:
            low, high = int(count[1]), int(count[3]) if count[3] else None if count[2] else int(count[1])
            if low > MAX_REPEAT or (high is not None and not low <= high <= MAX_REPEAT):
                _fail("invalid repeat count", count[0])
        parts = self._open[-1].parts
        if not parts:
            _fail("missing argument to repetition operator", self._pattern[start : self._position])
        node = Repeat(parts[-1], low, high, greedy=lazy is ("U" in self._flags))
        if count and _weight(node) > MAX_REPEAT:
            _fail("invalid repeat count", count[0])
        parts[-1] = node

    def _enter(self) -> None:
        pattern, start = self._pattern, self._position
        if len(self._open) > _MAX_DEPTH:
            _fail("expression nests too deeply", pattern)
        if not pattern.startswith("(?", start):
            self._position += 1
            self._open.append(_Open(self._number(""), self._flags))
            return
        if pattern.startswith(("(?P<", "(?<"), start):
            self._enter_named()
            return
        match = _FLAGS.match(pattern, start)
        if not match:
            _fail("invalid or unsupported Perl syntax", _NO_FLAGS.findall(pattern, start)[0])
        self._position = match.end()
        before = self._flags
        self._flags = (before | frozenset(match[1])) - frozenset(match[2] or "")
        if match[3] == ":":
            self._open.append(_Open(None, before))

    def _enter_named(self) -> None:
        begin = self._pattern.index("<", self._position) + 1
        end = self._pattern.find(">", begin)
        if end < 0:
            _fail("invalid named capture", self._pattern[self._position :])
        name = self._pattern[begin:end]
        if not _NAME.fullmatch(name):
            _fail("invalid named capture", self._pattern[self._position : end + 1])
        if name in self._names:
            _fail("duplicate capture group name", name)
        self._position = end + 1
        self._open.append(_Open(self._number(name), self._flags))

    def _number(self, name: str) -> int:
        self._names.append(name)
        return len(self._names) - 1

    def _leave(self) -> None:
        if len(self._open) == 1:
            _fail("unexpected )", self._pattern)
        self._position += 1
        group = self._open.pop()
        self._flags = group.flags
        self._add(group.closed())

    def _escape(self) -> None:
        """What a backslash outside of brackets begins."""
        letter = self._pattern[self._position + 1 : self._position + 2]
        if letter in ("A", "z", "b", "B"):
            self._position += 2
            self._add(Assertion("\\" + letter))
        elif letter == "Q":
            end = self._pattern.find("\\E", self._position + 2)
            text = self._pattern[self._position + 2 : end if end >= 0 else None]
            self._position = end + 2 if end >= 0 else len(self._pattern)
            for char in text:
                self._add(self._literal(char))
        elif part := self._named_part():
            self._add(Char(CharSet((part,), folded="i" in self._flags)))
        else:
            self._add(self._literal(self._escaped_char()))

    def _named_part(self) -> Item | None:
        r"""A class that an escape names: `\d`, `\pL`, `\p{Lu}`; nothing if it names none."""
        start = self._position
        letter = self._pattern[start + 1 : start + 2]
        if letter and letter in _PERL:
            self._position += 2
            return _PERL[letter]
        if not letter or letter not in "pP":
            return None
        if self._pattern.startswith("{", start + 2):
            end = self._pattern.find("}", start)
            if end < 0:
                _fail("invalid character class range", self._pattern[start:])
            name, self._position = self._pattern[start + 3 : end], end + 1
        else:
            name, self._position = self._pattern[start + 2 : start + 3], start + 3
        negated = letter == "P"
        if name.startswith("^"):
            name, negated = name[1:], not negated
        if name == "Any":
            return item("\x00\U0010ffff", negated=negated)
        if name not in _CATEGORIES:
            hint = "General categories (L, Lu, Nd, …) are known; scripts are not."
            _fail("invalid character class range", self._pattern[start : self._position], hint=hint)
        return Item((), frozenset({name}), negated)

    def _escaped_char(self) -> str:
        pattern, start = self._pattern, self._position
        if start + 1 == len(pattern):
            _fail("trailing backslash at end of expression", "")
        char = pattern[start + 1]
        if octal := _OCTAL.match(pattern, start + 1):
            self._position = octal.end()
            return chr(int(octal[0], 8))
        if (digits := _HEX.match(pattern, start + 1)) and int(digits[1] or digits[2], 16) <= 0x10FFFF:
            self._position = digits.end()
            return chr(int(digits[1] or digits[2], 16))
        if char in _CONTROL or (char.isascii() and not char.isalnum()):
            self._position = start + 2
            return _CONTROL.get(char, char)
        _fail("invalid escape sequence", pattern[start : start + 2])

    def _char_class(self) -> CharSet:
        pattern, start = self._pattern, self._position
        self._position += 1
        negated = pattern.startswith("^", self._position)
        self._position += negated
        parts: list[Item] = []
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not pattern.startswith("]", self._position):
            first = False
            if self._position >= len(pattern):
                _fail("missing closing ]", pattern[start:])
            part = self._class_part()
            if part:
                parts.append(part)
            else:
                ranges.append(self._range(start))
        self._position += 1
        if ranges:
            parts.append(Item(tuple(ranges)))
        return CharSet(tuple(parts), negated=negated, folded="i" in self._flags)

    def _class_part(self) -> Item | None:
        """A class inside of brackets that has a name: `[:alpha:]`, or one of the escapes."""
        if self._pattern[self._position] == "\\":
            return self._named_part()
        named = _CLASS_NAME.match(self._pattern, self._position)
        if not named:
            return None
        if named[2] not in _POSIX:
            _fail("invalid character class range", named[0])
        self._position = named.end()
        return item(_POSIX[named[2]], negated=bool(named[1]))

    def _range(self, class_start: int) -> tuple[int, int]:
        start = self._position
        low = high = self._class_char(class_start)
        if _HYPHEN.match(self._pattern, self._position):
            self._position += 1
            high = self._class_char(class_start)
            if high < low:
                _fail("invalid character class range", self._pattern[start : self._position])
        return ord(low), ord(high)

    def _class_char(self, class_start: int) -> str:
        if self._position >= len(self._pattern):
            _fail("missing closing ]", self._pattern[class_start:])
        if self._pattern[self._position] == "\\":
            return self._escaped_char()
        self._position += 1
        return self._pattern[self._position - 1]


def _weight(node: Node) -> int:
    """How many copies of its smallest part a tree asks for."""
    if isinstance(node, Repeat):
        times = node.low if node.high is None else node.high
        return times * _weight(node.part) if times > 1 else _weight(node.part)
    if isinstance(node, Group):
        return _weight(node.part)
    if isinstance(node, Sequence | Choice):
        return max((_weight(part) for part in node.parts), default=1)
    return 1
