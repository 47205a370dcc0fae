"""A workflow's nodes as the tree that `argo get` draws (its cmd/argo/commands/common/get.go).

Step groups are left out and draw their steps as branches side by side; of a retried node with a single attempt only
the attempt is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import Any

import click

from tiphys.cli.argo.humanize import short_duration

Node = Mapping[str, Any]

_BOUNDARIES = ("DAG", "Steps")
_GROUPS = ("StepGroup", "Retry")
_LEAVES = ("Pod", "Skipped", "Suspend", "HTTP", "Plugin")
_ICONS = {
    "Pending": ("◷", "yellow"),
    "Running": ("●", "cyan"),
    "Succeeded": ("✔", "green"),
    "Skipped": ("○", None),
    "Failed": ("✖", "red"),
    "Error": ("⚠", "red"),
}
_WAITING = ("ǁ", "cyan")
#: Branches: of children side by side (one, first, last, other), and of those under a shown parent (last, other).
_BRANCHES = ("──", "┬─", "└─", "├─", "│ ")
_PLAIN_BRANCHES = ("--", "+-", "`-", "|-", "| ")
_INDEX = re.compile(r"\((\d+):.*\)")


@dataclass(frozen=True, slots=True)
class TreeStyle:
    """How trees are drawn."""

    #: "", "short" or "wide".
    output: str = ""
    #: Letters and symbols beyond ASCII.
    utf8: bool = True
    #: Whether a node is shown.
    wanted: Callable[[Node], bool] = lambda _: True

    @property
    def columns(self) -> tuple[str, ...]:
        """Titles."""
        if self.output == "wide":
            return ("STEP", "TEMPLATE", "PODNAME", "DURATION", "ARTIFACTS", "MESSAGE", "RESOURCESDURATION", "NODENAME")
        return (
            "STEP",
            "TEMPLATE",
            "PODNAME",
            "DURATION",
            "MESSAGE",
            *(("NODENAME",) if self.output == "short" else ()),
        )


@dataclass(slots=True)
class _Drawn:
    """A node with what is drawn beneath it."""

    node: Node
    children: list[_Drawn] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What a node that is not shown means for its children."""

    hidden: bool
    #: Whether they are drawn side by side in its place.
    side_by_side: bool = False


def tree_rows(workflow: Mapping[str, Any], style: TreeStyle) -> list[list[str]]:
    """The rows of the tree, titles first; empty if the workflow has no nodes yet."""
    nodes: Mapping[str, Node] = (workflow.get("status") or {}).get("nodes") or {}
    name = workflow["metadata"]["name"]
    if name not in nodes:
        return []
    roots = _roots(nodes)
    rows = [list(style.columns), *_Drawing(name, style).draw(roots[name], " ", " ")]
    ending = next((root for root in roots.values() if root.node.get("name") == f"{name}.onExit"), None)
    if ending is not None:
        rows += [[""] * len(style.columns), *_Drawing(name, style).draw(ending, " ", " ")]
    return rows


def pod_name(workflow: str, node: Node) -> str:
    """A pod's name, in the second version of Argo's naming."""
    if node.get("name") == workflow:
        return workflow
    template = template_name(node)
    prefix = f"{workflow}-{template}" if template else workflow
    return f"{prefix[:242]}-{str(node.get('id')).removeprefix(f'{workflow}-')}"


def template_name(node: Node) -> str:
    """The template that a node carries out."""
    reference = node.get("templateRef")
    return str((reference or {}).get("template") or node.get("templateName") or "")


def _roots(nodes: Mapping[str, Node]) -> dict[str, _Drawn]:
    drawn = {key: _Drawn(node) for key, node in nodes.items() if node.get("type") in (*_BOUNDARIES, *_GROUPS, *_LEAVES)}
    parents: dict[str, str] = {}
    for key, node in nodes.items():
        if node.get("type") in _GROUPS:
            parents |= dict.fromkeys(node.get("children") or (), key)
    roots = {}
    for key, one in drawn.items():
        parent = parents.get(key) or one.node.get("boundaryID")
        holder = drawn.get(parent) if parent else None
        if holder is not None:
            holder.children.append(one)
        elif not parent:
            roots[key] = one
    for one in drawn.values():
        one.children.sort(key=cmp_to_key(_compare))
    return roots


