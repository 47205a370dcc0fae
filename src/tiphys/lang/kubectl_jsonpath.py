r"""The JSONPath templates of kubectl, which `valueFrom.jsonPath` of a resource template holds.

Text stands for itself; an action in braces is replaced by what it finds: `{.metadata.name}`, `{.items[0]['a','b']}`,
`{.items[-1:]}`, `{..name}`, `{.items[*].kind}`, `{.items[?(@.status.phase=="Running")]}`, `{"\n"}`, and
`{range .items[*]} … {end}`. Several values are printed with a space between them, objects and lists as JSON.

Semantics: k8s.io/client-go v0.35, util/jsonpath, with missing keys allowed (they print nothing), as `kubectl get -o
jsonpath=` has it. `$` and `@` both are the present object; a dot in a key is written `\.`. Members of an object come in
the order of their keys.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tiphys.errors import ExpressionError
from tiphys.lang.goformat import go_string
from tiphys.lang.gojson import go_json

_MAX_VALUES = 1_000_000
_TERMINATORS = " \t\r\n.,[]$@{}"


def render(template: str, data: Any) -> str:
    """The template with its actions replaced by what they find in a JSON value.

    Raises:
        ExpressionError: the template cannot be read; an index is out of bounds; values cannot be compared.
    """
    try:
        return "".join(map(_print, _run(_parse(template), data)))
    except ExpressionError as error:
        raise ExpressionError(
            f"JSONPath template '{template}': {error.message}", hint=error.hint or "Write it like {.status.phase}."
        ) from None
    except RecursionError:
        raise ExpressionError(f"JSONPath template '{template}' is nested too deeply.", hint="Split it.") from None


# --- what a template is made of


@dataclass(frozen=True, slots=True)
class _Value:
    """Text, a number or a boolean that stands in the template."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Field:
    name: str


@dataclass(frozen=True, slots=True)
class _Slice:
    start: int
    #: None for the end of the list.
    stop: int | None
    step: int
    #: Whether it was written as one index.
    single: bool


@dataclass(frozen=True, slots=True)
class _Union:
    members: tuple[_Action, ...]


@dataclass(frozen=True, slots=True)
class _Filter:
    left: _Action
    #: "exists" if there is nothing to compare with.
    operator: str
    right: _Action


#: One of these, or one of the marks "*", "..", "range" and "end".
_Step = _Value | _Field | _Slice | _Union | _Filter | str
_Action = tuple[_Step, ...]


@dataclass(frozen=True, slots=True)
class _Range:
    over: _Action
    body: tuple[_Action | _Range, ...]


_Block = tuple[_Action | _Range, ...]


# --- reading a template


@lru_cache(maxsize=256)
def _parse(template: str) -> _Block:
    actions: list[_Action] = []
    position = 0
    while position < len(template):
        opened = template.find("{", position)
        if opened < 0:
            opened = len(template)
        if opened > position:
            actions.append((_Value(template[position:opened]),))
        position = opened
        if opened < len(template):
            action, position = _Reader(template, opened + 1).read()
            actions.append(action)
    block, rest = _block(actions, 0, nested=False)
    if rest < len(actions):
        raise ExpressionError("'{end}' has no '{range …}' before it.")
    return block


def _block(actions: Sequence[_Action], position: int, *, nested: bool) -> tuple[_Block, int]:
    """The actions up to the end of the block, and where the next ones are."""
    block: list[_Action | _Range] = []
    while position < len(actions):
        action = actions[position]
        position += 1
        if "end" in action:
            return tuple(block), position if nested else position - 1
        if "range" in action:
            over = tuple(step for step in action if step != "range")
            body, position = _block(actions, position, nested=True)
            block.append(_Range(over, body))
        else:
            block.append(action)
    if nested:
        raise ExpressionError("'{range …}' has no '{end}'.")
    return tuple(block), position


