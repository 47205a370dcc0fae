"""Single values: durations, quantities, whole numbers, words of a list. What holds a tag is known only at run time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tiphys.errors import ExpressionError, TiphysError
from tiphys.lang import duration, tags
from tiphys.lang.quantity import parse_quantity
from tiphys.spec.base import Loose
from tiphys.spec.validate.findings import Findings, Place

_WHOLE = re.compile(r"[-+]?[0-9]+")


def is_constant(text: object) -> bool:
    """Whether a value holds no tag."""
    return not (isinstance(text, str) and "{{" in text)


def parse_tags(text: str) -> tags.Text:
    """A text with its tags.

    Raises:
        ExpressionError: a tag is not closed, or tags are nested too deeply.
    """
    try:
        return tags.parse(text)
    except RecursionError:
        raise ExpressionError(f"Tags are nested too deeply in {text[:60]!r}.") from None


def with_placeholders(text: str, placeholder: str = "placeholder") -> str:
    """A text whose tags are all replaced by a word, to be checked by a grammar.

    Raises:
        ExpressionError: as `parse_tags`.
    """
    return "".join(part if isinstance(part, str) else placeholder for part in parse_tags(text).parts)


def check_word(value: str | None, words: Iterable[str], place: Place, findings: Findings) -> None:
    """A value is one of a few words; empty means absent."""
    words = tuple(words)
    if value and is_constant(value) and value not in words:
        findings.error(place, f"'{value}' is not valid: must be one of: {', '.join(words)}")


def check_duration(text: str | None, place: Place, findings: Findings, *, unit: bool = False) -> None:
    """A duration as Go writes it; whole seconds too unless `unit` asks for a unit."""
    if not text or not is_constant(text):
        return
    if unit and _WHOLE.fullmatch(text):
        findings.error(place, f"has invalid duration format: write a unit, such as {text}s")
        return
    try:
        duration.parse_duration(text)
    except TiphysError as error:
        findings.error(place, f"has invalid duration format: {error.message}")


def check_whole(
    value: int | str | None, place: Place, findings: Findings, *, least: int | None = None, what: str = ""
) -> None:
    """A whole number, maybe as text or as one tag."""
    if value is None or not is_constant(value):
        return
    expected = what or ("must be an integer or a tag" if least is None else f"must be an integer >= {least} or a tag")
    text = str(value).strip()
    if not _WHOLE.fullmatch(text) or (least is not None and int(text) < least):
        findings.error(place, expected)


def check_resources(resources: Loose | None, place: Place, findings: Findings) -> None:
    """The quantities of a container's or pod's requests and limits."""
    for kind in ("requests", "limits"):
        amounts = (resources or {}).get(kind)
        for name, amount in amounts.items() if isinstance(amounts, dict) else ():
            _check_quantity(amount, place.field(kind, name), findings)


def _check_quantity(amount: Any, place: Place, findings: Findings) -> None:
    if not is_constant(amount):
        return
    try:
        if parse_quantity(str(amount)) < 0:
            findings.error(place, "must be greater than or equal to 0")
    except TiphysError as error:
        findings.error(place, f"is not a quantity: {error.message}")
