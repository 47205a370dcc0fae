"""Which variables are there: scopes of names, and what a reference to another node may ask for.

(Semantics: Argo, workflow/validate and docs/variables.md.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tiphys.spec.template import Template

#: Roots of variables; a tag that begins with another word is none of ours.
ROOTS = frozenset(
    {"inputs", "item", "lastRetry", "node", "outputs", "pod", "retries", "steps", "tasks", "workflow", "cronworkflow"}
)
#: What every node has.
_NODE_FIELDS = frozenset({"id", "status", "startedAt", "finishedAt", "hostNodeName"})
#: What of a node is a map, to be asked for as a whole by expressions only.
_PARTS = frozenset({"", "outputs", "outputs.parameters", "outputs.artifacts"})


class Nodes(Protocol):
    """The steps or tasks that may be referred to at some place."""

    def refusal(self, name: str, field: str, *, part: bool) -> str | None:
        """Why `<name>.<field>` cannot be had there: a reason to append to a message, maybe empty; None if it can.

        Args:
            name: The node.
            field: What is asked of it.
            part: Whether the field may be a map of things it has, as `outputs` is.
        """


class Scope:
    """Names that can be resolved; what is not found here is looked for in `parent`.

    Args:
        parent: The scope around this one.
        names: Full names of variables.
        open_prefixes: Beginnings of names of which any may exist.
        steps: What `steps.` means here.
        tasks: What `tasks.` means here.
    """

    __slots__ = ("names", "nodes", "open_prefixes", "parent")

    def __init__(
        self,
        parent: Scope | None = None,
        *,
        names: Iterable[str] = (),
        open_prefixes: Iterable[str] = (),
        steps: Nodes | None = None,
        tasks: Nodes | None = None,
    ) -> None:
        self.parent = parent
        self.names = set(names)
        self.open_prefixes = tuple(open_prefixes)
        self.nodes = {root: nodes for root, nodes in (("steps", steps), ("tasks", tasks)) if nodes is not None}

    def refusal(self, name: str, *, part: bool = False) -> str | None:
        """Why a variable cannot be resolved: a reason, maybe empty; None if it can.

        Args:
            name: The variable.
            part: Whether it may be the beginning of known names, as `inputs` is of `inputs.parameters.x`.
        """
        root, _, rest = name.partition(".")
        reason = ""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names or (scope.open_prefixes and name.startswith(scope.open_prefixes)):
                return None
            if part and scope.has_below(name):
                return None
            nodes = scope.nodes.get(root)
            if nodes is not None and rest and rest != "name":
                node, _, field = rest.partition(".")
                refusal = nodes.refusal(node, field, part=part)
                if refusal is None:
                    return None
                reason = reason or refusal
            scope = scope.parent
        return reason

    def has_below(self, name: str) -> bool:
        """Whether names of this scope begin with `name`."""
        prefix = name + "."
        return name in self.nodes or any(known.startswith(prefix) for known in (*self.names, *self.open_prefixes))

    def known(self) -> set[str]:
        """All names, for suggestions."""
        return self.names | (self.parent.known() if self.parent else set())


@dataclass(frozen=True, slots=True)
class Node:
    """A step or task that others may refer to."""

    name: str
    #: What it runs; None if that is not known before it runs.
    template: Template | None
    #: Whether it runs once for each item.
    loops: bool
    daemon: bool = False

    def offers(self, field: str) -> bool:
        """Whether the node will have it, such as `status`, `outputs.result` or `outputs.parameters.x`."""
        template = self.template
        if field in _NODE_FIELDS:
            return True
        if template is None:
            return field.startswith(("outputs.", "ip", "exitCode"))
        if field == "ip":
            return self.daemon
        if field in ("outputs.result", "exitCode"):
            return _has_result(template)
        if field == "outputs.parameters":
            return self.loops
        kind, _, name = field.removeprefix("outputs.").partition(".")
        outputs = template.outputs
        declared = getattr(outputs, kind, None) if outputs and kind in ("parameters", "artifacts") else None
        return any(output.name == name for output in declared or ())


def _has_result(template: Template) -> bool:
    """Whether `outputs.result` and `exitCode` exist (as Argo's Template.HasOutput)."""
    if template.container_set:
        return any(container.name == "main" for container in template.container_set.containers or ())
    return any(
        body is not None
        for body in (template.container, template.script, template.data, template.http, template.plugin)
    )


@dataclass(frozen=True, slots=True)
class KnownNodes:
    """All nodes of a template, for its outputs."""

    nodes: Mapping[str, Node]
    #: Whether some names are made at run time.
    dynamic: bool = False

    def refusal(self, name: str, field: str, *, part: bool) -> str | None:
        """See `Nodes`."""
        node = self.nodes.get(name)
        if node is not None:
            return None if node.offers(field) or (part and field in _PARTS) else what_is_missing(node, field)
        return None if self.dynamic else f"there is no '{name}'"


@dataclass(frozen=True, slots=True)
class EarlierSteps:
    """The steps of earlier groups."""

    steps: KnownNodes
    #: Group of each step.
    groups: Mapping[str, int]
    #: The first group that has not run.
    before: int
    #: A step of that group that may be referred to, as a step's own hooks may.
    itself: str | None = None

    def refusal(self, name: str, field: str, *, part: bool) -> str | None:
        """See `Nodes`."""
        if name != self.itself and self.groups.get(name, -1) >= self.before:
            return f"'{name}' has not run by then"
        return self.steps.refusal(name, field, part=part)


def what_is_missing(node: Node, field: str) -> str:
    """Why a node does not offer a field."""
    template = node.template
    called = f"template '{template.name}'" if template is not None and template.name else "its template"
    if field.startswith(("outputs.parameters.", "outputs.artifacts.")):
        return f"{called} has no such output"
    if field == "ip":
        return f"{called} is no daemon"
    if field == "outputs.parameters":
        return f"'{node.name}' is no loop"
    return f"{called} does not give it" if field in ("outputs.result", "exitCode") else "nodes have no such field"
