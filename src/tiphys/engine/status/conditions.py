"""Remarks on a workflow: Argo's `status.conditions`.

Completed and PodRunning follow from the nodes. The others are written into the stored manifest's status by who finds
them: SpecWarning when the workflow is submitted, MetricsError when a metric cannot be evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.spec.status import Condition

SPEC_WARNING = "SpecWarning"
METRICS_ERROR = "MetricsError"
_COMPLETED, _POD_RUNNING = "Completed", "PodRunning"


def conditions(given: Iterable[Condition] | None, state: WorkflowState, nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """All conditions of a workflow, as JSON.

    Args:
        given: Those of the stored manifest's status.
        state: The workflow's own state.
        nodes: All its nodes.
    """
    found = [condition.to_json() for condition in given or () if condition.type not in (_COMPLETED, _POD_RUNNING)]
    if state.phase is Phase.PENDING:
        return found
    runs = any(node.type is NodeType.POD and node.phase is Phase.RUNNING for node in nodes)
    found.append({"type": _POD_RUNNING, "status": str(runs)})
    if state.phase.fulfilled:
        found.append({"type": _COMPLETED, "status": "True"})
    return found


def with_condition(given: Iterable[Mapping[str, Any]] | None, kind: str, message: str) -> list[dict[str, Any]]:
    """Conditions as JSON, that of one type with this message alone; without it if the message is empty."""
    found = [dict(condition) for condition in given or () if condition.get("type") != kind]
    if message:
        found.append({"type": kind, "status": "True", "message": message})
    return found
