"""Text: trimming, cutting, joining, wrapping. As in Go, lengths and offsets count the bytes of UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_quote, go_string
from tiphys.lang.sprig.casing import camelcase, connected, lower, swapcase, title, untitle, upper
from tiphys.lang.sprig.signature import Table, bounded


def _by_bytes(function: Callable[..., str]) -> Callable[..., str]:
    """The function on texts in which each character stands for a byte; a cut character becomes U+FFFD."""

    def call(*args: Any) -> str:
        plain = [arg.encode().decode("latin-1") if isinstance(arg, str) else arg for arg in args]
        return function(*plain).encode("latin-1").decode(errors="replace")

    return call


@_by_bytes
def _trunc(count: int, text: str) -> str:
    if count < 0:
        return text[count:]
    return text[:count]


@_by_bytes
def _substr(start: int, end: int, text: str) -> str:
    if start < 0:
        start = 0
    elif end < 0 or end > len(text):
        end = len(text)
    if not 0 <= start <= end <= len(text):
        raise ExpressionError(f"slice bounds out of range [{start}:{end}] with length {len(text)}")
    return text[start:end]


@_by_bytes
def _abbrev(width: int, text: str) -> str:
    return text if width < 4 else _abbreviated(text, 0, width)


@_by_bytes
def _abbrevboth(left: int, width: int, text: str) -> str:
    return text if width < 4 or (left > 0 and width < 7) else _abbreviated(text, left, width)


def _abbreviated(text: str, offset: int, width: int) -> str:
    """As goutils.AbbreviateFull: at most `width` bytes, dots on each side that was cut."""
    if len(text) <= width:
        return text
    room = width - 3
    offset = min(offset, len(text) - room)
    if offset <= 4:
        return text[:room] + "..."
    if width < 7:
        return ""
    if offset + room < len(text):
        return "..." + (_abbreviated(text[offset:], 0, room) if room >= 4 else "")
    return "..." + text[-room:]


def _repeat(count: int, text: str) -> str:
    if count < 0:
        raise ExpressionError("strings: negative Repeat count")
    bounded(count * len(text), "repeat")
    return text * count


def _wrapped(width: int, separator: str, text: str, *, cut_words: bool) -> str:
    """As goutils.WrapCustom: lines of at most `width` bytes, broken at spaces."""
    width, separator = max(width, 1), separator or "\n"
    bounded(len(text) + len(text) // width * len(separator), "wrapWith")
    pieces: list[str] = []
    offset = 0
    while len(text) - offset > width:
        if text[offset] == " ":
            offset += 1
            continue
        space = text.rfind(" ", offset, offset + width + 1)
        if space < 0 and cut_words:
            pieces.append(text[offset : offset + width])
            offset += width
            continue
        if space < 0:
            space = text.find(" ", offset + width)
        if space < 0:
            break
        pieces.append(text[offset:space])
        offset = space + 1
    return separator.join([*pieces, text[offset:]])


@_by_bytes
def _wrap(width: int, text: str) -> str:
    return _wrapped(width, "\n", text, cut_words=False)


@_by_bytes
def _wrap_with(width: int, separator: str, text: str) -> str:
    return _wrapped(width, separator, text, cut_words=True)


def _initials(text: str) -> str:
    return "".join(word[0] for word in text.split())


def _indent(spaces: int, text: str) -> str:
    if spaces < 0:
        raise ExpressionError("strings: negative Repeat count")
    pad = " " * bounded(spaces, "indent")
    bounded(spaces * (text.count("\n") + 1), "indent")
    return pad + text.replace("\n", "\n" + pad)


def _replace(old: str, new: str, text: str) -> str:
    bounded(len(text) + len(new) * (text.count(old) if old else len(text) + 1), "replace")
    return text.replace(old, new)


def _cut(text: str, separator: str, count: int = -1) -> list[str]:
    """As strings.SplitN: an empty separator parts the characters."""
    if count == 0:
        return []
    if separator:
        return text.split(separator, count - 1 if count > 0 else -1)
    if count < 0 or count > len(text):
        return list(text)
    return [*text[: count - 1], text[count - 1 :]]


def _numbered(parts: list[str]) -> dict[str, str]:
    return {f"_{number}": part for number, part in enumerate(parts)}


def _join(separator: str, value: Any) -> str:
    members = strings(value)
    bounded(sum(map(len, members)) + len(separator) * (len(members) - 1), "join")
    return separator.join(members)


def strings(value: Any) -> list[str]:
    """The members of a list as text, without those that are nil; anything else as the one member."""
    members = value if isinstance(value, list | tuple) else [value]
    return [text_of(member) for member in members if member is not None]


def text_of(value: Any) -> str:
    """A value as text: bytes as UTF-8, everything else as `%v`."""
    return value.decode(errors="replace") if isinstance(value, bytes) else go_string(value)


def _sort_alpha(value: Any) -> list[str]:
    return sorted(strings(value)) if isinstance(value, list | tuple) else [text_of(value)]


FUNCTIONS: Table = {
    "abbrev": ("is", _abbrev),
    "abbrevboth": ("iis", _abbrevboth),
    "trunc": ("is", _trunc),
    "trim": ("s", str.strip),
    "upper": ("s", upper),
    "lower": ("s", lower),
    "title": ("s", title),
    "untitle": ("s", untitle),
    "substr": ("iis", _substr),
    "repeat": ("is", _repeat),
    "trimall": ("ss", lambda characters, text: text.strip(characters) if characters else text),
    "trimAll": ("ss", lambda characters, text: text.strip(characters) if characters else text),
    "trimSuffix": ("ss", lambda suffix, text: text.removesuffix(suffix)),
    "trimPrefix": ("ss", lambda prefix, text: text.removeprefix(prefix)),
    "nospace": ("s", lambda text: "".join(text.split())),
    "initials": ("s", _initials),
    "swapcase": ("s", swapcase),
    "snakecase": ("s", lambda text: connected(text, "_")),
    "camelcase": ("s", camelcase),
    "kebabcase": ("s", lambda text: connected(text, "-")),
    "wrap": ("is", _wrap),
    "wrapWith": ("iss", _wrap_with),
    "contains": ("ss", lambda part, text: part in text),
    "hasPrefix": ("ss", lambda prefix, text: text.startswith(prefix)),
    "hasSuffix": ("ss", lambda suffix, text: text.endswith(suffix)),
    "quote": ("a*", lambda *values: " ".join(go_quote(text_of(value)) for value in values if value is not None)),
    "squote": ("a*", lambda *values: " ".join(f"'{go_string(value)}'" for value in values if value is not None)),
    "cat": ("a*", lambda *values: " ".join(go_string(value) for value in values if value is not None)),
    "indent": ("is", _indent),
    "nindent": ("is", lambda spaces, text: "\n" + _indent(spaces, text)),
    "replace": ("sss", _replace),
    "plural": ("ssi", lambda one, many, count: one if count == 1 else many),
    "toString": ("a", text_of),
    "toStrings": ("a", strings),
    "join": ("sa", _join),
    "sortAlpha": ("a", _sort_alpha),
    "split": ("ss", lambda separator, text: _numbered(_cut(text, separator))),
    "splitList": ("ss", lambda separator, text: _cut(text, separator)),
    "splitn": ("sis", lambda separator, count, text: _numbered(_cut(text, separator, count))),
}
