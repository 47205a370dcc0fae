"""`tiphys argo stop`, `terminate`, `suspend`, `resume` and `node`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tiphys.cli.argo.listing import FIELD_HELP, SELECTOR_HELP, find_all
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.errors import UsageError
from tiphys.ports.workflows import WorkflowFilter
from tiphys.services.workflows.options import pairs_of

if TYPE_CHECKING:
    from tiphys.ports.workflows import Workflows


def chosen(service: Workflows, names: tuple[str, ...], selector: str, field_selector: str) -> list[str]:
    """Workflows by selectors and by name, each once.

    Raises:
        UsageError: nothing chooses any.
    """
    if not names and not selector and not field_selector:
        raise UsageError("Either a workflow or a selector is needed.")
    found = []
    if selector or field_selector:
        found = [row.name for row in find_all(service, WorkflowFilter(labels=selector, fields=field_selector))]
    return list(dict.fromkeys([*found, *names]))


@argo_command(
    examples=[
        "tiphys argo stop my-wf",
        "tiphys argo stop -l app=nightly --dry-run",
        "tiphys argo stop my-wf --node-field-selector displayName=approve --message 'not now'",
    ]
)
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option("--message", default="", help="Message of the nodes that are stopped.")
@click.option("--node-field-selector", default="", help="Only fail these waiting suspend nodes.")
@click.option("-l", "--selector", default="", help=SELECTOR_HELP)
@click.option("--field-selector", default="", help=FIELD_HELP)
@click.option("--dry-run", is_flag=True, help="Only print what would be stopped.")
def stop(
    names: tuple[str, ...], message: str, node_field_selector: str, selector: str, field_selector: str, dry_run: bool
) -> None:
    """Stop workflows, but still run their exit handlers."""
    service = workflows()
    for name in chosen(service, names, selector, field_selector):
        if dry_run:
            click.echo(f"workflow {name} stopped (dry-run)")
            continue
        stopped = service.stop(name, selector=node_field_selector, message=message)
        click.echo(f"workflow {stopped['metadata']['name']} stopped")


@argo_command(examples=["tiphys argo terminate my-wf", "tiphys argo terminate -l app=nightly"])
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option("-l", "--selector", default="", help=SELECTOR_HELP)
@click.option("--field-selector", default="", help=FIELD_HELP)
@click.option("--dry-run", is_flag=True, help="Only print what would be terminated.")
def terminate(names: tuple[str, ...], selector: str, field_selector: str, dry_run: bool) -> None:
    """Stop workflows immediately, and do not run any exit handlers."""
    service = workflows()
    for name in chosen(service, names, selector, field_selector):
        if dry_run:
            click.echo(f"workflow {name} terminated (dry-run)")
            continue
        ended = service.terminate(name)
        click.echo(f"workflow {ended['metadata']['name']} terminated")


@argo_command(examples=["tiphys argo suspend my-wf", "tiphys argo suspend @latest"])
@click.argument("names", metavar="WORKFLOW...", nargs=-1, required=True)
def suspend(names: tuple[str, ...]) -> None:
    """Suspend workflows: what runs goes on, and nothing new is started."""
    for name in names:
        click.echo(f"workflow {workflows().suspend(name)['metadata']['name']} suspended")


@argo_command(
    examples=["tiphys argo resume my-wf", "tiphys argo resume my-wf --node-field-selector displayName=approve"]
)
@click.argument("names", metavar="WORKFLOW...", nargs=-1, required=True)
@click.option("--node-field-selector", default="", help="Only resume these waiting suspend nodes.")
def resume(names: tuple[str, ...], node_field_selector: str) -> None:
    """Resume suspended workflows and waiting suspend nodes; a workflow whose process died is taken up again."""
    for name in names:
        resumed = workflows().resume(name, selector=node_field_selector)
        click.echo(f"workflow {resumed['metadata']['name']} resumed")


@argo_command(
    examples=[
        "tiphys argo node set my-wf -p approved=yes --node-field-selector displayName=approve",
        "tiphys argo node set my-wf --phase Succeeded --node-field-selector displayName=approve",
    ]
)
@click.argument("action", type=click.Choice(("set",)))
@click.argument("name", metavar="WORKFLOW")
@click.option("--node-field-selector", default="", help="Which waiting suspend nodes are set.")
@click.option("--phase", default="", help="Phase to set the nodes to, e.g. Succeeded.")
@click.option(
    "-p", "--output-parameter", "outputs", multiple=True, help="Set a supplied output parameter (NAME=VALUE)."
)
@click.option("-m", "--message", default="", help="Message of the nodes.")
def node(action: str, name: str, node_field_selector: str, phase: str, outputs: tuple[str, ...], message: str) -> None:
    """Perform an ACTION on nodes of a workflow: `set` changes suspend nodes that wait."""
    del action
    values = {key: _unquoted(value) for key, value in pairs_of(outputs, "parameter").items()}
    workflows().set_nodes(name, selector=node_field_selector, phase=phase, message=message, outputs=values)
    click.echo("workflow values set")


def _unquoted(text: str) -> str:
    """A text without the double quotes that may stand around it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text
