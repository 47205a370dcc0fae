"""`tiphys argo retry` and `resubmit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys.cli.argo.files import parameters_of
from tiphys.cli.argo.following import follow, follow_options
from tiphys.cli.argo.listing import FIELD_HELP, SELECTOR_HELP
from tiphys.cli.argo.operations import chosen
from tiphys.cli.argo.printing import OUTPUTS, print_workflow
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.cli.argo.tree import TreeStyle

if TYPE_CHECKING:
    from tiphys.ports.workflows import Manifest, Workflows

F = TypeVar("F", bound=Callable[..., Any])


def again_options(function: F) -> F:
    """What retry and resubmit share."""
    for option in (
        click.option(
            "-p", "--parameter", "parameters", multiple=True, help="Override an input parameter (NAME=VALUE)."
        ),
        click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format."),
        click.option("-l", "--selector", default="", help=SELECTOR_HELP),
        click.option("--field-selector", default="", help=FIELD_HELP),
    ):
        function = option(function)
    return follow_options(function)


@argo_command(
    examples=[
        "tiphys argo retry my-wf --watch",
        "tiphys argo retry my-wf --restart-successful --node-field-selector displayName=train",
    ]
)
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option(
    "--restart-successful", is_flag=True, help="Also restart succeeded nodes that --node-field-selector means."
)
@click.option("--node-field-selector", default="", help="Nodes to reset.")
@again_options
def retry(names: tuple[str, ...], restart_successful: bool, node_field_selector: str, **given: Any) -> None:
    """Rerun the failed steps of workflows; the same workflows go on, and no new ones are created."""
    service = workflows()
    parameters = parameters_of(given["parameters"])
    run_again(
        service,
        [
            service.retry(
                name,
                restart_successful=restart_successful,
                selector=node_field_selector,
                parameters=parameters,
                detached=True,
            )
            for name in chosen(service, names, given["selector"], given["field_selector"])
        ],
        given,
    )


@argo_command(examples=["tiphys argo resubmit my-wf", "tiphys argo resubmit my-wf --memoized -p trees=100 --wait"])
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option("--memoized", is_flag=True, help="Re-use successful steps and outputs of the previous run.")
@click.option("--priority", type=int, default=None, help="Workflow priority.")
@again_options
def resubmit(names: tuple[str, ...], memoized: bool, priority: int | None, **given: Any) -> None:
    """Submit completed workflows again, as new ones."""
    service = workflows()
    parameters = parameters_of(given["parameters"])
    run_again(
        service,
        [
            service.resubmit(name, memoized=memoized, parameters=parameters, priority=priority, detached=True)
            for name in chosen(service, names, given["selector"], given["field_selector"])
        ],
        given,
    )


def run_again(service: Workflows, begun: Sequence[Manifest], given: dict[str, Any]) -> None:
    """Print what was begun, and see a single one through if so asked."""
    style = TreeStyle(given["output"] or "")
    for workflow in begun:
        print_workflow(workflow, style)
    if len(begun) == 1:
        quiet = style.output not in ("", "wide")
        names = [begun[0]["metadata"]["name"]]
        follow(service, names, wait=given["wait"], watch=given["watch"], log=given["log"], quiet=quiet, style=style)
