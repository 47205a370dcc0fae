"""Status of a workflow and of its nodes as Argo's API shows it: WorkflowStatus and NodeStatus of workflow_types.go.

`estimatedDuration`, `resourcesDuration` and `hostNodeName` are left out: the first needs earlier runs, the second the
resources of a pod's containers, the third a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiphys._util.times import from_epoch, rfc3339
from tiphys.engine.model import Node, NodeType, WorkflowState
from tiphys.engine.status.conditions import conditions
from tiphys.engine.status.graph import Graph
from tiphys.engine.status.progress import Progress
from tiphys.engine.status.templates import Calls
from tiphys.engine.status.tree import Role, Tree
from tiphys.engine.status.values import inputs_json, outputs_json
from tiphys.errors import NotFoundError
from tiphys.spec.workflow import Workflow

#: Fields of the manifest's status that stand there as whoever stored the manifest wrote them.
_STORED = (
    "stored_templates",
    "stored_workflow_template_spec",
    "persistent_volume_claims",
    "artifact_repository_ref",
    "artifact_gc_status",
    "synchronization",
)


def workflow_status(workflow: Workflow, state: WorkflowState, nodes: Sequence[Node]) -> dict[str, Any]:
    """The `status` of a workflow, in O(nodes + edges).

    Args:
        workflow: The manifest, with what its status stores of templates.
        state: The workflow's own state.
        nodes: All its nodes, in the order in which they were first written.

    Returns:
        A JSON object with Argo's names.
    """
    view = _View(workflow, state, nodes)
    shown = {node.id: view.node(node) for node in nodes if not view.tree.is_hidden(node)}
    stored = workflow.status
    status: dict[str, Any] = {
        "phase": state.phase.value,
        "startedAt": _time(state.started_at),
        "finishedAt": _time(state.finished_at),
        "progress": view.progress.of_workflow(),
        "message": state.message,
        "nodes": shown,
        "outputs": _global_outputs(nodes, shown),
        "conditions": conditions(stored.conditions if stored is not None else None, state, nodes),
    }
    if stored is not None:
        data = stored.model_dump(mode="json", by_alias=True, exclude_none=True, include=set(_STORED))
        status.update({name: value for name, value in data.items() if value})
    return _without_empty(status)


def node_status(workflow: Workflow, state: WorkflowState, nodes: Sequence[Node], node_id: str) -> dict[str, Any]:
    """The status of one node, as it stands in `workflow_status`.

    Raises:
        NotFoundError: there is no such node, or it is one that Argo does not have.
    """
    view = _View(workflow, state, nodes)
    node = view.tree.by_id.get(node_id)
    if node is None or view.tree.is_hidden(node):
        raise NotFoundError(f"Workflow '{state.name}' has no node '{node_id}'.")
    return view.node(node)


class _View:
    """What the status of a node follows from."""

    def __init__(self, workflow: Workflow, state: WorkflowState, nodes: Sequence[Node]) -> None:
        self.tree = Tree(state.name, nodes)
        self.calls = Calls(workflow, self.tree)
        self.graph = Graph(self.tree, self.calls)
        self.progress = Progress(self.tree)

    def node(self, node: Node) -> dict[str, Any]:
        call = self.calls.call(node)
        caller = call.caller
        ref = caller.template_ref if caller is not None else None
        above = self.tree.above(node)
        boundary = above.id if above is not None and node.type is NodeType.CONTAINER else node.boundary_id
        return _without_empty(
            {
                "id": node.id,
                "name": node.name,
                "displayName": node.display_name,
                "type": node.type.value,
                "templateName": caller.template if caller is not None else None,
                "templateRef": ref.to_json() if ref is not None else None,
                "templateScope": call.scope,
                "phase": node.phase.value,
                "boundaryID": boundary,
                "message": node.message,
                "startedAt": _time(node.started_at),
                "finishedAt": _time(node.finished_at),
                "progress": self.progress.of(node),
                "podIP": node.ip,
                "daemoned": node.daemoned or None,
                "nodeFlag": self._flag(node),
                "inputs": inputs_json(node, call.template),
                "outputs": outputs_json(node, call.template),
                "children": self.graph.children[node.id],
                "outboundNodes": self.graph.outbound_nodes.get(node.id),
                "memoizationStatus": dict(node.memo) if node.memo else None,
                "synchronizationStatus": {"waiting": node.waiting} if node.waiting else None,
            }
        )

    def _flag(self, node: Node) -> dict[str, bool] | None:
        role, above = self.tree.role(node), self.tree.above(node)
        flag = {}
        if role is Role.HOOK or (role is Role.ATTEMPT and above is not None and self.tree.role(above) is Role.HOOK):
            flag["hooked"] = True
        if role is Role.ATTEMPT:
            flag["retried"] = True
        bare = node.type in (NodeType.SKIPPED, NodeType.STEP_GROUP, NodeType.TASK_GROUP)
        return flag if flag or bare else None


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(from_epoch(seconds))


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    """As Go leaves out what is not set: times stay as null, and flags that were set to nothing as an empty object."""
    return {
        name: value
        for name, value in data.items()
        if value or name in ("startedAt", "finishedAt") or (name == "nodeFlag" and value is not None)
    }


def _global_outputs(nodes: Sequence[Node], shown: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Outputs with a `globalName`; where several nodes give the same one, that of the node that ended last."""
    parameters: dict[str, dict[str, Any]] = {}
    artifacts: dict[str, dict[str, Any]] = {}
    ended = [node for node in nodes if node.finished_at is not None and node.id in shown]
    for node in sorted(ended, key=lambda node: node.finished_at or 0.0):
        outputs = shown[node.id].get("outputs") or {}
        for parameter in outputs.get("parameters") or ():
            name = parameter.get("globalName")
            if name and "value" in parameter:
                parameters[name] = {"name": name, "value": parameter["value"]}
        for artifact in outputs.get("artifacts") or ():
            name = artifact.get("globalName")
            if name:
                kept = {key: value for key, value in artifact.items() if key not in ("globalName", "path")}
                artifacts[name] = {**kept, "name": name}
    return {key: list(found.values()) for key, found in (("parameters", parameters), ("artifacts", artifacts)) if found}
