"""Which members of the environment an expression reads, as far as its text says it.

Semantics of what is guarded: argo-workflows, util/template/expression_template.go (guardVisitor).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tiphys.lang.expr.nodes import Binary, Chain, Identifier, Let, Literal, Member, Node, children

Path = tuple[str, ...]


@dataclass(slots=True)
class References:
    """What is read; of a guarded path the first name is still required."""

    required: set[Path] = field(default_factory=set)
    #: Paths to the left of `??`, or with `?.` in them.
    optional: set[Path] = field(default_factory=set)
    #: First names, and names declared by `let`.
    names: set[str] = field(default_factory=set)


def find_references(root: Node) -> References:
    """The longest paths of names from variables of the environment, `$env.x` and `x['y']` as `x` and `x.y`."""
    found = References()
    #: Nodes to look at, whether they are guarded, and the local variables there.
    waiting: list[tuple[Node, bool, frozenset[str]]] = [(root, False, frozenset())]
    while waiting:
        node, guarded, local = waiting.pop()
        if isinstance(node, (Identifier, Member)):
            path, optional, rest = _path(node)
            if path and path[0] not in local:
                _add(found, path, guarded=guarded or optional)
            waiting.extend((part, guarded, local) for part in rest)
        elif isinstance(node, Let):
            found.names.add(node.name)
            waiting += [(node.value, guarded, local), (node.body, guarded, local | {node.name})]
        elif isinstance(node, Binary) and node.operator == "??":
            waiting += [(node.left, True, local), (node.right, guarded, local)]
        else:
            waiting.extend((child, guarded, local) for child in children(node))
    return found


def _add(found: References, path: Path, *, guarded: bool) -> None:
    found.names.add(path[0])
    if guarded and len(path) > 1:
        found.optional.add(path)
        found.required.add(path[:1])
    else:
        found.required.add(path)


def _path(node: Node) -> tuple[Path, bool, list[Node]]:
    """The names from a variable on, whether a `?.` is among them, and the nodes that are no part of the path."""
    names: list[str] = []
    rest: list[Node] = []
    optional = False
    while isinstance(node, (Member, Chain)):
        if isinstance(node, Chain):
            node = node.body
            continue
        if isinstance(node.key, Literal) and isinstance(node.key.value, str):
            names.append(node.key.value)
            optional = optional or node.optional
        else:  # what lies behind a computed key is not known
            names.clear()
            optional = False
            rest.append(node.key)
        node = node.target
    if not isinstance(node, Identifier):
        return (), False, [*rest, node]
    if node.name != "$env":
        names.append(node.name)
    return tuple(reversed(names)), optional, rest