class _Reader:
    """Reads one action; it starts behind the brace that opens it."""

    def __init__(self, text: str, position: int) -> None:
        self._text = text
        self._position = position
        self._steps: list[_Step] = []

    def read(self) -> tuple[_Action, int]:
        while not self._text.startswith("}", self._position):
            character = self._text[self._position : self._position + 1]
            if self._text.startswith("[?(", self._position):
                self._filter()
            elif self._text.startswith("..", self._position):
                self._recursion()
            elif character in (" ", "@", "$"):
                self._position += 1
            elif character in ("", "\r", "\n"):
                raise ExpressionError("an action is not closed by '}'.")
            elif character == "[":
                self._subscript()
            elif character in "\"'":
                self._quoted(character)
            elif character == ".":
                self._position += 1
                self._field()
            elif character in "+-" or character.isdecimal():
                self._number()
            elif character.isalpha() or character == "_":
                self._word()
            else:
                raise ExpressionError(f"'{character}' is not expected in an action.")
        return tuple(self._steps), self._position + 1

    def _match(self, pattern: str, problem: str) -> re.Match[str]:
        match = re.compile(pattern).match(self._text, self._position)
        if match is None:
            raise ExpressionError(problem)
        self._position = match.end()
        return match

    def _field(self) -> None:
        name = self._match(rf"(?:\\.|[^\\{re.escape(_TERMINATORS)}])*", "a field has no name.")[0]
        self._steps.append("*" if name == "*" else _Field(name.replace("\\", "")))

    def _recursion(self) -> None:
        if self._steps and self._steps[-1] == "..":
            raise ExpressionError("'..' stands twice.")
        self._position += 2
        self._steps.append("..")
        following = self._text[self._position : self._position + 1]
        if following.isalnum() or following == "_":
            self._field()

    def _number(self) -> None:
        text = self._match(r"[+-]?[0-9.]*", "a number is missing.")[0]
        try:
            self._steps.append(_Value(float(text) if "." in text else int(text)))
        except ValueError:
            raise ExpressionError(f"'{text}' is not a number.") from None

    def _word(self) -> None:
        word = self._match(rf"[^{re.escape(_TERMINATORS)}]+", "a word is missing.")[0]
        if word in ("true", "false"):
            self._steps.append(_Value(word == "true"))
        elif word in ("range", "end"):
            self._steps.append(word)
        else:
            raise ExpressionError(
                f"'{word}' is neither range nor end.", hint=f"Write {{.{word}}} for the field of that name."
            )

    def _quoted(self, quote: str) -> None:
        match = self._match(rf"{quote}((?:\\.|[^\\\n])*?){quote}", "a quoted text is not closed.")
        self._steps.append(_Value(_unescaped(match[1])))

    def _subscript(self) -> None:
        text = self._match(r"\[([^\]\n]*)\]", "a '[' is not closed.")[1]
        members = text.split(",")
        if len(members) > 1:
            self._steps.append(_Union(tuple(_action(f"[{member.strip()}]") for member in members)))
        elif text[:1] == text[-1:] == "'" and len(text) > 1:
            self._steps.extend(_action("." + text[1:-1]))
        else:
            self._steps.append(_slice(text))

    def _filter(self) -> None:
        pattern = r"""\[\?\(((?:[^"')\n]|"(?:\\.|[^"\n])*"|'(?:\\.|[^'\n])*')*)\)\]"""
        condition = self._match(pattern, "a filter is not closed by ')]'.")[1]
        parts = re.fullmatch(r"([^!<>=]+)([!<>=]+)(.+)", condition)
        if parts is None:
            self._steps.append(_Filter(_action(condition), "exists", ()))
        elif parts[2] not in ("==", "!=", "<", "<=", ">", ">="):
            raise ExpressionError(f"'{parts[2]}' is not an operator of a filter.")
        else:
            self._steps.append(_Filter(_action(parts[1]), parts[2], _action(parts[3])))


def _action(text: str) -> _Action:
    """The steps of a text that stands inside an action."""
    steps, end = _Reader(text + "}", 0).read()
    if end <= len(text) or "range" in steps or "end" in steps:
        raise ExpressionError(f"'{text}' cannot stand in brackets.")
    return steps


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        hexadecimal = match[1] or match[2] or match[3]
        if hexadecimal or match[4]:
            code = int(hexadecimal, 16) if hexadecimal else int(match[4], 8)
            if code > 0x10FFFF:
                raise ExpressionError(f"'{match[0]}' is not a character.")
            return chr(code)
        if match[5] not in _ESCAPED and match[5] not in "\\'\"":
            raise ExpressionError(f"'{match[0]}' is not an escape.")
        return _ESCAPED.get(match[5], match[5])

    return _ESCAPE.sub(replaced, text)


