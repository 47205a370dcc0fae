"""Wishes for running workflows: events of the engine that wait in the database for the workflow's owner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.engine.events import NodeSet, ResumeRequested, SuspendRequested
from tiphys.engine.model import Node, Phase, Values
from tiphys.records.workflows import WorkflowOperation, WorkflowRequest

#: Events that can be asked for.
Wish = SuspendRequested | ResumeRequested | NodeSet


def requests_for(uid: str, wishes: Iterable[Wish]) -> list[WorkflowRequest]:
    """Rows that ask the owner of a workflow for these events, in this order."""
    return [_request(uid, wish) for wish in wishes]


def as_asked(nodes: Iterable[Node], pending: Iterable[WorkflowRequest]) -> list[Node]:
    """Nodes as they will be when these wishes have been granted: what follows may rely on it."""
    found = {node.id: node for node in nodes}
    for request in pending:
        node = found.get(request.node_id)
        if node is not None and request.operation is WorkflowOperation.SET:
            outputs = node.outputs or Values()
            found[node.id] = replace(
                node,
                phase=node.phase if request.phase is None else Phase(request.phase),
                outputs=replace(outputs, parameters={**outputs.parameters, **request.outputs}),
            )
    return list(found.values())


def _request(uid: str, wish: Wish) -> WorkflowRequest:
    made, now = new_id(), utc_now()
    if isinstance(wish, NodeSet):
        return WorkflowRequest(
            id=made,
            workflow_uid=uid,
            operation=WorkflowOperation.SET,
            node_id=wish.node_id,
            phase=None if wish.phase is None else wish.phase.value,
            message=wish.message,
            outputs=dict(wish.outputs),
            created_at=now,
        )
    operation = WorkflowOperation.SUSPEND if isinstance(wish, SuspendRequested) else WorkflowOperation.RESUME
    return WorkflowRequest(id=made, workflow_uid=uid, operation=operation, created_at=now)
