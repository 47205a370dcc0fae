"""Engine nodes to rows and back: what is asked for stands in columns, the rest in one JSON text without defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiphys.db.mapping import from_json, to_json
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values

_TYPES = {member.value: member for member in NodeType}
_PHASES = {member.value: member for member in Phase}
_REASONS = {member.value: member for member in Reason}
_plain = str.__str__
#: Fields that most nodes leave at their defaults.
_RARE = ("hooked", "hook", "daemoned", "ip", "progress", "memo", "waiting")


def _values_data(values: Values) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if values.parameters:
        data["parameters"] = values.parameters
    if values.artifacts:
        data["artifacts"] = values.artifacts
    if values.result is not None:
        data["result"] = values.result
    if values.exit_code is not None:
        data["exit_code"] = values.exit_code
    return data


def node_row(uid: str, node: Node) -> tuple[Any, ...]:
    """A node as values for the driver, in the order of the table's columns after `seq`."""
    data: dict[str, Any] = {}
    if node.attempt:
        data["attempt"] = node.attempt
    if node.parent_id is not None:
        data["parent_id"] = node.parent_id
    if node.message:
        data["message"] = node.message
    if node.reason:
        data["reason"] = node.reason
    if node.inputs is not None:
        data["inputs"] = _values_data(node.inputs)
    if node.outputs is not None:
        data["outputs"] = _values_data(node.outputs)
    for name in _RARE:
        value = getattr(node, name)
        if value:
            data[name] = value
    return (
        uid,
        node.id,
        node.name,
        _plain(node.type),
        _plain(node.phase),
        node.display_name,
        node.template,
        node.boundary_id,
        node.task_name,
        node.started_at,
        node.finished_at,
        to_json(data),
    )


def node_from(row: Sequence[Any]) -> Node:
    """The inverse of `node_row`."""
    _, node_id, name, node_type, phase, display_name, template, boundary_id, task_name, started, finished, text = row
    data = from_json(text)
    inputs, outputs = data.get("inputs"), data.get("outputs")
    return Node(
        id=node_id,
        name=name,
        display_name=display_name,
        type=_TYPES[node_type],
        phase=_PHASES[phase],
        template=template,
        boundary_id=boundary_id,
        task_name=task_name,
        attempt=data.get("attempt", 0),
        parent_id=data.get("parent_id"),
        message=data.get("message", ""),
        reason=_REASONS[data.get("reason", "")],
        started_at=started,
        finished_at=finished,
        inputs=None if inputs is None else Values(**inputs),
        outputs=None if outputs is None else Values(**outputs),
        **{name: data[name] for name in _RARE if name in data},
    )
