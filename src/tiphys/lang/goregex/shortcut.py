"""Patterns so plain that Python's own machine finds the same match, and in time linear in the text.

Such a pattern is a row of single characters with at most one repetition. Where something follows the repetition, a
search could go back from every place of the text, so then the pattern must begin at the start of the text.
"""

from __future__ import annotations

import re

from tiphys.lang.goregex.charset import CharSet
from tiphys.lang.goregex.tree import Assertion, Char, Group, Node, Repeat, Sequence

_ANCHORS = {"\\A": r"\A", "\\z": r"\Z"}


def shortcut(tree: Node) -> re.Pattern[str] | None:
    """The same pattern for Python's `re`; None if the tree is not so plain."""
    pieces = _pieces(tree)
    if pieces is None:
        return None
    marks = "".join(mark for mark, _ in pieces)
    if re.fullmatch(r"A?c*r?|Ac*rc*z?|A?c*z", marks.replace("g", "")) is None:
        return None
    return re.compile("".join(text for _, text in pieces))


def _pieces(node: Node) -> list[tuple[str, str]] | None:
    """Each piece with its mark: (c)haracter, (r)epetition, (A) start, (z) end, parenthesis of a (g)roup."""
    if isinstance(node, Char):
        text = _class(node.chars)
        return [("c", text)] if text else None
    if isinstance(node, Repeat):
        text = _class(node.part.chars) if isinstance(node.part, Char) else None
        high = "" if node.high is None else node.high
        return [("r", f"{text}{{{node.low},{high}}}{'' if node.greedy else '?'}")] if text else None
    if isinstance(node, Assertion):
        return [(node.kind[1], _ANCHORS[node.kind])] if node.kind in _ANCHORS else None
    if isinstance(node, Group):
        inner = _pieces(node.part)
        return None if inner is None else [("g", "("), *inner, ("g", ")")]
    if isinstance(node, Sequence):
        found: list[tuple[str, str]] = []
        for part in node.parts:
            pieces = _pieces(part)
            if pieces is None:
                return None
            found += pieces
        return found
    return None


def _class(chars: CharSet) -> str | None:
    ranges = chars.as_ranges()
    if not ranges:
        return None
    return "[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"