def _compare(left: _Drawn, right: _Drawn) -> int:
    """By start; of those begun at once by the loop's index or by name."""
    starts = [one.node.get("startedAt") or "" for one in (left, right)]
    if starts[0] != starts[1]:
        return -1 if starts[0] < starts[1] else 1
    names = [str(one.node.get("displayName")) for one in (left, right)]
    found = [_INDEX.search(name) for name in names]
    if found[0] and found[1]:
        return int(found[0][1]) - int(found[1][1])
    return (names[0] > names[1]) - (names[0] < names[1])


class _Drawing:
    """Draws one tree.

    Args:
        workflow: Its name.
        style: How.
    """

    def __init__(self, workflow: str, style: TreeStyle) -> None:
        self._workflow = workflow
        self._style = style
        self._branches = _BRANCHES if style.utf8 else _PLAIN_BRANCHES

    def draw(self, drawn: _Drawn, prefix: str, child_prefix: str) -> Iterator[list[str]]:
        """Rows of a node and of all beneath it; `child_prefix` stands before what is beneath it."""
        how = self._hidden(drawn.node)
        if not how.hidden:
            yield self._row(drawn.node, prefix)
        last = len(drawn.children) - 1
        for index, child in enumerate(drawn.children):
            part, below = self._branch(how, index, last)
            first = how.hidden and index == 0
            yield from self.draw(child, (prefix if first else child_prefix) + part, child_prefix + below)

    def _hidden(self, node: Node) -> _Hidden:
        if node.get("type") == "Retry" and len(node.get("children") or ()) == 1:
            return _Hidden(hidden=True)
        if node.get("type") == "StepGroup":
            return _Hidden(hidden=True, side_by_side=True)
        if node.get("type") == "Skipped" and node.get("phase") == "Omitted":
            return _Hidden(hidden=True)
        return _Hidden(hidden=not self._style.wanted(node))

    def _branch(self, how: _Hidden, index: int, last: int) -> tuple[str, str]:
        """What stands before a child, and before all beneath it."""
        single, first, end, middle, line = self._branches
        if how.hidden and not how.side_by_side:
            return "", ""
        if how.hidden and last == 0:
            return single, "  "
        if how.hidden and index == 0:
            return first, line
        return (end, "  ") if index == last else (middle, line)

    def _row(self, node: Node, prefix: str) -> list[str]:
        message = str(node.get("message") or "")
        is_pod = node.get("type") == "Pod"
        name = pod_name(self._workflow, node) if is_pod else ""
        lasted = short_duration(node.get("startedAt"), node.get("finishedAt")) if is_pod else ""
        cells = [f"{prefix}{self._icon(node)} {node.get('displayName')}", _shown_template(node), name, lasted]
        host = str(node.get("hostNodeName") or "") if is_pod else ""
        if self._style.output == "wide":
            used = ",".join(f"{key}:{value}" for key, value in (node.get("resourcesDuration") or {}).items())
            return [*cells, _artifacts(node), message, used, host]
        return [*cells, message, *((host,) if self._style.output == "short" else ())]

    def _icon(self, node: Node) -> str:
        waits = node.get("type") == "Suspend" and node.get("phase") == "Running"
        if not self._style.utf8:
            return "Suspend" if waits else str(node.get("phase"))
        icon, colour = _WAITING if waits else _ICONS.get(str(node.get("phase")), ("", None))
        return click.style(icon, fg=colour) if colour else icon


def _shown_template(node: Node) -> str:
    reference = node.get("templateRef")
    if reference:
        return f"{reference.get('name')}/{reference.get('template')}"
    return str(node.get("templateName") or "")


def _artifacts(node: Node) -> str:
    return ",".join(str(one.get("name")) for one in (node.get("outputs") or {}).get("artifacts") or ())
