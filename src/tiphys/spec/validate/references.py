"""References in texts: every tag and every expression of a manifest's part names something that exists there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from pydantic import BaseModel

from tiphys.errors import ExpressionError
from tiphys.lang import tags
from tiphys.lang.expr.program import compile_expression
from tiphys.spec.base import Path, json_name
from tiphys.spec.validate.findings import Findings, Place
from tiphys.spec.validate.guesses import did_you_mean
from tiphys.spec.validate.scope import ROOTS, Scope
from tiphys.spec.validate.values import parse_tags


def texts(value: Any, skip: Collection[str] = (), path: Path = ()) -> Iterator[tuple[Path, str]]:
    """All texts below a value that may hold tags, with their paths.

    Args:
        value: A model, or part of one.
        skip: Names of attributes of `value` that are left out.
        path: Where `value` stands.
    """
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, BaseModel):
        for name, inner in value.__dict__.items():
            if inner is not None and name not in skip:
                yield from texts(inner, (), (*path, json_name(name)))
        for name, inner in (value.model_extra or {}).items():
            yield from texts(inner, (), (*path, name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(key, (), (*path, key))
            yield from texts(inner, (), (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts(inner, (), (*path, number))


def check_texts(
    model: BaseModel, scope: Scope, place: Place, findings: Findings, *, skip: Collection[str] = ()
) -> None:
    """Check all tags in a part of a manifest.

    Args:
        model: The part.
        scope: What can be referred to.
        place: Where it stands.
        findings: Takes what is wrong.
        skip: Attributes of `model` that another check looks into.
    """
    for path, text in texts(model, skip):
        for message, severe in text_problems(text, scope):
            (findings.error if severe else findings.warn)(place.within(model, path), message)


def check_text(text: str | None, scope: Scope, place: Place, findings: Findings) -> None:
    """Check the tags of one text."""
    if text and "{{" in text:
        for message, severe in text_problems(text, scope):
            (findings.error if severe else findings.warn)(place, message)


def text_problems(text: str, scope: Scope) -> Iterator[tuple[str, bool]]:
    """What is wrong with the tags of a text, and whether it is refused for it."""
    try:
        parsed = parse_tags(text)
    except ExpressionError as error:
        yield error.message, True
        return
    yield from _part_problems(parsed, scope)


def _part_problems(parsed: tags.Text, scope: Scope) -> Iterator[tuple[str, bool]]:
    for part in parsed.parts:
        if isinstance(part, tags.Expression):
            yield from ((message, True) for message in expression_problems(part.source, scope))
        elif isinstance(part, tags.Tag) and part.inner is not None:
            yield from _part_problems(part.inner, scope)
        elif isinstance(part, tags.Tag):
            yield from _tag_problems(part.name, scope)


def _tag_problems(name: str, scope: Scope) -> Iterator[tuple[str, bool]]:
    reason = scope.refusal(name)
    if reason is None:
        return
    root, _, rest = name.partition(".")
    if root not in ROOTS or (not rest and root not in ("item", "retries")):
        yield f"'{{{{{name}}}}}' is no variable of workflows: Argo leaves it as it is", False
    else:
        yield unresolved(name, reason, scope), True


def unresolved(name: str, reason: str, scope: Scope) -> str:
    """The message for a variable that does not exist."""
    explained = f": {reason}" if reason else did_you_mean(name, scope.known(), separator=": ")
    return f"failed to resolve {{{{{name}}}}}{explained}"


def check_expression(source: str | None, scope: Scope, place: Place, findings: Findings) -> None:
    """Check a field that is an expression without braces; tags in it are left to `check_texts`."""
    if not source or "{{" in source:
        return
    for message in expression_problems(source, scope):
        findings.error(place, message)


def expression_problems(source: str, scope: Scope) -> Iterator[str]:
    """What is wrong with an expression: its grammar, and references that cannot be resolved.

    A reference that the expression guards (`?.`, `??`) may be missing.
    """
    try:
        program = compile_expression(source)
    except ExpressionError as error:
        yield f"expression is invalid: {error.message}"
        return
    for parts in sorted(program.references()):
        name = ".".join(parts)
        reason = scope.refusal(name, part=True) if parts[0] in ROOTS else None
        if reason is not None:
            yield unresolved(name, reason, scope)
