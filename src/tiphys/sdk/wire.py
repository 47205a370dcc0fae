"""Tasks and their reports as JSON, for runners whose steps run in other processes or on other machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values
from tiphys.ports.runner import Task
from tiphys.ports.step_result import StepResult

#: Fields of a node that people are shown.
_SHOWN = tuple(one.name for one in fields(Node) if one.name not in ("inputs", "outputs", "memo"))


def task_to_json(task: Task) -> dict[str, Any]:
    """A task as a JSON object."""
    return {
        "id": task.id,
        "workflow_uid": task.workflow_uid,
        "node_id": task.node_id,
        "name": task.name,
        "attempt": task.attempt,
        "body": task.body,
        "inputs": _values_to_json(task.inputs),
        "last_attempt": task.last_attempt,
        "deadline": task.deadline,
        "context": task.context,
    }


def task_from_json(data: Mapping[str, Any]) -> Task:
    """Read what `task_to_json` wrote."""
    return Task(**{**data, "inputs": Values(**data["inputs"])})


def finished_to_text(finished: TaskFinished) -> str:
    """A report as JSON text. Metadata that is no JSON is written as its text."""
    details = finished.details
    return json.dumps(
        {
            "task_id": finished.task_id,
            "phase": finished.phase.value,
            "message": finished.message,
            "outputs": None if finished.outputs is None else _values_to_json(finished.outputs),
            "reason": finished.reason.value,
            "retryable": finished.retryable,
            "details": details.to_json() if isinstance(details, StepResult) else None,
        },
        default=str,
    )


def finished_from_text(text: str | bytes) -> TaskFinished:
    """Read what `finished_to_text` wrote."""
    data = json.loads(text)
    return TaskFinished(
        data["task_id"],
        Phase(data["phase"]),
        data["message"],
        outputs=None if data["outputs"] is None else Values(**data["outputs"]),
        reason=Reason(data["reason"]),
        retryable=data["retryable"],
        details=None if data["details"] is None else StepResult.from_json(data["details"]),
    )


def node_to_json(node: Node) -> dict[str, Any]:
    """What people are shown of a node, as a JSON object: all but what it was given and gave."""
    return {name: getattr(node, name) for name in _SHOWN}


def node_from_json(data: Mapping[str, Any]) -> Node:
    """Read what `node_to_json` wrote."""
    known = {name: data[name] for name in _SHOWN if name in data}
    return Node(
        **{**known, "type": NodeType(data["type"]), "phase": Phase(data["phase"]), "reason": Reason(data["reason"])}
    )


def _values_to_json(values: Values) -> dict[str, Any]:
    return {
        "parameters": values.parameters,
        "artifacts": values.artifacts,
        "result": values.result,
        "exit_code": values.exit_code,
    }
