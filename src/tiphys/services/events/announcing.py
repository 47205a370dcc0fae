"""News of a run and its steps, written in the transaction of what happened: none is lost, and they are in order.

Whoever subscribed when a run began, or when it was taken up by another process, is told of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.ports.recorder import Change
from tiphys.ports.store import Transaction
from tiphys.records.events import EventSubscription, RunNotice
from tiphys.records.workflows import WorkflowSummary

_PREFIX = "dev.tiphys"
#: Nodes that do something themselves; all others only group them.
_STEPS = frozenset({NodeType.POD, NodeType.PLUGIN, NodeType.HTTP, NodeType.SUSPEND, NodeType.SKIPPED})


class Announcer:
    """What is told of one run.

    Args:
        subscriptions: Those of its workspace.
        workflow: The run's workflow.
    """

    def __init__(self, subscriptions: Sequence[EventSubscription], workflow: WorkflowSummary) -> None:
        self._subscriptions = subscriptions
        self._workflow = workflow
        #: What was told last, of the run ("") and of each node.
        self._told: dict[str, Phase] = {}
        self._state: WorkflowState | None = None

    def announce(self, transaction: Transaction, change: Change, now: datetime) -> None:
        """Write down what is to be told of a change."""
        self._state = change.state or self._state
        notices: list[RunNotice] = []
        state = change.state
        # A run begins before its first step does, and ends after its last one.
        if state is not None and not state.phase.fulfilled:
            notices += self._of_run(state, now)
        for node in change.nodes:
            if node.type in _STEPS and self._is_new(node.id, node.phase):
                moment = _moment(node.started_at, node.finished_at, node.phase, now)
                notices += self._notices("step", node.id, node.phase, moment, self._data(node), now)
        if state is not None and state.phase.fulfilled:
            notices += self._of_run(state, now)
        transaction.add(*notices)

    def _of_run(self, state: WorkflowState, now: datetime) -> list[RunNotice]:
        if not self._is_new("", state.phase):
            return []
        moment = _moment(state.started_at, state.finished_at, state.phase, now)
        return self._notices("run", self._workflow.name, state.phase, moment, self._data(), now)

    def _is_new(self, key: str, phase: Phase) -> bool:
        if phase is Phase.PENDING or self._told.get(key) is phase:
            return False
        self._told[key] = phase
        return True

    def _notices(
        self, what: str, subject: str, phase: Phase, moment: datetime, data: dict[str, Any], now: datetime
    ) -> list[RunNotice]:
        kind = f"{_PREFIX}.{what}.{'started' if phase is Phase.RUNNING else phase.value.lower()}"
        workflow = self._workflow
        return [
            RunNotice(
                id=new_id(),
                subscription_id=subscription.id,
                workflow_uid=workflow.id,
                event_id=f"{workflow.id}/{subject}/{phase.value}/{rfc3339(moment)}",
                type=kind,
                source=f"/api/v1/workflows/{workflow.workspace}/{workflow.name}",
                subject=subject,
                happened_at=moment,
                data=data,
                due_at=now,
            )
            for subscription in self._subscriptions
            if not subscription.types or any(kind.startswith(wanted) for wanted in subscription.types)
        ]

    def _data(self, node: Node | None = None) -> dict[str, Any]:
        """The workflow as Argo's API shows it, with what has happened alone."""
        workflow, state = self._workflow, self._state
        metadata = {
            "name": workflow.name,
            "namespace": workflow.workspace,
            "uid": workflow.id,
            "creationTimestamp": rfc3339(workflow.created_at),
            "labels": dict(workflow.labels),
        }
        status: dict[str, Any] = {"phase": workflow.phase}
        if state is not None:
            status = _status(state.phase, state.message, state.started_at, state.finished_at)
        if node is not None:
            shown = {"id": node.id, "name": node.name, "displayName": node.display_name, "type": node.type.value}
            shown |= _status(node.phase, node.message, node.started_at, node.finished_at)
            status["nodes"] = {node.id: shown}
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "status": status}


def _status(phase: Phase, message: str, started: float | None, finished: float | None) -> dict[str, Any]:
    shown = {
        "phase": phase.value,
        "message": message,
        "startedAt": None if started is None else rfc3339(from_epoch(started)),
        "finishedAt": None if finished is None else rfc3339(from_epoch(finished)),
    }
    return {name: value for name, value in shown.items() if value}


def _moment(started: float | None, finished: float | None, phase: Phase, now: datetime) -> datetime:
    seconds = finished if phase.fulfilled else started
    return now if seconds is None else from_epoch(seconds)
