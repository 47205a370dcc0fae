"""The status of a run, as ZenML names it, from the engine's."""

from __future__ import annotations

from tiphys.engine.model import Phase, WorkflowState
from tiphys.records.runs import ExecutionStatus

_PHASES = {
    Phase.PENDING: ExecutionStatus.INITIALIZING,
    Phase.RUNNING: ExecutionStatus.RUNNING,
    Phase.SUCCEEDED: ExecutionStatus.COMPLETED,
    Phase.FAILED: ExecutionStatus.FAILED,
    Phase.ERROR: ExecutionStatus.FAILED,
}


def status_of(state: WorkflowState) -> ExecutionStatus:
    """What a workflow's state means for its run."""
    status = _PHASES[state.phase]
    if status is ExecutionStatus.RUNNING:
        if state.shutdown:
            return ExecutionStatus.STOPPING
        return ExecutionStatus.PAUSED if state.suspended else status
    if status is ExecutionStatus.FAILED and state.shutdown:
        return ExecutionStatus.STOPPED
    return status
