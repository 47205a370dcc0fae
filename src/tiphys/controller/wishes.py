"""What other processes ask of a workflow, as the engine is told of it."""

from __future__ import annotations

from tiphys.engine.events import Event, NodeSet, ResumeRequested, SuspendRequested
from tiphys.engine.model import Phase
from tiphys.records.workflows import WorkflowOperation, WorkflowRequest


def event_of(wish: WorkflowRequest) -> Event:
    """The event that grants a wish."""
    if wish.operation is WorkflowOperation.SUSPEND:
        return SuspendRequested()
    if wish.operation is WorkflowOperation.RESUME:
        return ResumeRequested()
    phase = None if wish.phase is None else Phase(wish.phase)
    return NodeSet(wish.node_id, phase, wish.message, wish.outputs)
