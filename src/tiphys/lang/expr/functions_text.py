"""Built-in functions of strings. Semantics: expr-lang v1.17, builtin/builtin.go, and Go's package strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.lang.expr.context import Run
from tiphys.lang.expr.faults import FaultError
from tiphys.lang.expr.lexer import SPACE
from tiphys.lang.expr.signatures import Function
from tiphys.lang.expr.values import byte_length, describe, elements, to_int


def _upper(run: Run, text: str) -> str:
    run.write(len(text))
    return text.upper() if text.isascii() else "".join(map(_upper_rune, text))


def _upper_rune(character: str) -> str:
    """Go knows no upper case of several characters."""
    for changed in (character.upper(), character.title()):
        if len(changed) == 1:
            return changed
    return character


def _lower(run: Run, text: str) -> str:
    run.write(len(text))
    return text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)


def _trim(run: Run, text: str, characters: str = SPACE) -> str:
    run.write(len(text))
    return text.strip(characters)


def _trim_prefix(run: Run, text: str, part: str = " ") -> str:
    run.write(len(text))
    return text.removeprefix(part)


def _trim_suffix(run: Run, text: str, part: str = " ") -> str:
    run.write(len(text))
    return text.removesuffix(part)


def _split(run: Run, text: str, separator: str, most: Any = -1) -> list[str]:
    count = to_int(most)
    run.scan(len(text))
    if count == 0:
        return []
    if separator:
        parts = text.split(separator, count - 1 if count > 0 else -1)
    elif 0 < count < len(text):
        parts = [*text[: count - 1], text[count - 1 :]]
    else:
        parts = list(text)
    run.grow(len(parts))
    run.write(len(text))
    return parts


def _split_after(run: Run, text: str, separator: str, most: Any = -1) -> list[str]:
    parts = _split(run, text, separator, most)
    return [part + separator for part in parts[:-1]] + parts[-1:]


def _replace(run: Run, text: str, old: str, new: str, most: Any = -1) -> str:
    count = to_int(most)
    run.scan(len(text))
    found = text.count(old) if count < 0 else min(count, text.count(old))
    run.write(max(0, len(text) + found * (len(new) - len(old))))
    return text.replace(old, new, count)


def _repeat(run: Run, text: str, times: Any) -> str:
    count = to_int(times)
    if count < 0:
        raise FaultError(f"invalid argument for repeat (expected positive integer, got {count})")
    run.grow(len(text) * count)
    run.write(len(text) * count)
    return text * count


def _join(run: Run, array: Any, glue: str = "") -> str:
    parts = elements(array, "join")
    size = 0
    for part in parts:
        if not isinstance(part, str):
            raise FaultError(f"join takes only strings (got {describe(part)})", hint="Use map(…, string(#)) first.")
        size += len(part) + len(glue)
    run.step(len(parts))
    run.write(size)
    return glue.join(parts)


def _index(find: Callable[[str, str], int]) -> Callable[[Run, str, str], int]:
    """The place of a part, in bytes."""

    def index(run: Run, text: str, part: str) -> int:
        run.scan(len(text))
        found = find(text, part)
        return found if found < 0 else byte_length(text[:found])

    return index


TEXT = {
    "trim": Function(_trim, "string -> string", "string string -> string"),
    "trimPrefix": Function(_trim_prefix, "string string -> string", "string -> string"),
    "trimSuffix": Function(_trim_suffix, "string string -> string", "string -> string"),
    "upper": Function(_upper, "string -> string"),
    "lower": Function(_lower, "string -> string"),
    "split": Function(_split, "string string -> array", "string string int -> array"),
    "splitAfter": Function(_split_after, "string string -> array", "string string int -> array"),
    "replace": Function(_replace, "string string string -> string", "string string string int -> string"),
    "repeat": Function(_repeat, "string int -> string"),
    "join": Function(_join, "array -> string", "array string -> string"),
    "indexOf": Function(_index(str.find), "string string -> int"),
    "lastIndexOf": Function(_index(str.rfind), "string string -> int"),
    "hasPrefix": Function(lambda _, text, part: text.startswith(part), "string string -> bool"),
    "hasSuffix": Function(lambda _, text, part: text.endswith(part), "string string -> bool"),
}
