"""The graph that Argo shows: `children` and `outboundNodes` of each node.

Argo's `children` are two things at once: what a node consists of, and what follows it. A first task is a child of its
DAG; a task with dependencies is a child of the outbound nodes of each of them, which are the last nodes in there to
run. Semantics: Argo, workflow/controller (connectDependencies in dag.go, executeSteps in steps.go, getOutboundNodes in
operator.go, hooks.go, exit_handler.go), but that a DAG or Steps node in which nothing was begun is its own outbound
node, where Argo leaves what follows without a parent (unless the node was memoized), and that a node is named once,
however many paths lead to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiphys.engine.model import Node, NodeType
from tiphys.engine.status.templates import Calls
from tiphys.engine.status.tree import Role, Tree

_SINGLE = (NodeType.SKIPPED, NodeType.SUSPEND, NodeType.HTTP, NodeType.PLUGIN, NodeType.CONTAINER)


class Graph:
    """The graph of one workflow, made in O(nodes + edges).

    Args:
        tree: Its nodes.
        calls: Their templates.
    """

    def __init__(self, tree: Tree, calls: Calls) -> None:
        self._tree = tree
        self._calls = calls
        #: Node id → ids of its children, in the order in which they came into being.
        self.children: dict[str, list[str]] = {node.id: [] for node in tree.nodes}
        #: Id of a fulfilled DAG or Steps node → what its status lists.
        self.outbound_nodes: dict[str, list[str]] = {}
        #: Node id → the nodes that what follows it is a child of.
        self._outbound: dict[str, list[str]] = {}
        self._last_group: dict[str, Node] = {}
        for node in tree.nodes:
            self._join_part(node)
        # What a node consists of came into being after it.
        for node in reversed(tree.nodes):
            self._outbound[node.id] = self._leave(node)
        for node in tree.nodes:
            self._join_follower(node)

    def _join_part(self, node: Node) -> None:
        """Make a node a child of what it is part of, or the first in."""
        role, above = self._tree.role(node), self._tree.visible_above(node)
        if self._tree.is_hidden(node):
            return
        if role is Role.HOOK and above is None and not self._tree.is_exit_handler(node):
            above = self._tree.root
        if above is None:
            return
        if role is Role.CONTAINER:
            for parent in self._containers_before(node, above):
                self.children[parent].append(node.id)
            return
        if role is Role.STEP_GROUP:
            self._last_group[above.id] = node
        if not self._follows(node, role, above):
            self.children[above.id].append(node.id)

    def _follows(self, node: Node, role: Role, above: Node) -> bool:
        """Whether a node comes after other parts of what it is part of."""
        if role is Role.TASK:
            return bool(self._calls.shape(above).dependencies.get(node.task_name))
        return role is Role.STEP_GROUP and self._tree.group_index(node) > 0

    def _containers_before(self, node: Node, pod: Node) -> list[str]:
        template = self._calls.template(node)
        containers = (template.container_set.containers if template and template.container_set else None) or ()
        own = node.name[len(pod.name) + 1 :]
        names = next((container.dependencies or () for container in containers if container.name == own), ())
        found = [self._tree.by_name.get(f"{pod.name}.{name}") for name in names]
        return [before.id for before in found if before is not None] or [pod.id]

    def _leave(self, node: Node) -> list[str]:
        """What follows a node is a child of these."""
        children = self.children[node.id]
        if node.type in _SINGLE:
            return [node.id]
        if node.type is NodeType.POD:
            return self._leave_pod(node, children)
        if node.type is NodeType.TASK_GROUP:
            return self._all(children) or [node.id]
        if node.type is NodeType.RETRY:
            return children[-1:] or [node.id]
        if node.type not in (NodeType.DAG, NodeType.STEPS) or not node.phase.fulfilled:
            return [node.id]
        self.outbound_nodes[node.id] = self._all(self._last_parts(node))
        # The last attempt of a DAG stands in the list as itself, but what follows hangs on its own outbound nodes.
        return self._all(self.outbound_nodes[node.id]) or [node.id]

    def _last_parts(self, node: Node) -> list[str]:
        """The last tasks of a DAG, or the last steps of a Steps node."""
        if node.type is NodeType.DAG:
            tops = (self._tree.task(node, name) for name in self._calls.shape(node).targets)
            return [top.id for top in tops if top is not None]
        group = self._last_group.get(node.id)
        return self.children[group.id] if group is not None else []

    def _leave_pod(self, pod: Node, children: list[str]) -> list[str]:
        """A pod itself, but of a container set those containers on which no other one waits."""
        if all(self._tree.by_id[child].type is not NodeType.CONTAINER for child in children):
            return [pod.id]
        found: list[str] = []
        pending = list(reversed(children))
        seen: set[str] = set()
        while pending:
            child = pending.pop()
            if child in seen:
                continue
            seen.add(child)
            if self._tree.by_id[child].type is NodeType.CONTAINER and self.children[child]:
                pending.extend(reversed(self.children[child]))
            else:
                found.extend(self._outbound[child])
        return found

    def _all(self, nodes: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(out for node in nodes for out in self._outbound[node]))

    def _join_follower(self, node: Node) -> None:
        """Make a node a child of the last nodes of what it comes after."""
        role, boundary = self._tree.role(node), self._tree.above(node)
        if boundary is None or self._tree.is_hidden(node) or not self._follows(node, role, boundary):
            return
        parents: list[str] = []
        if role is Role.TASK:
            for name in self._calls.shape(boundary).dependencies[node.task_name]:
                before = self._tree.task(boundary, name)
                if before is not None:
                    parents.extend(self._outbound[before.id])
        else:
            group = self._tree.step_group(boundary, self._tree.group_index(node) - 1)
            if group is not None:
                parents.extend(self._all(self.children[group.id]) or [group.id])
        for parent in dict.fromkeys(parents):
            self.children[parent].append(node.id)
