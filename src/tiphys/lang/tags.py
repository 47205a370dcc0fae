"""Tags in manifests: `{{inputs.parameters.x}}`, also nested, in texts and in whole JSON trees.

A text is parsed once into a `Text`; filling it in asks a look-up for each tag. What a tag is replaced by is not looked
at again, so a value that happens to hold braces is data, not a reference. (Argo works on the JSON text and substitutes
pass after pass; the results agree but for that.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tiphys.errors import ExpressionError

#: Value of a tag, by its name; None if there is none.
Lookup = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Tag:
    """`{{name}}`. Of a nested tag the name is itself a text to fill in."""

    name: str
    inner: Text | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """`{{=source}}`."""

    source: str


Part = str | Tag | Expression


@dataclass(frozen=True, slots=True)
class Text:
    """A text with tags, parsed."""

    source: str
    parts: tuple[Part, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it holds no tag at all."""
        return len(self.parts) <= 1 and (not self.parts or isinstance(self.parts[0], str))

    @property
    def single(self) -> str | None:
        """The tag's name if the text is exactly one simple tag."""
        if len(self.parts) != 1:
            return None
        part = self.parts[0]
        return part.name if isinstance(part, Tag) and part.inner is None else None

    def names(self) -> Iterator[str]:
        """Names of all simple tags (of nested ones the innermost)."""
        for part in self.parts:
            if isinstance(part, Tag):
                if part.inner is None:
                    yield part.name
                else:
                    yield from part.inner.names()

    def fill(self, lookup: Lookup, *, lenient: bool = False) -> str:
        """The text with every tag replaced.

        Args:
            lookup: Gives a tag's value or None.
            lenient: Leave tags in place that have no value.

        Raises:
            ExpressionError: a tag has no value; the message names it.
        """
        filled = []
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
            elif isinstance(part, Expression):
                filled.append(evaluate_expression(part.source))
            else:
                name = part.name if part.inner is None else part.inner.fill(lookup, lenient=lenient).strip()
                value = lookup(name)
                if value is None:
                    if not lenient:
                        raise unresolved(name)
                    value = "{{" + name + "}}"
                filled.append(value)
        return "".join(filled)


def unresolved(name: str) -> ExpressionError:
    """The error for a tag that has no value."""
    return ExpressionError(f"'{{{{{name}}}}}' cannot be resolved.")


def evaluate_expression(source: str) -> str:
    """The value of an expression tag: the one place where `{{=…}}` is carried out.

    Raises:
        ExpressionError: always, as this version has no expression language.
    """
    raise ExpressionError(f"'{{{{={source}}}}}' is an expression tag, which this version of Tiphys cannot evaluate.")


@lru_cache(maxsize=4096)
def parse(text: str) -> Text:
    """Parse a text.

    Raises:
        ExpressionError: a tag is not closed.
    """
    if "{{" not in text:
        return Text(text, (text,) if text else ())
    parts, _ = _parse(text, 0, nested=False)
    return Text(text, parts)


def _parse(text: str, position: int, *, nested: bool) -> tuple[tuple[Part, ...], int]:
    """Parts from `position` to the end, or of a nested text to the braces that close it."""
    parts: list[Part] = []
    while True:
        opened = text.find("{{", position)
        closed = text.find("}}", position) if nested else -1
        if nested and closed >= 0 and (opened < 0 or closed < opened):
            if closed > position:
                parts.append(text[position:closed])
            return tuple(parts), closed
        if opened < 0:
            if nested:
                raise ExpressionError(f"A tag is not closed: '{{{{' without '}}}}' in {text[:200]!r}.")
            if position < len(text):
                parts.append(text[position:])
            return tuple(parts), len(text)
        if opened > position:
            parts.append(text[position:opened])
        part, position = _parse_tag(text, opened + 2)
        parts.append(part)


def _parse_tag(text: str, start: int) -> tuple[Part, int]:
    if text.startswith("=", start):
        closed = text.find("}}", start)
        if closed < 0:
            raise ExpressionError(f"A tag is not closed: '{{{{=' without '}}}}' in {text[:200]!r}.")
        return Expression(text[start + 1 : closed].strip()), closed + 2
    inner, closed = _parse(text, start, nested=True)
    name = text[start:closed].strip()
    if all(isinstance(part, str) for part in inner):
        return Tag(name), closed + 2
    return Tag(name, Text(name, inner)), closed + 2


def has_tags(tree: Any) -> bool:
    """Whether any text of a JSON tree, keys included, may hold a tag."""
    if isinstance(tree, str):
        return "{{" in tree
    if isinstance(tree, dict):
        return any("{{" in key or has_tags(value) for key, value in tree.items())
    return isinstance(tree, list) and any(has_tags(value) for value in tree)


def fill_tree(tree: Any, lookup: Lookup, *, lenient: bool = False) -> Any:
    """A JSON tree with the tags of all its texts, keys included, replaced; parts without tags are shared, not copied.

    Raises:
        ExpressionError: a tag has no value.
    """
    if isinstance(tree, str):
        return parse(tree).fill(lookup, lenient=lenient) if "{{" in tree else tree
    if not has_tags(tree):
        return tree
    if isinstance(tree, dict):
        return {
            fill_tree(key, lookup, lenient=lenient): fill_tree(value, lookup, lenient=lenient)
            for key, value in tree.items()
        }
    return [fill_tree(value, lookup, lenient=lenient) for value in tree]
