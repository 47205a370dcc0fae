"""A trace of each workflow that ended: a span for it, linked to the request that submitted it, and one for each node.

They are made of what is stored, so a workflow that several processes carried out one after the other has one trace.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys._util import tracing
from tiphys.engine.model import Node, WorkflowState

_NANOSECONDS = 1_000_000_000


def report(state: WorkflowState, nodes: Iterable[Node], *, namespace: str, parent: str) -> None:
    """Hand a workflow's spans to OpenTelemetry, if the process uses it.

    Args:
        state: How it ended.
        nodes: Its nodes.
        namespace: Where it belongs.
        parent: The span that submitted it (`tracing.current_parent`), or empty.
    """
    trace, tracer = tracing.api(), tracing.tracer(tracing.RUNS)
    if trace is None or state.started_at is None or state.finished_at is None:
        return
    submitted = tracing.context_of(parent)
    tracer.id_generator = tracing.NamedIds(state.uid)
    run = tracer.start_span(
        f"workflow {state.name}",
        # A trace of its own, whatever span the controller's thread has: workflows outlive requests by far.
        context=trace.set_span_in_context(trace.INVALID_SPAN),
        links=[trace.Link(submitted)] if submitted is not None else [],
        start_time=_nanoseconds(state.started_at),
        attributes={
            "tiphys.workflow.name": state.name,
            "tiphys.workflow.uid": state.uid,
            "tiphys.workflow.namespace": namespace,
            "tiphys.phase": state.phase.value,
        },
    )
    if not run.is_recording():
        return
    context = trace.set_span_in_context(run)
    for node in nodes:
        if node.started_at is None or node.finished_at is None:
            continue
        attributes = {"tiphys.node.id": node.id, "tiphys.node.type": node.type.value, "tiphys.phase": node.phase.value}
        started = _nanoseconds(node.started_at)
        tracer.id_generator = tracing.NamedIds(state.uid, node.id)
        span = tracer.start_span(node.display_name, context=context, start_time=started, attributes=attributes)
        if node.phase.failed:
            span.set_status(trace.Status(trace.StatusCode.ERROR, node.message))
        span.end(_nanoseconds(node.finished_at))
    if state.phase.failed:
        run.set_status(trace.Status(trace.StatusCode.ERROR, state.message))
    run.end(_nanoseconds(state.finished_at))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
