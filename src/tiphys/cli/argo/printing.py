"""Workflows on the terminal, as `argo get` and `argo list` print them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

import click

from tiphys.cli.argo.humanize import duration, short_duration, timestamp
from tiphys.cli.argo.tree import Node, TreeStyle, template_name, tree_rows
from tiphys.cli.output import aligned
from tiphys.errors import UsageError
from tiphys.lang.selectors import parse_field_selector
from tiphys.records.workflows import RUNNER_ANNOTATION, WorkflowSummary
from tiphys.spec.yaml import dump

Workflow = Mapping[str, Any]
#: Formats of commands that print workflows.
OUTPUTS = ("name", "json", "yaml", "wide")
#: Spaces between the columns of a tree.
_GAP = 2
_CONDITION_ICONS = {"MetricsError": ("✖", "red"), "SpecWarning": ("⚠", "yellow")}
#: Longest text of a parameter in a list.
_LONGEST = 50


def print_object(found: Mapping[str, Any], output: str) -> bool:
    """Print an object by name or as JSON or YAML; False if another format is asked for."""
    if output == "name":
        click.echo(found["metadata"]["name"])
    elif output == "json":
        click.echo(json.dumps(found, indent=4, ensure_ascii=False))
    elif output == "yaml":
        click.echo(dump(found), nl=False)
    else:
        return False
    return True


def print_workflow(workflow: Workflow, style: TreeStyle) -> None:
    """Print a workflow in the format of `style`."""
    if not print_object(workflow, style.output):
        click.echo(workflow_text(workflow, style), nl=False)


def workflow_text(workflow: Workflow, style: TreeStyle) -> str:
    """A workflow for people: what it is, and its tree; with the output `short` the tree alone."""
    rows = tree_rows(workflow, style)
    tree = _padded(rows)
    if style.output == "short" and tree:
        return tree
    return head_text(workflow) + (f"\n{tree}" if tree else "")


def head_text(workflow: Workflow) -> str:
    """What a workflow is, without its tree."""
    return "".join(f"{key:<20} {value}\n" for key, value in _facts(workflow))


def node_filter(selector: str, status: str) -> Callable[[Node], bool]:
    """Which nodes a node field selector, or a phase, means.

    Raises:
        UsageError: both are given.
        ExpressionError: the selector cannot be read.
    """
    if selector and status:
        raise UsageError("--status and --node-field-selector cannot be used together.")
    parsed = parse_field_selector(selector or (f"phase={status}" if status else ""))
    return lambda node: parsed.matches(_node_fields(node))


def status_text(phase: str, *, suspended: bool, shutdown: bool) -> str:
    """A workflow's phase, with what the phase does not say."""
    if phase == "Running" and suspended:
        return "Running (Suspended)"
    if phase == "Failed" and shutdown:
        return "Failed (Terminated)"
    return phase or "Pending"


def in_order(rows: Sequence[WorkflowSummary]) -> list[WorkflowSummary]:
    """As `argo list` shows them: those that run, the newest first, then the others by their end, the latest first."""

    def compare(left: WorkflowSummary, right: WorkflowSummary) -> int:
        if left.finished_at is None or right.finished_at is None:
            if (left.finished_at is None) != (right.finished_at is None):
                return -1 if left.finished_at is None else 1
            return (left.created_at < right.created_at) - (left.created_at > right.created_at)
        return (left.finished_at < right.finished_at) - (left.finished_at > right.finished_at)

    return sorted(rows, key=cmp_to_key(compare))


def list_text(
    rows: Sequence[WorkflowSummary],
    *,
    headers: bool = True,
    namespaces: bool = False,
    uids: bool = False,
    details: Mapping[str, Workflow] | None = None,
) -> str:
    """A table of workflows.

    Args:
        rows: The workflows.
        headers: Whether titles come first.
        namespaces: Whether their namespaces are shown,
        uids: … and their uids.
        details: Uid → the whole workflow, of which wide tables show more.
    """
    titles = ["NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE"]
    if namespaces:
        titles.insert(0, "NAMESPACE")
    titles += ["P/R/C", "PARAMETERS"] if details is not None else []
    titles += ["UID"] if uids else []
    cells = [_cells(row, namespaces=namespaces, uids=uids, details=details) for row in rows]
    return aligned([titles, *cells] if headers else cells)


def _cells(row: WorkflowSummary, *, namespaces: bool, uids: bool, details: Mapping[str, Workflow] | None) -> list[str]:
    cells = [
        row.name,
        status_text(row.phase, suspended=row.suspended, shutdown=bool(row.shutdown)),
        short_duration(row.created_at),
        short_duration(row.started_at, row.finished_at),
        str(row.priority),
        " ".join(row.message.split()),
    ]
    if namespaces:
        cells.insert(0, row.workspace)
    if details is not None:
        whole = details.get(row.id) or {}
        cells += [_counts(whole), parameters_text(whole)]
    return [*cells, row.id] if uids else cells


