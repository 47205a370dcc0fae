"""Custom metrics of one workflow while it is carried out: which of them are looked at when.

Those of a template are looked at when a node that carries it out ends, in the transaction that writes the end down; an
attempt that is followed by another counts for itself, the last one through its Retry node. Those of the workflow are
looked at when it ends. Gauges with `realtime` are also looked at when a node, or the workflow, begins.

Semantics: Argo, workflow/controller/operator.go `executeTemplate` and steps.go `prepareMetricScope`. Of a node without
attempts `retries` is 0; in Argo it is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from tiphys._util.times import to_epoch
from tiphys.engine.model import Node, NodeType, Phase, WorkflowState
from tiphys.engine.status.conditions import METRICS_ERROR
from tiphys.engine.status.templates import Calls, executed_spec
from tiphys.engine.status.tree import Tree
from tiphys.engine.status.workflow import workflow_status
from tiphys.errors import ExpressionError
from tiphys.ports.recorder import Change
from tiphys.ports.store import Transaction
from tiphys.records.workflows import WorkflowRow
from tiphys.services.workflows.conditions import note_metrics_errors
from tiphys.services.workflows.metric_samples import Moment, is_realtime, sample_of
from tiphys.services.workflows.metric_store import add_sample, stop_growing
from tiphys.services.workflows.pods import pod_name
from tiphys.services.workflows.resources import resources_duration
from tiphys.services.workflows.variables import workflow_variables
from tiphys.spec.template import Prometheus
from tiphys.spec.workflow import Workflow

#: Nodes that carry out no template of their own.
_BARE = (NodeType.TASK_GROUP, NodeType.STEP_GROUP, NodeType.CONTAINER, NodeType.SKIPPED)
#: Most messages that a workflow's condition holds.
_MOST_ERRORS = 20


class WorkflowMetrics:
    """The metrics of one workflow.

    Args:
        row: The workflow.
        nodes: All its nodes, in the order in which they were first written.
        new: Ids of those whose present state is not yet measured.
    """

    def __init__(self, row: WorkflowRow, nodes: Iterable[Node], *, new: AbstractSet[str]) -> None:
        self._workflow = Workflow.from_json_text(row.manifest)
        manifest = json.loads(row.manifest)
        self._spec = executed_spec(self._workflow)
        self._own = (self._spec.metrics and self._spec.metrics.prometheus) or []
        defaults = self._spec.template_defaults
        self._defaults = (defaults.metrics if defaults is not None else None) or None
        self._grows = '"realtime":true' in row.manifest
        self._uid, self._name = row.id, row.name
        self._started_at = None if row.started_at is None else to_epoch(row.started_at)
        self._globals = workflow_variables(manifest["metadata"], self._spec.to_json())
        given = (self._workflow.status.conditions if self._workflow.status is not None else None) or ()
        self._errors = [one.message for one in given if one.type == METRICS_ERROR and one.message]
        self._nodes: dict[str, Node] = {}
        self._by_name: dict[str, Node] = {}
        #: Node id → its place in the order of first writing.
        self._places: dict[str, int] = {}
        self._attempts: Counter[str] = Counter()
        for node in nodes:
            self._see(node)
        self._begun = {node_id for node_id in self._nodes if node_id not in new}
        self._ended = {node_id for node_id in self._begun if self._nodes[node_id].phase.fulfilled}

    def record(self, transaction: Transaction, change: Change, now: datetime) -> None:
        """Take down what the metrics say of a change."""
        known = len(self._errors)
        for node in change.nodes:
            self._see(node)
        state = change.state
        if state is not None and state.started_at is not None:
            if self._grows and not state.phase.fulfilled:
                self._measure_workflow(transaction, state, now, begins=True)
            self._started_at = state.started_at
        self._measure_nodes(transaction, change, now)
        if state is not None and state.phase.fulfilled:
            self._measure_workflow(transaction, state, now, begins=False)
            if self._grows:
                stop_growing(transaction, self._uid, state.finished_at or to_epoch(now))
        if len(self._errors) > known:
            note_metrics_errors(transaction, self._uid, self._errors)

    def _see(self, node: Node) -> None:
        if node.id not in self._places:
            self._places[node.id] = len(self._places)
            retry = self._retry_of(node)
            if retry is not None:
                self._attempts[retry.id] += 1
        self._nodes[node.id] = self._by_name[node.name] = node

    # Nodes ----------------------------------------------------------------------------------------------------------

    def _measure_nodes(self, transaction: Transaction, change: Change, now: datetime) -> None:
        wanted = [node for node in change.nodes if self._is_due(node, change.retried)]
        self._begun.update(node.id for node in change.nodes)
        self._ended.update(node.id for node in change.nodes if node.phase.fulfilled)
        calls = self._calls(wanted)
        for node in wanted:
            template = calls.template(node)
            metrics = (template.metrics if template is not None else None) or self._defaults
            for metric in (metrics and metrics.prometheus) or ():
                if node.phase.fulfilled or is_realtime(metric):
                    self._add(transaction, metric, node, now)

    def _is_due(self, node: Node, retried: set[str]) -> bool:
        """Whether a changed node has just ended, or begun where that matters, and stands for itself."""
        if node.type in _BARE or node.phase in (Phase.SKIPPED, Phase.OMITTED):
            return False
        if not node.phase.fulfilled:
            return self._grows and node.id not in self._begun and self._retry_of(node) is None
        return node.id not in self._ended and (self._retry_of(node) is None or node.id in retried)

    def _retry_of(self, node: Node) -> Node | None:
        """The Retry node that a node is an attempt of."""
        parent = self._nodes.get(node.parent_id or "")
        attempt = parent is not None and parent.type is NodeType.RETRY and node.name.startswith(f"{parent.name}(")
        return parent if attempt else None

    def _calls(self, nodes: Iterable[Node]) -> Calls:
        """The calls of some nodes: looked up among them and those above, not among all."""
        found: dict[str, Node] = {}
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node.id not in found:
                found[node.id] = node
                pending.extend(self._above(node))
        ordered = sorted(found.values(), key=lambda node: self._places[node.id])
        return Calls(self._workflow, Tree(self._name, ordered))

    def _above(self, node: Node) -> Iterator[Node]:
        """The nodes that a node stands under; of a step also its group."""
        for above in (node.parent_id, node.boundary_id):
            found = self._nodes.get(above or "")
            if found is not None:
                yield found
        if node.boundary_id is not None:
            boundary = self._nodes.get(node.boundary_id)
            closed = node.name.find("]", len(boundary.name)) if boundary is not None else -1
            group = self._by_name.get(node.name[: closed + 1])
            if group is not None and group is not node:
                yield group

    # What they may refer to ------------------------------------------------------------------------------------------

    def _measure_workflow(self, transaction: Transaction, state: WorkflowState, now: datetime, *, begins: bool) -> None:
        root = self._by_name.get(self._name)
        for metric in self._own:
            if not begins or is_realtime(metric):
                self._add(transaction, metric, root, now, state)

    def _moment(self, metric: Prometheus, node: Node | None, now: datetime, state: WorkflowState | None) -> Moment:
        """What a metric of a node, or with a state one of the workflow, may refer to."""
        at = to_epoch(now)
        variables = {"duration": "0", "status": Phase.PENDING.value, "retries": "0", **self._globals}
        started = state.started_at if state is not None else self._started_at
        finished = state.finished_at if state is not None else None
        variables["workflow.status"] = (state.phase if state is not None else Phase.RUNNING).value
        growing: dict[str, float] = {}
        if started is not None:
            variables["workflow.duration"] = f"{(finished or at) - started:.6f}"
            if finished is None:
                growing["workflow.duration"] = started
        if node is not None:
            variables |= self._of_node(node, at)
            if node.started_at is not None and not node.phase.fulfilled:
                growing["duration"] = node.started_at
        elif started is not None:
            variables["duration"] = variables["workflow.duration"]
            growing |= {"duration": started} if finished is None else {}
        text = metric.to_json_text()
        if "resourcesDuration." in text:
            variables |= self._resources(node)
        if "workflow.outputs." in text:
            variables |= self._outputs()
        seed = f"{self._uid}/{node.id if node is not None else ''}"
        return Moment(variables=variables, growing=growing, now=at, seed=seed)

    def _of_node(self, node: Node, now: float) -> dict[str, str]:
        ended = node.finished_at if node.finished_at is not None else now
        retries = self._attempts[node.id] - 1 if node.type is NodeType.RETRY else node.attempt
        found = {
            "status": node.phase.value,
            "duration": f"{ended - node.started_at:.6f}" if node.started_at is not None else "0",
            "retries": str(max(retries, 0)),
            "node.name": node.name,
            "pod.name": pod_name(self._name, node.id, node.template),
        }
        inputs, outputs = node.inputs, node.outputs
        if inputs is not None:
            found |= {f"inputs.parameters.{name}": value for name, value in inputs.parameters.items()}
        if outputs is not None:
            found |= {f"outputs.parameters.{name}": value for name, value in outputs.parameters.items()}
            if outputs.result is not None:
                found["outputs.result"] = outputs.result
            if outputs.exit_code is not None:
                found["exitCode"] = found["outputs.exitCode"] = str(outputs.exit_code)
        return found

    def _resources(self, top: Node | None) -> dict[str, str]:
        """What the pods under a node used; of the workflow, what all of them did."""
        pods = [
            node
            for node in self._nodes.values()
            if node.type is NodeType.POD and node.phase.fulfilled and (top is None or self._is_under(node, top))
        ]
        total: Counter[str] = Counter({"cpu": 0, "memory": 0})
        calls = self._calls(pods)
        for pod in pods:
            template = calls.template(pod)
            if template is not None:
                total.update(resources_duration(template, pod))
        return {f"resourcesDuration.{name}": str(seconds) for name, seconds in total.items()}

    def _is_under(self, node: Node, top: Node) -> bool:
        found: Node | None = node
        while found is not None and found.id != top.id:
            found = self._nodes.get(found.parent_id or found.boundary_id or "")
        return found is not None

    def _outputs(self) -> Mapping[str, str]:
        """Output parameters that the whole workflow may refer to, so far."""
        nodes: Sequence[Node] = list(self._nodes.values())
        status = workflow_status(self._workflow, WorkflowState(self._uid, self._name, Phase.RUNNING), nodes)
        found = (status.get("outputs") or {}).get("parameters") or ()
        return {f"workflow.outputs.parameters.{one['name']}": one["value"] for one in found}

    def _add(
        self,
        transaction: Transaction,
        metric: Prometheus,
        node: Node | None,
        now: datetime,
        state: WorkflowState | None = None,
    ) -> None:
        """Take down what one metric says of a node or, with a state, of the workflow; or why it cannot be told."""
        try:
            sample = sample_of(metric, self._moment(metric, node, now, state))
            if sample is not None:
                add_sample(transaction, sample, uid=self._uid, now=now)
        except ExpressionError as error:
            if error.message not in self._errors and len(self._errors) < _MOST_ERRORS:
                self._errors.append(error.message)
