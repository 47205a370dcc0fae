"""The condition language of `when`: govaluate, as Argo uses it.

The text has its tags replaced already. Numbers are float64; `'…'` and `"…"` are strings (either quote ends either); a
bare word is a string too; a backslash escapes the next character in both. All binary operators of one level associate
to the left. From tightest: prefix `- ! ~`, `**`, `* / %`, `+ -`, `<< >>`, `& | ^`, comparators (`== != > >= < <= =~ !~
in`), `&&`, `||`, `? : ??`, `,`. A quoted string that reads as a date is a number, its Unix time (here always in UTC).
Semantics: Knetic/govaluate; argo-workflows, workflow/controller/steps.go (shouldExecute).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goregex import compile_regex

_MAX_DEPTH = 100
_PREFIXES = frozenset("-!~")
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({","}),
    frozenset({"?", ":", "??"}),
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"}),
    frozenset({"&", "|", "^"}),
    frozenset({"<<", ">>"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
    frozenset({"**"}),
)
_LEVEL = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}


def evaluate(text: str) -> bool:
    """Whether the condition holds; an empty one does.

    Raises:
        ExpressionError: the text does not parse, mixes types, or is not a condition.
    """
    return not text or _evaluate(text)


@lru_cache(maxsize=1024)
def _evaluate(text: str) -> bool:
    try:
        value = _value(_Parser(text).parse())
    except ExpressionError as error:
        raise ExpressionError(f"Invalid 'when' expression '{text}': {error.message}", hint=error.hint) from None
    if not isinstance(value, bool):
        raise ExpressionError(f"Invalid 'when' expression '{text}': it gives {_show(value)}, not true or false.")
    return value


@dataclass(frozen=True, slots=True)
class _Token:
    #: "value", "time", "operator", "prefix", "(" or ")".
    kind: str
    value: Any
    #: What stands in the text, for messages.
    text: str


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character.isspace():
            position += 1
            continue
        kind: str
        value: Any
        start = position
        # What follows a value or ')' is an operator; anywhere else '-', '!' and '~' are prefixes.
        after_value = bool(tokens) and tokens[-1].kind in ("value", "time", ")")
        if character in "()":
            kind, value, position = character, character, position + 1
        elif character == ",":
            kind, value, position = "operator", ",", position + 1
        elif character.isdecimal() or character == ".":
            (value, position), kind = _number(text, position), "value"
        elif character == "[":
            value, position = _until(text, position + 1, lambda c: c == "]")
            kind, position = "value", _past(text, position, "a '[' is not closed")
        elif character in "'\"":
            value, position = _until(text, position + 1, lambda c: c in "'\"")
            position = _past(text, position, "a string is not closed")
            moment = _time(value)
            kind, value = ("value", value) if moment is None else ("time", moment)
        elif character.isalpha():
            kind, value, position = _word(text, position)
        else:
            kind, value, position = _symbol(text, position, after_value=after_value)
        tokens.append(_Token(kind, value, text[start:position]))
    return tokens


def _until(text: str, position: int, ends: Callable[[str], bool], *, space_ends: bool = False) -> tuple[str, int]:
    """Characters up to the one that ends them, backslashes taken away."""
    found: list[str] = []
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            found.append(text[position + 1])
            position += 2
            continue
        if ends(character) or (space_ends and character.isspace()):
            break
        found.append(character)
        position += 1
    return "".join(found), position


def _past(text: str, position: int, problem: str) -> int:
    if position >= len(text):
        raise ExpressionError(problem + ".")
    return position + 1


#: Beyond govaluate, which refuses them: small numbers are printed with an exponent.
_EXPONENT = re.compile(r"[eE][-+]?[0-9]+(?![\w.])")


def _number(text: str, position: int) -> tuple[float, int]:
    if text.startswith("0x", position) and position + 2 < len(text):
        digits, end = _until(text, position + 2, lambda c: c not in "0123456789abcdefABCDEF")
        if not digits:
            raise ExpressionError("'0x' without digits.")
        return float(int(digits, 16)), end
    digits, end = _until(text, position, lambda c: not (c.isdecimal() or c == "."))
    exponent = _EXPONENT.match(text, end)
    if exponent:
        digits, end = digits + exponent[0], exponent.end()
    try:
        return float(digits), end
    except ValueError:
        raise ExpressionError(f"'{digits}' is not a number.", hint="Quote it to compare it as text.") from None


def _word(text: str, position: int) -> tuple[str, Any, int]:
    word, position = _until(text, position, lambda c: not (c.isalnum() or c in "_."), space_ends=True)
    if word in ("true", "false"):
        return "value", word == "true", position
    if word in ("in", "IN"):
        return "operator", "in", position
    if "." in word:
        raise ExpressionError(f"'{word}' reads as a field of an object.", hint="Quote it to compare it as text.")
    return "value", word, position


def _symbol(text: str, position: int, *, after_value: bool) -> tuple[str, str, int]:
    symbol, position = _until(text, position, lambda c: c.isalnum() or c in "()[]'\"", space_ends=True)
    if not after_value and symbol in _PREFIXES:
        return "prefix", symbol, position
    if symbol not in _LEVEL:
        raise ExpressionError(
            f"'{symbol}' is not an operator.", hint="Quote text that holds other characters than letters."
        )
    return "operator", symbol, position


_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:([ T])(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?(Z|[-+]\d\d:?\d\d)?)?")


def _time(text: str) -> float | None:
    """Unix time of a text in one of govaluate's formats."""
    match = _ISO.fullmatch(text)
    try:
        if match:
            return _iso_time(match)
        if text[:1].isalpha() and text[-4:].isdecimal():  # Mon Jan  2 15:04:05 2006
            return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return None


