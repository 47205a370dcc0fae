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
#: Text of an expression's value.
Evaluate = Callable[[str], str]


#: Tags may be nested so deeply.
_DEEPEST = 20
#: First parts of the names that Argo gives a meaning; a tag with another is another program's and stays as it is.
_ROOTS = frozenset(
    {
        "workflow", "inputs", "outputs", "steps", "tasks", "item", "pod", "node", "retries", "lastRetry",
        "cronworkflow", "duration", "status", "exitCode", "resourcesDuration", "request", "response",
    }
)  # fmt: skip


def is_foreign(name: str) -> bool:
    """Whether a tag is not Argo's: it stays in the text (argo-workflows, util/template, lenient pass)."""
    return name.partition(".")[0] not in _ROOTS


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

    def fill(self, lookup: Lookup, evaluate: Evaluate | None = None, *, lenient: bool = False) -> str:
        """The text with every tag replaced.

        Args:
            lookup: Gives a tag's value or None.
            evaluate: Carries out expression tags; without it they are errors.
            lenient: Leave tags in place that have no value.

        Raises:
            ExpressionError: a tag has no value; the message names it.
        """
        filled = []
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
            elif isinstance(part, Expression):
                if evaluate is None:
                    raise ExpressionError(f"'{{{{={part.source}}}}}': there can be no expression here.")
                filled.append(evaluate(part.source))
            else:
                name = part.name if part.inner is None else part.inner.fill(lookup, evaluate, lenient=lenient).strip()
                value = lookup(name)
                if value is None:
                    if not lenient and not is_foreign(name):
                        raise unresolved(name)
                    value = "{{" + name + "}}"
                filled.append(value)
        return "".join(filled)


def unresolved(name: str) -> ExpressionError:
    """The error for a tag that has no value."""
    return ExpressionError(f"'{{{{{name}}}}}' cannot be resolved.")


@lru_cache(maxsize=4096)
def parse(text: str) -> Text:
    """Parse a text.

    Raises:
        ExpressionError: a tag is not closed.
    """
    if "{{" not in text:
        return Text(text, (text,) if text else ())
    parts, _ = _parse(text, 0, nested=0)
    return Text(text, parts)


def _parse(text: str, position: int, *, nested: int) -> tuple[tuple[Part, ...], int]:
    """Parts from `position` to the end, or of a nested text to the braces that close it."""
    if nested > _DEEPEST:
        raise ExpressionError(f"Tags are nested more than {_DEEPEST} deep in {text[:200]!r}.")
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
        part, position = _parse_tag(text, opened + 2, nested)
        parts.append(part)


def _parse_tag(text: str, start: int, nested: int) -> tuple[Part, int]:
    if text.startswith("=", start):
        closed = text.find("}}", start)
        if closed < 0:
            raise ExpressionError(f"A tag is not closed: '{{{{=' without '}}}}' in {text[:200]!r}.")
        return Expression(text[start + 1 : closed].strip()), closed + 2
    inner, closed = _parse(text, start, nested=nested + 1)
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


def fill_tree(tree: Any, lookup: Lookup, evaluate: Evaluate | None = None, *, lenient: bool = False) -> Any:
    """A JSON tree with the tags of all its texts, keys included, replaced; parts without tags are shared, not copied.

    Raises:
        ExpressionError: a tag has no value.
    """
    if isinstance(tree, str):
        return parse(tree).fill(lookup, evaluate, lenient=lenient) if "{{" in tree else tree
    if not has_tags(tree):
        return tree
    if isinstance(tree, dict):
        return {
            fill_tree(key, lookup, evaluate, lenient=lenient): fill_tree(value, lookup, evaluate, lenient=lenient)
            for key, value in tree.items()
        }
    return [fill_tree(value, lookup, evaluate, lenient=lenient) for value in tree]
