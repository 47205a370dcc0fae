"""Text to tokens, cut as by expr-lang v1.17 (parser/lexer)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.lang.expr.faults import FaultError

#: What Go takes for white space (unicode.IsSpace).
SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

_KEYWORDS = frozenset({"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"})
_SKIPPED = re.compile(rf"(?:[{SPACE}]+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_ASCII_WORD = re.compile(r"[A-Za-z0-9_$]*")
_OPERATOR = re.compile(r"\|\|?|::?|\?[.?]?|[&!=*<>][&=*]?|\.\.?|##?|[,;%+\-^/]")
_NUMBERS = {
    base: re.compile(rf"{prefix}[{digits}_]*(?:\.(?!\.)[{digits}_]*)?(?:[eE][+-]?[{digits}_]*)?")
    for base, prefix, digits in (
        ("x", "0[xX]", "0-9a-fA-F"),
        ("o", "0[oO]", "0-7"),
        ("b", "0[bB]", "01"),
        ("", "", "0-9"),
    )
}
_ESCAPE = (
    r"\\(?:[abfnrtv\\{quote}]|[0-3][0-7]{{2}}|x[0-9a-fA-F]{{2}}|u\{{[0-9a-fA-F]{{1,6}}\}}|u[0-9a-fA-F]{{4}}"
    r"|U[0-9a-fA-F]{{8}})"
)
_BODY = {quote: re.compile(rf"(?:[^{quote}\\\n]+|{_ESCAPE.format(quote=quote)})*") for quote in "'\""}
_ANY_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)")
_RAW = re.compile(r"`((?:``|[^`])*)`")
_PLAIN_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the language."""

    #: "identifier", "number", "string", "bytes", "operator", "bracket" or "end".
    kind: str
    #: The text; of a string its value, of bytes their value with one character for each byte.
    value: str
    #: Index into the source.
    start: int

    def __str__(self) -> str:
        return f"'{self.value}'" if self.value else "the end" if self.kind == "end" else f"an empty {self.kind}"


def is_word(character: str) -> bool:
    """Whether names may hold it: letters, decimal digits, `_` and `$`."""
    return character.isalpha() or character.isdecimal() or character in "_$"


def is_name(text: str) -> bool:
    """Whether the text can be written as a name after a dot."""
    return bool(text) and not text[0].isdecimal() and all(map(is_word, text))


def tokenize(source: str) -> list[Token]:
    """All tokens; the last one is the end.

    Raises:
        FaultError: a character, a number or an escape that the language does not know; a string that is not closed.
    """
    tokens: list[Token] = []
    position, length = 0, len(source)
    while True:
        skipped = _SKIPPED.match(source, position)
        if skipped:
            position = skipped.end()
        if position >= length:
            tokens.append(Token("end", "", max(0, length - 1)))
            return tokens
        if source.startswith("/*", position):
            raise FaultError("unclosed comment", position)
        position = _token(source, position, tokens)


def _token(source: str, start: int, tokens: list[Token]) -> int:
    """Append what stands at `start`; the index after it."""
    character, following = source[start], source[start + 1 : start + 2]
    if character in "'\"":
        value, end = _quoted(source, start)
        tokens.append(Token("string", _text(value, start), start))
    elif character == "`":
        match = _RAW.match(source, start)
        if not match:
            raise FaultError("literal not terminated", start)
        tokens.append(Token("string", match[1].replace("``", "`"), start))
        end = match.end()
    elif character in "bB" and following and following in "'\"":
        value, end = _quoted(source, start + 1)
        tokens.append(Token("bytes", _bytes(value, start), start))
    elif "0" <= character <= "9" or (character == "." and "0" <= following <= "9"):
        end = _number_end(source, start)
        tokens.append(Token("number", source[start:end], start))
    elif character in "([{)]}":
        tokens.append(Token("bracket", character, start))
        end = start + 1
    elif match := _OPERATOR.match(source, start):
        tokens.append(Token("operator", match[0], start))
        end = match.end()
        if character == "#" and (name_end := _word_end(source, end)) > end:
            tokens.append(Token("identifier", source[end:name_end], end))
            end = name_end
    elif is_word(character):
        end = _word_end(source, start)
        word = source[start:end]
        tokens.append(Token("operator" if word in _KEYWORDS else "identifier", word, start))
    else:
        raise FaultError(f"unrecognized character: {character!r}", start)
    return end


def _word_end(source: str, position: int) -> int:
    match = _ASCII_WORD.match(source, position)
    position = match.end() if match else position
    while position < len(source) and is_word(source[position]):
        position += 1
    return position


def _number_end(source: str, start: int) -> int:
    base = source[start + 1 : start + 2].lower() if source[start] == "0" else ""
    match = _NUMBERS[base if base in "xob" else ""].match(source, start)
    end = match.end() if match else start
    if end < len(source) and is_word(source[end]):
        raise FaultError(f"bad number syntax: '{source[start : end + 1]}'", end)
    return end


def _quoted(source: str, start: int) -> tuple[str, int]:
    """What stands between the quotes, escapes kept, and the index after the closing one."""
    quote = source[start]
    match = _BODY[quote].match(source, start + 1)
    end = match.end() if match else start + 1
    if source.startswith(quote, end):
        return source[start + 1 : end].replace("\r\n", "\n").replace("\r", "\n"), end + 1
    raise FaultError("invalid char escape" if source.startswith("\\", end) else "literal not terminated", end)


def _code(escape: str) -> int | None:
    """The number that a numeric escape (without its backslash) stands for."""
    if escape[0] in "xuU":
        return int(escape[1:].strip("{}"), 16)
    return int(escape, 8) if escape[0] in "01234567" else None


def _text(body: str, start: int) -> str:
    def value(match: re.Match[str]) -> str:
        code = _code(match[1])
        if code is None:
            return _PLAIN_ESCAPES.get(match[1], match[1])
        if code > 0x10FFFF:
            raise FaultError(f"'{match[0]}' is not a character", start)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)  # as Go encodes half a pair

    return _ANY_ESCAPE.sub(value, body) if "\\" in body else body


def _bytes(body: str, start: int) -> str:
    parts: list[bytes] = []
    end = 0
    for match in _ANY_ESCAPE.finditer(body):
        parts.append(body[end : match.start()].encode())
        if match[1][0] in "uU":
            raise FaultError(f"'{match[0]}' is not an escape for bytes", start, hint="Write \\xNN.")
        code = _code(match[1])
        parts.append(_PLAIN_ESCAPES.get(match[1], match[1]).encode() if code is None else bytes([code]))
        end = match.end()
    parts.append(body[end:].encode())
    return b"".join(parts).decode("latin-1")