def _iso_time(match: re.Match[str]) -> float | None:
    year, month, day, separator, hour, minute, second, _, zone = match.groups()
    if (separator == "T" and not zone) or (separator == " " and (not minute or (zone and (not second or zone == "Z")))):
        return None
    moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    offset = 0
    if zone and zone != "Z":
        offset = (int(zone[1:3]) * 60 + int(zone[-2:])) * (-60 if zone[0] == "-" else 60)
    return float(math.floor(moment.timestamp())) - offset


@dataclass(frozen=True, slots=True)
class _Chain:
    """Operands of one level with the operators between them, left to right."""

    first: Any
    rest: list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class _Prefix:
    operator: str
    operand: Any


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Any


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0
        self._depth = 0

    def parse(self) -> Any:
        tree = self._binary(0)
        if self._position < len(self._tokens):
            raise ExpressionError(f"'{self._tokens[self._position].text}' is not expected where it stands.")
        return tree

    def _binary(self, loosest: int) -> Any:
        """All that follows and binds at least as tightly as level `loosest`."""
        tree = self._operand()
        while (level := self._next_level()) >= loosest:
            rest: list[tuple[str, Any]] = []
            while self._next_level() == level:
                operator = self._tokens[self._position].value
                self._position += 1
                rest.append((operator, self._binary(level + 1)))
            tree = _Chain(tree, rest)
        return tree

    def _next_level(self) -> int:
        """Level of the operator that comes next; -1 if none does."""
        if self._position == len(self._tokens) or self._tokens[self._position].kind != "operator":
            return -1
        return _LEVEL[self._tokens[self._position].value]

    def _operand(self) -> Any:
        if self._position == len(self._tokens):
            raise ExpressionError("it ends too early.")
        token = self._tokens[self._position]
        self._position += 1
        if token.kind in ("value", "time"):
            return _Literal(token.value)
        if token.kind == "(":
            return self._parenthesis()
        if token.kind == "prefix":
            following = self._tokens[self._position] if self._position < len(self._tokens) else None
            if following is None or following.kind == "prefix":
                raise ExpressionError(f"'{token.text}' has nothing to work on.")
            return _Prefix(token.value, self._operand())
        raise ExpressionError(f"'{token.text}' is not expected where it stands.")

    def _parenthesis(self) -> Any:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError("parentheses are nested too deeply.")
        tree = self._binary(0)
        if self._position == len(self._tokens) or self._tokens[self._position].kind != ")":
            raise ExpressionError("a parenthesis is not closed.")
        self._position += 1
        self._depth -= 1
        return tree


