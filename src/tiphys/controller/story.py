"""What becomes of workflows, as servers tell of it: a line at the end of each, and a trace where those are kept."""

from __future__ import annotations

import json
import logging

from tiphys._util import tracing
from tiphys.controller.traces import report
from tiphys.engine.machine import Machine
from tiphys.records.workflows import WorkflowRow

_story = logging.getLogger("tiphys.workflows")


def tell_of_end(row: WorkflowRow, machine: Machine) -> None:
    """Tell of a workflow that has ended."""
    fields = {"workflow": row.name, "namespace": row.workspace, "uid": row.id, "phase": machine.state.phase.value}
    _story.info("workflow ended", extra={"fields": fields})
    if tracing.api() is not None:
        annotations = json.loads(row.manifest).get("metadata", {}).get("annotations") or {}
        parent = str(annotations.get(tracing.TRACE_ANNOTATION, ""))
        report(machine.state, machine.nodes(), namespace=row.workspace, parent=parent)