def _slice(text: str) -> _Slice:
    match = re.fullmatch(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?", ":" if text == "*" else text)
    if match is None or "-" in (part.lstrip(":") for part in match.groups("")):
        raise ExpressionError(f"'[{text}]' is neither an index, a slice, a key in single quotes nor a filter.")
    start, stop, step = (int(part.lstrip(":")) if part.lstrip(":") else None for part in match.groups(""))
    if match[2] is None:
        return _Slice(start or 0, (start or 0) + 1, 1, single=True)
    return _Slice(start or 0, stop, 1 if step is None else step, single=False)


# --- carrying it out


def _run(block: _Block, data: Any) -> list[list[Any]]:
    """What each action found, in order."""
    found: list[list[Any]] = []
    for part in block:
        if isinstance(part, _Range):
            for value in _follow(part.over, [data]):
                found += _run(part.body, value)
        else:
            found.append(_follow(part, [data]))
    return found


def _follow(action: _Action, values: list[Any]) -> list[Any]:
    for step in action:
        values = _step(step, values)
        if len(values) > _MAX_VALUES:
            raise ExpressionError(f"it finds more than {_MAX_VALUES:,} values.", hint="Select less.")
    return values


def _step(step: _Step, values: list[Any]) -> list[Any]:
    if isinstance(step, _Value):
        return [step.value]
    if isinstance(step, _Field):
        return [value[step.name] for value in values if isinstance(value, dict) and step.name in value]
    if isinstance(step, _Union):
        return [found for member in step.members for found in _follow(member, values)]
    if isinstance(step, _Slice):
        return [element for value in values if value is not None for element in _elements(step, value)]
    if isinstance(step, _Filter):
        return [element for value in values for element in _list(value) if _holds(step, element)]
    if step == "*":
        return [child for value in values for child in _children(value)]
    return [found for value in values for found in _descendants(value)]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ExpressionError(f"{_text(value)} is not a list.")
    return value


def _elements(step: _Slice, value: Any) -> list[Any]:
    items = _list(value)
    start = step.start + len(items) if step.start < 0 else step.start
    stop = len(items) if step.stop is None else step.stop
    if stop < 0 or (stop == 0 and step.single):
        stop += len(items)
    if start == stop:
        return []
    for index, last in ((start, len(items) - 1), (stop, len(items))):
        if not 0 <= index <= last:
            raise ExpressionError(f"index {index} is out of bounds: the list has {len(items)} elements.")
    if start > stop:
        raise ExpressionError(f"a slice starts at {start}, behind its end at {stop}.")
    if step.step <= 0:
        raise ExpressionError("the step of a slice must be greater than 0.")
    return items[start : stop : step.step]


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _descendants(value: Any) -> list[Any]:
    """The value and all in it that are not empty and not numbers, booleans or null; parents before children."""
    found, waiting = [], [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict | list | str) and current:
            found.append(current)
            waiting.extend(reversed(_children(current)))
    return found


def _holds(step: _Filter, element: Any) -> bool:
    if step.operator == "exists":
        try:
            return bool(_follow(step.left, [element]))
        except ExpressionError:
            return False
    left, right = _follow(step.left, [element]), _follow(step.right, [element])
    if not left or not right:
        return False
    if len(left) > 1 or len(right) > 1:
        raise ExpressionError("a filter can only compare one value with one other.")
    return _compare(left[0], step.operator, right[0])


def _compare(left: Any, operator: str, right: Any) -> bool:
    kind = _kind(left)
    if kind is None or kind != _kind(right) or (kind == "boolean" and operator not in ("==", "!=")):
        raise ExpressionError(f"{_text(left)} and {_text(right)} cannot be compared by '{operator}'.")
    if operator in ("==", "!="):
        return bool(left == right) is (operator == "==")
    if operator in ("<", ">="):
        return bool(left < right) is (operator == "<")
    return bool(left <= right) is (operator == "<=")


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def _print(values: list[Any]) -> str:
    return " ".join(map(_text, values))


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return go_json(value) if isinstance(value, dict | list) else go_string(value)
