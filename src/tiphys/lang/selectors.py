r"""Selectors: what labels, fields or an object must be to be meant.

- Label selectors: `a=b, c==d, e!=f, g in (x, y), h notin (z), i, !j, k>1, l<2`; all must hold.
- Field selectors: `metadata.name=x,status.phase!=y`; in a value `,`, `=` and `\` have a backslash before them. Beyond
  Kubernetes `phase in (Failed, Error)` and `notin` are read, too.
- Conditions over an object: a label selector whose keys are paths of the object, `status.succeeded > 0`.

Semantics: k8s.io/apimachinery v0.35, pkg/labels and pkg/fields; argo-workflows v4.1, workflow/executor/resource.go
(matchConditions), with the paths of tidwall/gjson, of which a label key can hold names and positions only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.gojson import go_json

#: Gives the value of a key; None if there is none.
Lookup = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition of a selector."""

    key: str
    #: One of "exists", "!", "=", "!=", "in", "notin", ">" and "<".
    operator: str
    #: None for "exists" and "!", one for "=", "!=", ">" and "<".
    values: tuple[str, ...] = ()

    def holds(self, lookup: Lookup) -> bool:
        """Whether what `lookup` gives fulfils it; a key that is not there fulfils `!`, `!=` and `notin` only."""
        value = lookup(self.key)
        if self.operator in ("!", "!=", "notin"):
            return value is None or (self.operator != "!" and value not in self.values)
        if value is None:
            return False
        if self.operator in (">", "<"):
            number, bound = _integer(value), int(self.values[0])
            return number is not None and (number > bound if self.operator == ">" else number < bound)
        return self.operator == "exists" or value in self.values

    def __str__(self) -> str:
        if self.operator in ("in", "notin"):
            return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
        if self.operator in ("exists", "!"):
            return self.operator.removeprefix("exists") + self.key
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()
    #: What stands for a key that is not there; fields that are not there are empty.
    default: str | None = None

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether labels, or fields by their path, are what is selected."""
        return all(requirement.holds(lambda key: values.get(key, self.default)) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


@dataclass(frozen=True, slots=True)
class ConditionsOverObject:
    """When the object of a `resource` template has succeeded or failed."""

    success: Selector
    failure: Selector

    @staticmethod
    def parse(success: str, failure: str) -> ConditionsOverObject:
        """Read `successCondition` and `failureCondition`; either may be empty.

        Raises:
            ExpressionError: one of them cannot be read.
        """
        return ConditionsOverObject(parse_selector(success), parse_selector(failure))

    def failed(self, tree: Any) -> Requirement | None:
        """The first requirement of the failure condition that holds: one is enough."""
        return next((found for found in self.failure.requirements if found.holds(_over(tree))), None)

    def succeeded(self, tree: Any) -> bool:
        """Whether the whole success condition holds; an empty one always does."""
        return all(requirement.holds(_over(tree)) for requirement in self.success.requirements)


def parse_selector(text: str) -> Selector:
    """Read a label selector.

    Raises:
        ExpressionError: it cannot be read, or a key or a value of it can be none of a label.
    """
    try:
        requirements = _LabelParser(text).parse()
    except ExpressionError as error:
        raise ExpressionError(
            f"Selector '{text}': {error.message}", hint=error.hint or "Write it like a=b,c!=d,e in (x,y),!f."
        ) from None
    return Selector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


def parse_field_selector(text: str) -> Selector:
    """Read a field selector.

    Raises:
        ExpressionError: it cannot be read.
    """
    requirements: list[Requirement] = []
    position = 0
    while position < len(text):
        listed = _LISTED.match(text, position)
        if listed:
            values = tuple(value.strip() for value in listed[3].split(","))
            requirements.append(Requirement(listed[1], listed[2], values))
            position = listed.end()
            continue
        term = _TERM.match(text, position)
        if term is None:
            raise _bad_field_selector(text, "it ends with a backslash")
        position = term.end()
        if term[1]:
            requirements.append(_field_term(text, term[1]))
    return Selector(tuple(requirements), default="")


# --- label selectors

_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!<>(),]|[^=!<>(), \t\r\n]+)")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SYMBOLS = frozenset({"==", "!=", "=", "!", "<", ">", "(", ")", ","})
_INTEGER = re.compile(r"[+-]?[0-9]+")


class _LabelParser:
    def __init__(self, text: str) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(text)]
        self._position = 0

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while self._token() or requirements:
            requirements.append(self._requirement())
            if not self._token():
                break
            self._expect(",")
        return requirements

    def _token(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._token()
        self._position += 1
        return token

    def _expect(self, wanted: str) -> None:
        found = self._take()
        if found != wanted:
            raise ExpressionError(f"'{wanted}' is missing before {_shown(found)}.")

    def _word(self) -> str:
        token = self._take()
        if not token or token in _SYMBOLS:
            raise ExpressionError(f"a name is missing before {_shown(token)}.")
        return token

    def _requirement(self) -> Requirement:
        absent = self._token() == "!"
        if absent:
            self._position += 1
        key = self._word()
        _check_key(key)
        if absent or self._token() in ("", ","):
            return Requirement(key, "!" if absent else "exists")
        operator = self._take()
        if operator in ("in", "notin"):
            return Requirement(key, operator, self._values())
        if operator not in ("=", "==", "!=", ">", "<"):
            raise ExpressionError(f"{_shown(operator)} is not an operator after '{key}'.")
        value = "" if self._token() in ("", ",") else self._word()
        if operator in (">", "<") and _integer(value) is None:
            raise ExpressionError(f"'{key}{operator}' needs a whole number, not '{value}'.")
        _check_value(value)
        return Requirement(key, operator[-1] if operator == "==" else operator, (value,))

    def _values(self) -> tuple[str, ...]:
        """Words in parentheses; between two commas without a word is an empty one."""
        self._expect("(")
        values = [""]
        while (part := self._take()) != ")":
            if part != "," and (not part or part in _SYMBOLS or values[-1]):
                raise ExpressionError(f"')' is missing before {_shown(part)}.")
            if part == ",":
                values.append("")
            else:
                _check_value(part)
                values[-1] = part
        return tuple(values)


def _shown(token: str) -> str:
    return f"'{token}'" if token else "the end"


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    prefixed = bool(_PREFIX.fullmatch(prefix)) and len(prefix) <= 253 if slash else True
    if not prefixed or not _NAME.fullmatch(name) or len(name) > 63:
        raise ExpressionError(
            f"'{key}' cannot be a key.",
            hint="A key has at most 63 letters, digits, '-', '_' and '.', with an optional domain and '/' before them.",
        )


def _check_value(value: str) -> None:
    if value and (not _NAME.fullmatch(value) or len(value) > 63):
        raise ExpressionError(
            f"'{value}' cannot be a value.", hint="A value has at most 63 letters, digits, '-', '_' and '.'."
        )


def _integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text) and len(text) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


# --- field selectors

_LISTED = re.compile(r"\s*([^\s=!,\\]+)\s+(in|notin)\s*\(([^()]*)\)\s*(?:,|$)")
_TERM = re.compile(r"((?:[^,\\]|\\.)*)(?:,|$)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _field_term(text: str, term: str) -> Requirement:
    match = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
    if match is None:
        raise _bad_field_selector(text, f"'{term}' has no operator")
    key, operator, value = match[1].strip(), match[2], match[3]
    for escaped in _ESCAPE.findall(value):
        if escaped not in "\\,=":
            raise _bad_field_selector(text, f"'\\{escaped}' is not an escape")
    if "=" in _ESCAPE.sub("", value):
        raise _bad_field_selector(text, f"the '=' in the value '{value}' needs a backslash before it")
    return Requirement(key, "!=" if operator == "!=" else "=", (_ESCAPE.sub(r"\1", value),))


def _bad_field_selector(text: str, why: str) -> ExpressionError:
    return ExpressionError(f"Field selector '{text}': {why}.", hint="Write it like metadata.name=x,status.phase!=y.")


# --- conditions over objects


def _over(tree: Any) -> Lookup:
    """Values of a JSON tree by path, as texts."""

    def lookup(path: str) -> str | None:
        value = tree
        for part in path.split("."):
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return _text(value)

    return lookup


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value if isinstance(value, str) else go_json(value)
