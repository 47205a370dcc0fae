"""Progress "done/total" of every node and of the workflow.

As Argo's workflow/progress/updater.go counts it: a node that a runner or a person carries out is one, or what it tells
itself; the others sum up. They sum up what they consist of; Argo's sum goes on along `children` and so takes in all
that follows, which says nothing of the node.
"""

from __future__ import annotations

from tiphys.engine.model import Node, NodeType, Phase
from tiphys.engine.status.tree import Role, Tree

_CARRIED_OUT = (NodeType.POD, NodeType.CONTAINER, NodeType.HTTP, NodeType.PLUGIN, NodeType.SUSPEND)


class Progress:
    """Progress of one workflow.

    Args:
        tree: Its nodes.
    """

    def __init__(self, tree: Tree) -> None:
        self._counts = {node.id: (0, 0) for node in tree.nodes}
        done = total = 0
        for node in reversed(tree.nodes):
            if node.type in _CARRIED_OUT:
                own = self._counts[node.id] = _own(node)
                done, total = done + own[0], total + own[1]
            above = _summed_in(tree, node)
            if above is not None:
                part, whole = self._counts[node.id], self._counts[above.id]
                self._counts[above.id] = (part[0] + whole[0], part[1] + whole[1])
        self._sum = (done, total)

    def of(self, node: Node) -> str:
        """Of one node; "" if nothing in it can be counted."""
        done, total = self._counts[node.id]
        return f"{done}/{total}" if total else ""

    def of_workflow(self) -> str:
        """Of the workflow, hooks and exit handlers included."""
        return f"{self._sum[0]}/{self._sum[1]}"


def _summed_in(tree: Tree, node: Node) -> Node | None:
    """The nearest node above that sums up."""
    if tree.role(node) is Role.HOOK and tree.above(node) is None and not tree.is_exit_handler(node):
        root = tree.root
        return root if root is not None and root.type not in _CARRIED_OUT else None
    return next((above for above in tree.ancestors(node) if above.type not in _CARRIED_OUT), None)


def _own(node: Node) -> tuple[int, int]:
    done, total = parse_progress(node.progress) or (0, 1)
    return (total, total) if node.phase in (Phase.SUCCEEDED, Phase.SKIPPED, Phase.OMITTED) else (done, total)


def parse_progress(text: str) -> tuple[int, int] | None:
    """Read "n/m"; None unless 0 ≤ n ≤ m and m > 0."""
    done, slash, total = text.partition("/")
    if not slash or not done.isdecimal() or not total.isdecimal() or not int(total) or int(done) > int(total):
        return None
    return int(done), int(total)
