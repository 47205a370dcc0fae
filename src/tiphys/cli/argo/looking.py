"""`tiphys argo get`, `watch` and `wait`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tiphys.cli.argo.following import show_changes, wait_for
from tiphys.cli.argo.printing import node_filter, print_workflow
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.cli.argo.tree import TreeStyle

F = TypeVar("F", bound=Callable[..., Any])


def _node_options(function: F) -> F:
    selector = click.option("--node-field-selector", default="", help="Only show these nodes, e.g. phase=Failed.")
    return click.option("--status", default="", help="Only show nodes of this phase.")(selector(function))


@argo_command(
    examples=[
        "tiphys argo get my-wf",
        "tiphys argo get @latest -o yaml                               the whole object",
        "tiphys argo get my-wf --node-field-selector phase=Failed      only what failed",
    ]
)
@click.argument("names", metavar="WORKFLOW...", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Choice(("name", "json", "yaml", "short", "wide")), default=None, help="Output format."
)
@click.option("--no-color", is_flag=True, help="No colours.")
@click.option("--no-utf8", is_flag=True, help="Use plain 7-bit ASCII characters.")
@_node_options
def get(
    names: tuple[str, ...], output: str | None, no_color: bool, no_utf8: bool, node_field_selector: str, status: str
) -> None:
    """Display details about workflows."""
    if no_color:
        click.get_current_context().color = False
    style = TreeStyle(output or "", utf8=not no_utf8, wanted=node_filter(node_field_selector, status))
    for name in names:
        print_workflow(workflows().get(name), style)


@argo_command(examples=["tiphys argo watch @latest"])
@click.argument("name", metavar="WORKFLOW")
@_node_options
def watch(name: str, node_field_selector: str, status: str) -> None:
    """Watch a workflow until it completes."""
    show_changes(workflows(), name, TreeStyle(wanted=node_filter(node_field_selector, status)))


@argo_command(examples=["tiphys argo wait my-wf && echo done", "tiphys argo wait @latest"])
@click.argument("names", metavar="WORKFLOW...", nargs=-1)
@click.option("--ignore-not-found", is_flag=True, help="Do not mind workflows that are not there.")
def wait(names: tuple[str, ...], ignore_not_found: bool) -> None:
    """Wait for workflows to complete; the exit code is 1 unless all succeed."""
    wait_for(workflows(), names, quiet=False, ignore_missing=ignore_not_found)
