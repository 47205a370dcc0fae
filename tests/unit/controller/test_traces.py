"""From a request to a workflow and its nodes: spans, and the link between both."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.unit.sdk.pods.planning import Cluster

from tiphys._util import tracing
from tiphys.controller.traces import report
from tiphys.engine.model import Node, NodeType, Phase, Values, WorkflowState
from tiphys.ports.runner import Task
from tiphys.sdk.pods.context import PodContext
from tiphys.sdk.pods.environment import environment_of
from tiphys.server.request_span import Outcome, request_span

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda scope="tests": provider.get_tracer(scope))
    return exporter


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def scope(**headers: str) -> dict[str, Any]:
    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    route = type("Route", (), {"path": "/workflows/{name}"})()
    return {"type": "http", "method": "POST", "headers": listed, "route": route, "request_id": "r-1"}


async def asked(headers: dict[str, str]) -> str:
    outcome = Outcome()
    with request_span(scope(**headers), outcome):
        outcome.status = 200
        return await asyncio.to_thread(tracing.current_parent)


def test_a_request_is_a_child_of_its_client_and_known_to_who_answers_it(exporter: InMemorySpanExporter) -> None:
    parent = asyncio.run(asked({"traceparent": CLIENT}))
    span = spans(exporter)["POST /workflows/{name}"]
    assert span.context is not None
    assert parent.split("-")[1:3] == [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == tuple(CLIENT.split("-")[1:3])
    assert dict(span.attributes or {})["http.response.status_code"] == 200


def test_a_workflow_is_a_trace_of_its_own_linked_to_the_request(exporter: InMemorySpanExporter) -> None:
    state = WorkflowState("uid", "w", Phase.FAILED, "child failed", 100.0, 103.5)
    ended = Node(
        id="n",
        name="w.a",
        display_name="a",
        type=NodeType.POD,
        phase=Phase.FAILED,
        template="main",
        message="exit 1",
        started_at=101.0,
        finished_at=102.0,
    )
    omitted = Node(id="o", name="w.b", display_name="b", type=NodeType.SKIPPED, phase=Phase.OMITTED, template="main")
    report(state, [ended, omitted], namespace="argo", parent=CLIENT)
    found = spans(exporter)
    assert set(found) == {"workflow w", "a"}
    run, step = found["workflow w"], found["a"]
    assert (run.start_time, run.end_time) == (100_000_000_000, 103_500_000_000)
    assert [f"{link.context.span_id:016x}" for link in run.links] == [CLIENT.split("-")[2]]
    assert run.parent is None
    assert step.parent is not None
    assert run.context is not None
    assert step.parent.span_id == run.context.span_id
    assert (step.status.status_code, step.status.description) == (trace.StatusCode.ERROR, "exit 1")
    assert (step.start_time, step.end_time) == (101_000_000_000, 102_000_000_000)


@pytest.mark.parametrize("text", ["", "00-x-y-01", CLIENT + "0", CLIENT.replace("00-", "01-", 1)])
def test_what_is_no_parent_is_none(text: str) -> None:
    assert tracing.context_of(text) is None


def test_nothing_is_traced_where_nobody_set_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "api", lambda: None)
    assert asyncio.run(asked({"traceparent": CLIENT})) == ""


def test_what_carries_a_node_out_is_told_of_its_span_before_it_is_made(exporter: InMemorySpanExporter) -> None:
    task = Task(id="t", workflow_uid="uid", node_id="n", name="w.a", attempt=0, body={}, inputs=Values())
    context = PodContext.of(task)
    found = environment_of({"name": "main"}, context=context, objects=Cluster(), template="{}")
    node = Node(id="n", name="w.a", display_name="a", type=NodeType.POD, phase=Phase.SUCCEEDED, template="main")
    node = replace(node, started_at=101.0, finished_at=102.0)
    state = WorkflowState("uid", "w", Phase.SUCCEEDED, "", 100.0, 103.5)
    report(state, [node], namespace="argo", parent="")
    run, step = spans(exporter)["workflow w"].context, spans(exporter)["a"].context
    assert run is not None
    assert step is not None
    assert found["TRACEPARENT"] == f"00-{run.trace_id:032x}-{step.span_id:016x}-01"
    assert run.span_id != step.span_id
    mine = {"name": "main", "env": [{"name": "TRACEPARENT", "value": CLIENT}]}
    own = environment_of(mine, context=context, objects=Cluster(), template="{}")
    assert own["TRACEPARENT"] == CLIENT


def test_a_process_without_traces_tells_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "tracer", lambda scope="tests": trace.NoOpTracer())
    assert tracing.parent_of("uid", "n") == ""
    assert tracing.given_parent({}) == ""
    assert tracing.given_parent({"TRACEPARENT": "00-x"}) == ""
    assert tracing.given_parent({"TRACEPARENT": CLIENT}) == CLIENT
