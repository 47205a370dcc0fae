"""How the nodes of a workflow stand to each other: what each one is part of, and as what.

The engine keeps two links a node: `boundary_id`, the DAG or Steps node whose task or step it carries out, and
`parent_id`, the Retry, TaskGroup or Pod node over it, or the node whose hook it is. This file reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from tiphys.engine.model import Node, NodeType


class Role(Enum):
    """As what a node belongs to the one above it."""

    #: The workflow's entry point.
    ROOT = auto()
    #: Of a Retry node.
    ATTEMPT = auto()
    #: Of a loop.
    ITEM = auto()
    #: Of a container set's Pod node.
    CONTAINER = auto()
    #: Of a Steps node.
    STEP_GROUP = auto()
    #: Of a StepGroup node; the outermost node of the step.
    STEP = auto()
    #: Of a DAG node; the outermost node of the task.
    TASK = auto()
    #: Of the node it was hung on; of the workflow if there is none above it.
    HOOK = auto()


class Tree:
    """The nodes of one workflow.

    Args:
        name: The workflow's name, which is its root node's.
        nodes: All its nodes, each after those it is part of (the order in which they were first written).
    """

    def __init__(self, name: str, nodes: Sequence[Node]) -> None:
        self.name = name
        self.nodes = nodes
        self.by_id = {node.id: node for node in nodes}
        self.by_name = {node.name: node for node in nodes}
        self.roles: dict[str, Role] = {}
        self._above: dict[str, Node | None] = {}
        for node in nodes:
            role = self._role(node)
            self.roles[node.id] = role
            self._above[node.id] = self._find_above(node, role)

    @property
    def root(self) -> Node | None:
        """The entry point's node, if it was begun."""
        return self.by_name.get(self.name)

    def role(self, node: Node) -> Role:
        """As what the node belongs to the one above it."""
        return self.roles[node.id]

    def above(self, node: Node) -> Node | None:
        """The node that this one is part of; None of the root and of the workflow's own hooks."""
        return self._above[node.id]

    def ancestors(self, node: Node) -> Iterator[Node]:
        """The nodes above, from the nearest on."""
        found = self._above[node.id]
        while found is not None:
            yield found
            found = self._above[found.id]

    def is_hidden(self, node: Node) -> bool:
        """Whether Argo has no such node: the TaskGroup of a step's loop, whose items stand in the StepGroup itself."""
        return node.type is NodeType.TASK_GROUP and self.roles[node.id] is Role.STEP

    def visible_above(self, node: Node) -> Node | None:
        """As `above`, hidden nodes passed over."""
        found = self._above[node.id]
        return self._above[found.id] if found is not None and self.is_hidden(found) else found

    def is_exit_handler(self, node: Node) -> bool:
        """Whether it is the workflow's own exit handler, which Argo hangs on no other node."""
        return node.name == f"{self.name}.onExit" and self._above[node.id] is None

    def task(self, boundary: Node, name: str) -> Node | None:
        """The outermost node of a DAG's task, if it has one."""
        return self.by_name.get(f"{boundary.name}.{name}")

    def step_group(self, boundary: Node, index: int) -> Node | None:
        """A group of a Steps node, if it was begun."""
        return self.by_name.get(f"{boundary.name}[{index}]")

    def group_index(self, group: Node) -> int:
        """Which group of its Steps node a StepGroup node is."""
        return int(group.name[group.name.rindex("[") + 1 : -1])

    def _role(self, node: Node) -> Role:
        parent = self.by_id.get(node.parent_id or "")
        if parent is not None and parent.type is NodeType.RETRY and node.name.startswith(f"{parent.name}("):
            return Role.ATTEMPT
        if node.hook:
            return Role.HOOK
        if node.type is NodeType.CONTAINER:
            return Role.CONTAINER
        if parent is not None and parent.type is NodeType.TASK_GROUP:
            return Role.ITEM
        boundary = self.by_id.get(node.boundary_id or "")
        if boundary is None:
            return Role.ROOT if node.name == self.name else Role.HOOK
        if node.type is NodeType.STEP_GROUP:
            return Role.STEP_GROUP
        return Role.STEP if boundary.type is NodeType.STEPS else Role.TASK

    def _find_above(self, node: Node, role: Role) -> Node | None:
        if role is Role.HOOK and node.boundary_id is None:
            return None
        if role in (Role.ATTEMPT, Role.ITEM, Role.CONTAINER, Role.HOOK):
            return self.by_id.get(node.parent_id or "")
        boundary = self.by_id.get(node.boundary_id or "")
        if role is Role.STEP and boundary is not None:
            group = node.name[: node.name.index("]", len(boundary.name)) + 1]
            return self.by_name[group]
        return boundary
