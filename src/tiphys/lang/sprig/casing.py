"""Capitals and small letters: snake_case, kebab-case and CamelCase as in huandu/xstrings, words as in goutils."""

from __future__ import annotations

import re
import unicodedata

_CONNECTORS = re.compile(r"([-_\s]+)")
#: Words of a text in which each character stands as its class; a run of capitals leaves its last to a word after it.
_WORD = re.compile(r"c+|p+|U+(?=Ua)|Ua+|U+|a+|n+|o+")


def upper(text: str) -> str:
    """Capitals, character by character."""
    return text.upper() if text.isascii() else "".join(_single(char, char.upper()) for char in text)


def lower(text: str) -> str:
    """Small letters, character by character."""
    return text.lower() if text.isascii() else "".join(_single(char, char.lower()) for char in text)


def title(text: str) -> str:
    """Each word with a capital; letters, digits and underscores make words."""
    return "".join(
        char if index and _in_word(text[index - 1]) else _single(char, char.title()) for index, char in enumerate(text)
    )


def _in_word(char: str) -> bool:
    return char == "_" or char.isalnum() or (not char.isascii() and not char.isspace())


def _single(char: str, other: str) -> str:
    """The other case, unless it is longer than one character, which Go does not do."""
    return other if len(other) == 1 else char


def untitle(text: str) -> str:
    """Each word with a small letter; white space parts words."""
    return "".join(
        _single(char, char.lower()) if not index or text[index - 1].isspace() else char
        for index, char in enumerate(text)
    )


def swapcase(text: str) -> str:
    """Capitals small and the rest capital, with title case at the start of a word."""
    result: list[str] = []
    after_space = True
    for char in text:
        if char.isupper() or char.istitle():
            result.append(_single(char, char.lower()))
            after_space = False
        elif char.islower():
            result.append(_single(char, char.title() if after_space else char.upper()))
            after_space = False
        else:
            result.append(char)
            after_space = char.isspace()
    return "".join(result)


def camelcase(text: str) -> str:
    """CamelCase; of the connectors (-, _, space) between two words one is dropped, at the ends they stay."""
    pieces = _CONNECTORS.split(text)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = _capitalised(piece)
        elif pieces[index - 1] and pieces[index + 1]:
            pieces[index] = piece[:-1]
    return "".join(pieces)


def _capitalised(word: str) -> str:
    """A word with a capital; a run of capitals at its start gets small from the second on."""
    run = 1
    while word[:1].isupper() and word[run : run + 1].isupper():
        run += 1
    return _single(word[:1], word[:1].upper()) + word[1:run].lower() + word[run:]


def _class(char: str) -> str:
    if char in "-_" or char.isspace():
        return "c"
    category = unicodedata.category(char)
    if category[0] == "P":
        return "p"
    if category == "Lu":
        return "U"
    if category[0] == "N":
        return "n"
    cjk = "\u3400" <= char <= "\u4db5" or "\u4e00" <= char <= "\u9fcc" or "\U00020000" <= char <= "\U0002b81d"
    return "a" if category[0] == "L" and not cjk else "o"


class _Words:
    """The words of a text, one after the other; beyond the last there is an empty one."""

    def __init__(self, text: str, connector: str) -> None:
        classes = "".join(_class(char) for char in text)
        self._words = [(classes[m.start()], text[m.start() : m.end()]) for m in _WORD.finditer(classes)] + [("", "")]
        self._position = 0
        self._connector = connector
        self.written: list[str] = []

    @property
    def kind(self) -> str:
        return self._words[self._position][0]

    @property
    def is_last(self) -> bool:
        return self._position + 2 >= len(self._words)

    def write(self) -> None:
        """Writes the present word and goes on to the next."""
        kind, word = self._words[self._position]
        self.written.append(self._connector * len(word) if kind == "c" else word.lower() if kind == "U" else word)
        self._position += 1

    def connect(self) -> None:
        """Writes a connector, if a word follows that has none."""
        if self.kind not in ("", "c", "p"):
            self.written.append(self._connector)


def connected(text: str, connector: str) -> str:
    """snake_case or kebab-case; a number belongs to the letters after it ("http_2xx", "bld4_floor_3rd")."""
    words = _Words(text, connector)
    while words.kind:
        kind, last = words.kind, words.is_last
        words.write()
        if last or kind in ("c", "p"):
            continue
        if kind != "n":
            if words.kind != "n" or words.is_last:
                if words.kind != "n":
                    words.connect()
                continue
            place = len(words.written)
            words.write()
            if words.kind == "a":
                words.written.insert(place, connector)
        while words.kind in ("a", "n"):
            words.write()
        words.connect()
    return "".join(words.written)
