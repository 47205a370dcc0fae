"""What a JSONPath is made of, and how its text is read; `jsonpath.py` follows it.

Semantics: evilmonkeyinc/jsonpath v0.8.1, with the exceptions that `jsonpath.py` names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tiphys.errors import ExpressionError

_MAX_SEGMENTS = 100
_MAX_DEPTH = 100
_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Key:
    """A member of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """An element of a list; negative ones count from the end."""

    position: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Elements from start to stop; a negative step reverses them."""

    #: Start, stop and step; None where the default holds.
    bounds: tuple[int | Script | None, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Several members or elements."""

    members: tuple[str | int | Script, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Members and elements for which the condition holds."""

    condition: Tree


@dataclass(frozen=True, slots=True)
class Script:
    """A member or an element whose key or position is computed."""

    tree: Tree


#: One of these, or one of the marks "$", "@", "*", ".." and "length".
Segment = str | Key | Index | Slice | Union | Filter | Script
Segments = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A path inside an expression."""

    segments: Segments


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant inside an expression."""

    #: Strings keep their quotes, which set them apart from bare words.
    value: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands."""

    operator: str
    #: None for the prefix "!".
    left: Tree | None
    right: Tree


Tree = Path | Literal | Operation


@lru_cache(maxsize=512)
def parse_path(path: str) -> Segments:
    """The parts of a path, the first of them "$" or "@".

    Raises:
        ExpressionError: the path cannot be read.
    """
    try:
        return _segments(path, 0)
    except ExpressionError as error:
        raise ExpressionError(
            f"JSONPath '{path}' cannot be read: {error.message}", hint="Write it like $.items[0].name."
        ) from None
    except RecursionError:
        raise ExpressionError(f"JSONPath '{path}' is nested too deeply.", hint="Split it.") from None


def _segments(path: str, depth: int) -> Segments:
    if path[:1] not in ("$", "@") or path[1:2] not in ("", ".", "["):
        raise ExpressionError("it must start with '$', followed by '.' or '['.")
    found: list[Segment] = [path[0]]
    position = 1
    while position < len(path):
        if len(found) > _MAX_SEGMENTS:
            raise ExpressionError(f"it has more than {_MAX_SEGMENTS} parts.")
        if path.startswith("..", position):
            found.append("..")
            position += 2
            if path[position : position + 1] not in ("", ".", "["):
                position = _read_name(path, position, found)
        elif path[position] == "[":
            position = _read_subscript(path, position, found, depth)
        elif path.startswith(".[", position):
            position = _read_subscript(path, position + 1, found, depth)
        else:
            position = _read_name(path, position + (path[position] == "."), found)
    return tuple(found)


def _read_name(path: str, start: int, found: list[Segment]) -> int:
    """A name as far as the next '.' or '['; quotes and parentheses around a '.' are part of it."""
    end, quoted, opened = start, False, 0
    while end < len(path) and path[end] != "[" and (path[end] != "." or quoted or opened > 0):
        quoted ^= path[end] == "'"
        opened += {"(": 1, ")": -1}.get(path[end], 0)
        end += 1
    name = path[start:end].strip()
    if not name:
        raise ExpressionError(f"a name is missing at position {start}.")
    found.append(name if name in ("*", "$", "@", "length") else Key(name))
    return end


def _read_subscript(path: str, start: int, found: list[Segment], depth: int) -> int:
    mask = _outside(path[start:], keep_first=True)
    length = mask.find("]")
    if length < 0:
        raise ExpressionError(f"the '[' at position {start} is not closed.")
    found.append(_subscript(path[start + 1 : start + length].strip(), depth))
    return start + length + 1


def _subscript(text: str, depth: int) -> Segment:
    if text == "*":
        return "*"
    if text.startswith("?"):
        inner = text[2:-1].strip()
        if not text.startswith("?(") or not text.endswith(")") or not inner:
            raise ExpressionError(f"'[{text}]' is not a filter: write [?(condition)].")
        return Filter(_expression(inner, depth + 1))
    mask = _outside(text)
    commas = _cut(text, mask, ",")
    colons = _cut(text, mask, ":")
    if len(commas) > 1 and len(colons) > 1:
        raise ExpressionError(f"'[{text}]' mixes ',' and ':'.")
    if len(commas) > 1:
        return Union(tuple(_member(part, text, depth) for part in commas))
    if len(colons) > 1:
        bounds = tuple(_member(part, text, depth) if part else None for part in colons)
        if len(bounds) > 3 or any(isinstance(bound, str) for bound in bounds):
            raise ExpressionError(f"'[{text}]' is not a slice: write [start:stop:step].")
        return Slice(tuple(bound for bound in bounds if not isinstance(bound, str)))
    member = _member(text, text, depth)
    if isinstance(member, str):
        return Key(member)
    return Index(member) if isinstance(member, int) else member


def _member(part: str, whole: str, depth: int) -> str | int | Script:
    """A quoted key, a whole number or a script."""
    if _INTEGER.fullmatch(part):
        return int(part)
    mask = _outside(part)
    if part[:1] in ("'", '"') and mask.replace("\0", "") == part[0] * 2:
        return re.sub(r"\\(['\"\\])", r"\1", part[1:-1])
    if part[:1] == "(" and mask.find(")") == len(part) - 1 > 1:
        return Script(_expression(part[1:-1], depth + 1))
    raise ExpressionError(
        f"'[{whole}]' is neither a number, a quoted key, a slice, a list of them, a filter nor a script."
    )


def _cut(text: str, mask: str, separator: str) -> list[str]:
    parts, start = [], 0
    for position, character in enumerate(mask):
        if character == separator:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _outside(text: str, *, keep_first: bool = False) -> str:
    """The text with all that stands in quotes or brackets blanked; the quotes and brackets themselves stay.

    Args:
        text: Any text.
        keep_first: The first character is a bracket whose content is not to be blanked.
    """
    shown: list[str] = []
    depth, quote, escaped = 0, "", False
    for position, character in enumerate(text):
        visible = depth == 0 and not quote
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\"
            if character == quote:
                quote, visible = "", depth == 0
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += not (keep_first and position == 0)
        elif character in ")]}" and depth > 0:
            depth -= 1
            visible = depth == 0
        shown.append(character if visible else "\0")
    return "".join(shown)


# --- reading a filter or a script

_COMPARATORS = ("==", "!=", "<=", ">=", "<", ">", "=~")
#: Loosest first; each is looked for in the whole text before the next one is.
_OPERATORS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("||", r"\|\|"),
        ("&&", r"&&"),
        *((comparator, re.escape(comparator)) for comparator in _COMPARATORS),
        ("!", r"^!"),
        ("+", r"(?<=[^\s*/%+\-<>=!&|,(:])\s*\+"),
        ("-", r"(?<=[^\s*/%+\-<>=!&|,(:])\s*-"),
        ("**", r"(?<!\.)\*\*"),
        ("*", r"(?<!\.)\*"),
        ("/", r"/"),
        ("%", r"%"),
        ("not in", r"(?<![\w.$@-])not\s+in(?![\w.-])"),
        ("in", r"(?<![\w.$@-])in(?![\w.-])"),
    )
)


def _expression(text: str, depth: int) -> Tree:
    if depth > _MAX_DEPTH:
        raise ExpressionError("expressions are nested too deeply.")
    text = text.strip()
    mask = _outside(text)
    if text.startswith("(") and mask.find(")") == len(text) - 1:
        return _expression(text[1:-1], depth + 1)
    for name, pattern in _OPERATORS:
        for match in pattern.finditer(mask):
            left, right = text[: match.start()].strip(), text[match.end() :].strip()
            if not right or not (left or name == "!"):
                continue
            return Operation(name, _expression(left, depth + 1) if left else None, _expression(right, depth + 1))
    return _leaf(text, depth)


def _leaf(text: str, depth: int) -> Tree:
    if text[:1] in ("$", "@"):
        return Path(_segments(text, depth + 1))
    if text in ("nil", "null"):
        return Literal(None)
    if text[:1] in ("[", "{"):
        try:
            return Literal(json.loads(text))
        except ValueError:
            return Literal(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return Literal("'" + re.sub(r"\\(['\"])", r"\1", text[1:-1]) + "'")
    if not text:
        raise ExpressionError("an operand is missing.")
    return Literal(text)