def _value(tree: Any) -> Any:
    if isinstance(tree, _Literal):
        return tree.value
    if isinstance(tree, _Prefix):
        return _prefixed(tree.operator, _value(tree.operand))
    left = _value(tree.first)
    for operator, right in tree.rest:
        left = _step(operator, left, right)
    return left


def _step(operator: str, left: Any, tree: Any) -> Any:
    """One operator; the right side is evaluated only if it counts."""
    if operator == "&&" and left is False:
        return False
    if operator == "||" and left is True:
        return True
    if operator in (":", "??"):
        return _value(tree) if left is None else left
    if operator == "?":
        if not isinstance(left, bool):
            raise _mismatch(operator, left, "a condition must stand before it")
        return _value(tree) if left else None
    return _applied(operator, left, _value(tree))


def _applied(operator: str, left: Any, right: Any) -> Any:
    if operator in ("==", "!="):
        return _same(left, right) is (operator == "==")
    if operator == ",":
        return [*left, right] if isinstance(left, list) else [left, right]
    if operator in ("&&", "||"):
        for side in (left, right):
            if not isinstance(side, bool):
                raise _mismatch(operator, side, "it is neither true nor false")
        return (left and right) if operator == "&&" else (left or right)
    if operator == "in":
        if not isinstance(right, list):
            raise _mismatch(operator, right, "it is not a list")
        return any(_same(left, member) for member in right)
    if operator in ("=~", "!~"):
        return _matches(left, right) is (operator == "=~")
    if operator in _COMPARE:
        if not (_numeric(left) and _numeric(right)) and not (isinstance(left, str) and isinstance(right, str)):
            raise _mismatch(operator, left, f"it cannot be ordered against {_show(right)}")
        return _COMPARE[operator](left, right)
    if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
        return _printed(left) + _printed(right)
    for side in (left, right):
        if not _numeric(side):
            raise _mismatch(operator, side, "it is not a number")
    return _ARITHMETIC[operator](left, right)


def _prefixed(operator: str, value: Any) -> Any:
    if operator == "!":
        if not isinstance(value, bool):
            raise _mismatch(operator, value, "it is neither true nor false")
        return not value
    if not _numeric(value):
        raise _mismatch(operator, value, "it is not a number")
    return -value if operator == "-" else float(~_integer(value))


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _numeric(value: Any) -> bool:
    return isinstance(value, float)


def _matches(value: Any, pattern: Any) -> bool:
    for side in (value, pattern):
        if not isinstance(side, str):
            raise _mismatch("=~", side, "it is not text")
    return compile_regex(pattern).search(value) is not None


def _integer(value: float) -> int:
    return 0 if math.isnan(value) or math.isinf(value) else _wrap(int(value))


def _wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _shift(left: float, right: float, *, up: bool) -> float:
    value, count = _integer(left) % 2**64, _integer(right) % 2**64
    if count >= 64:
        return 0.0
    return float((value << count) % 2**64 if up else value >> count)


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _modulus(left: float, right: float) -> float:
    return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if left else math.inf


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _modulus,
    "**": _power,
    "&": lambda left, right: float(_integer(left) & _integer(right)),
    "|": lambda left, right: float(_integer(left) | _integer(right)),
    "^": lambda left, right: float(_integer(left) ^ _integer(right)),
    "<<": lambda left, right: _shift(left, right, up=True),
    ">>": lambda left, right: _shift(left, right, up=False),
}


def _printed(value: Any) -> str:
    """A value inside a concatenation, as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)


def _show(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else _printed(value)


def _mismatch(operator: str, value: Any, why: str) -> ExpressionError:
    return ExpressionError(f"{_show(value)} cannot be used with '{operator}', {why}.")
