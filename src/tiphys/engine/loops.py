"""Loops: the items of withItems, withParam and withSequence, their texts and names, and what a loop's outputs are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tiphys.engine.model import ArtifactValue, Node, Phase
from tiphys.errors import ExpressionError
from tiphys.lang.gojson import go_json, go_text

#: Node names carry the item for people to read; the index in front keeps them apart, so a long item may be cut.
_LONGEST = 120
_FORMAT = re.compile(r"%([-+ #0]*)(\d*)([dxXobcv%])")


def parse_items(text: str) -> list[Any]:
    """The items of `withParam`.

    Raises:
        ExpressionError: the text is not a JSON list.
    """
    try:
        items = json.loads(text)
    except ValueError as error:
        raise ExpressionError(
            f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}: {error}"
        ) from None
    if not isinstance(items, list):
        raise ExpressionError(f"withParam value could not be parsed as a JSON list: {text.strip()[:200]}")
    return items


def sequence(*, start: str | None, end: str | None, count: str | None, format: str | None) -> list[str]:
    """The items of `withSequence`; a sequence whose end lies before its start descends.

    Raises:
        ExpressionError: a bound is no whole number, or neither end nor count is given.
    """
    first = _whole(start, "start") if start else 0
    if end:
        last = _whole(end, "end")
    elif count:
        number = _whole(count, "count")
        if number == 0:
            return []
        last = first + number - 1
    else:
        raise ExpressionError("withSequence needs 'end' or 'count'.")
    numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return [_formatted(format, number) for number in numbers] if format else [str(number) for number in numbers]


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ExpressionError(f"withSequence.{name}: '{text}' is not a whole number.") from None


def _formatted(format: str, number: int) -> str:
    """`format` as Go's Sprintf fills it for one integer."""

    def verb(match: re.Match[str]) -> str:
        flags, width, kind = match.groups()
        if kind == "%":
            return "%"
        return f"%{flags}{width}{'d' if kind == 'v' else kind}" % number if kind != "b" else f"{number:{width}b}"

    return _FORMAT.sub(verb, format)


def item_value(item: Any, key: str) -> str | None:
    """What `{{item}}`, or with a key `{{item.key}}`, stands for."""
    if not key:
        return go_text(item)
    if isinstance(item, dict) and key in item:
        return go_text(item[key])
    return None


def item_name(task: str, index: int, item: Any) -> str:
    """Last part of the node name of one item: `task(0:value)`."""
    if isinstance(item, dict):
        label = ",".join(sorted(f"{key}:{go_text(value)}" for key, value in item.items()))
    elif isinstance(item, list):
        label = "[" + " ".join(go_text(member) for member in item) + "]"
    else:
        label = go_text(item)
    return f"{task}({index}:{label[:_LONGEST].replace('(', '').replace(')', '')})"


def item_index(name: str, group: str) -> int:
    """The index that `item_name` put into a node's name; `group` is the TaskGroup node's name."""
    start = len(group) + 1
    return int(name[start : name.index(":", start)])


class Aggregate:
    """Outputs of a loop as its consumers see them: those of the children that succeeded, in the order of the items."""

    __slots__ = ("_artifacts", "_children", "_parameters", "_result")

    def __init__(self, children: Iterable[Node | None]) -> None:
        self._children = [
            child
            for child in children
            if child is not None and child.phase is Phase.SUCCEEDED and child.outputs is not None
        ]
        self._parameters: dict[str, str | None] = {}
        self._artifacts: dict[str, list[Any] | None] = {}
        self._result: str | None = None

    def parameter(self, name: str) -> str | None:
        """JSON list of one output parameter; None if no child has it (but an empty list for a loop without outputs)."""
        if name not in self._parameters:
            values = [
                child.outputs.parameters[name]
                for child in self._children
                if child.outputs and name in child.outputs.parameters
            ]
            self._parameters[name] = json_list(values) if values else None
        return self._parameters[name]

    def names(self) -> set[str]:
        """Output parameters that any child has."""
        return {name for child in self._children if child.outputs for name in child.outputs.parameters}

    def parameters(self) -> str:
        """JSON list of maps."""
        return go_json(
            [child.outputs.parameters for child in self._children if child.outputs and child.outputs.parameters]
        )

    def artifact(self, name: str) -> ArtifactValue | None:
        """List of one output artifact."""
        if name not in self._artifacts:
            values = [
                child.outputs.artifacts[name]
                for child in self._children
                if child.outputs and name in child.outputs.artifacts
            ]
            self._artifacts[name] = values or None
        return self._artifacts[name]

    def result(self) -> str:
        """JSON list of the results.

        Raises:
            ExpressionError: a child's result is not JSON.
        """
        if self._result is None:
            results = []
            for child in self._children:
                if child.outputs is None or child.outputs.result is None:
                    continue
                try:
                    results.append(json.loads(child.outputs.result))
                except ValueError as error:
                    raise ExpressionError(f"The result of '{child.name}' is not JSON: {error}.") from None
            self._result = go_json(results)
        return self._result


def json_list(values: Sequence[str]) -> str:
    """A JSON list of texts; if all of them are JSON maps or lists, of these."""
    decoded = []
    for value in values:
        if value.lstrip()[:1] not in ("{", "["):
            return go_json(values)
        try:
            decoded.append(json.loads(value))
        except ValueError:
            return go_json(values)
    return go_json(decoded)