def _counts(workflow: Workflow) -> str:
    """Pods that are pending, running and completed."""
    phases = [
        node.get("phase")
        for node in ((workflow.get("status") or {}).get("nodes") or {}).values()
        if node.get("type") == "Pod"
    ]
    running, pending = phases.count("Running"), phases.count("Pending")
    return f"{pending}/{running}/{len(phases) - pending - running}"


def parameters_text(workflow: Workflow) -> str:
    """A workflow's arguments on one line."""
    parameters = ((workflow.get("spec") or {}).get("arguments") or {}).get("parameters") or ()
    return ",".join(f"{one['name']}={_shortened(str(one['value']))}" for one in parameters if "value" in one)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 18]}...{text[-15:]}"


def _facts(workflow: Workflow) -> list[tuple[str, Any]]:
    metadata, status = workflow["metadata"], workflow.get("status") or {}
    spec = executed_spec(workflow)
    account = spec.get("serviceAccountName")
    if not account:
        referring = (workflow.get("spec") or {}).get("workflowTemplateRef")
        account = "unset" if referring else "unset (will run with the default ServiceAccount)"
    facts: list[tuple[str, Any]] = [
        ("Name:", metadata["name"]),
        ("Namespace:", metadata.get("namespace", "")),
        ("ServiceAccount:", account),
        ("Status:", _status_of(workflow)),
    ]
    if status.get("message"):
        facts.append(("Message:", status["message"]))
    runner = (metadata.get("annotations") or {}).get(RUNNER_ANNOTATION)
    if runner:
        facts.append(("Runner:", runner))
    facts += _conditions(status.get("conditions") or ())
    facts.append(("Created:", timestamp(metadata["creationTimestamp"])))
    started, finished = status.get("startedAt"), status.get("finishedAt")
    if started:
        facts.append(("Started:", timestamp(started)))
    if finished:
        facts.append(("Finished:", timestamp(finished)))
    if started:
        facts.append(("Duration:", duration(started, finished)))
    facts.append(("Progress:", status.get("progress") or ""))
    return facts + _values("Parameters:", (spec.get("arguments") or {}).get("parameters")) + _outputs(status)


def executed_spec(workflow: Workflow) -> Mapping[str, Any]:
    """The specification that is carried out."""
    stored: Mapping[str, Any] | None = (workflow.get("status") or {}).get("storedWorkflowTemplateSpec")
    return stored or workflow.get("spec") or {}


def _status_of(workflow: Workflow) -> str:
    spec, status = workflow.get("spec") or {}, workflow.get("status") or {}
    waits = any(
        node.get("type") == "Suspend" and node.get("phase") == "Running"
        for node in (status.get("nodes") or {}).values()
    )
    return status_text(
        str(status.get("phase") or ""),
        suspended=bool(spec.get("suspend")) or waits,
        shutdown=bool(spec.get("shutdown")),
    )


def _conditions(conditions: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    if not conditions:
        return []
    facts: list[tuple[str, Any]] = [("Conditions:", "")]
    for one in conditions:
        icon, colour = _CONDITION_ICONS.get(str(one.get("type")), ("", None))
        shown = click.style(icon, fg=colour) if colour else icon
        facts.append((f"{shown} {one.get('type')}", one.get("message") or one.get("status")))
    return facts


def _values(title: str, parameters: Sequence[Mapping[str, Any]] | None) -> list[tuple[str, Any]]:
    if not parameters:
        return []
    return [(title, ""), *((f"  {one['name']}:", one["value"]) for one in parameters if one.get("value") is not None)]


def _outputs(status: Mapping[str, Any]) -> list[tuple[str, Any]]:
    outputs = status.get("outputs") or {}
    facts = _values("Output Parameters:", outputs.get("parameters"))
    if outputs.get("artifacts"):
        facts.append(("Output Artifacts:", ""))
        for artifact in outputs["artifacts"]:
            place = {key: value for key, value in artifact.items() if key not in ("name", "path")}
            facts.append((f"  {artifact['name']}:", json.dumps(place, ensure_ascii=False)))
    return facts


def _node_fields(node: Node) -> dict[str, str]:
    """What node field selectors may ask for (as Argo's `SelectorMatchesNode`)."""
    fields = {key: str(node.get(key) or "") for key in ("displayName", "phase", "name", "id")}
    fields["templateName"] = template_name(node)
    reference = node.get("templateRef") or {}
    fields |= {f"templateRef.{key}": str(reference[key]) for key in ("name", "template") if key in reference}
    for parameter in (node.get("inputs") or {}).get("parameters") or ():
        fields[f"inputs.parameters.{parameter.get('name')}.value"] = str(parameter.get("value", ""))
    return fields


def _padded(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces apart; colours take no room."""
    if not rows:
        return ""
    widths = [max(len(click.unstyle(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = [
            cell + " " * (width - len(click.unstyle(cell)) + _GAP) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("".join(padded).rstrip())
    return "\n".join(lines) + "\n"
