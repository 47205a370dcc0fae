"""`tiphys argo archive`: workflows that have ended, also those that nothing else shows any more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys.cli.argo.again import again_options, run_again
from tiphys.cli.argo.files import parameters_of
from tiphys.cli.argo.listing import SELECTOR_HELP, find_all, print_list
from tiphys.cli.argo.printing import OUTPUTS, head_text
from tiphys.cli.argo.session import ArgoGroup, workflows
from tiphys.errors import ConflictError, UsageError
from tiphys.ports.workflows import WorkflowFilter
from tiphys.spec.yaml import dump

if TYPE_CHECKING:
    from tiphys.ports.workflows import Workflows

F = TypeVar("F", bound=Callable[..., Any])

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@click.group(cls=ArgoGroup)
def archive() -> None:
    """The archive: all workflows that have ended, by name or by uid."""


def _name_options(function: F) -> F:
    by_uid = click.option("--uid", "force_uid", is_flag=True, help="Take the argument as a uid.")
    return click.option("--name", "force_name", is_flag=True, help="Take the argument as a name.")(by_uid(function))


def _uid_of(service: Workflows, text: str, *, force_uid: bool, force_name: bool) -> str:
    """The uid of an archived workflow.

    Raises:
        UsageError: the argument cannot be both.
        ConflictError: several have the name.
    """
    if force_uid and force_name:
        raise UsageError("--name and --uid cannot be used together.")
    if force_uid or (not force_name and _UID.fullmatch(text)):
        return text
    found = find_all(service, WorkflowFilter(names=(text,), archive=True))
    if len(found) > 1:
        known = ", ".join(f"{row.id} (created {row.created_at:%Y-%m-%d %H:%M:%S})" for row in found)
        raise ConflictError(f"Multiple archived workflows are named '{text}'.", hint=f"Give the uid of one: {known}.")
    if not found:
        raise UsageError(f"There is no archived workflow '{text}'.", hint="See them all: tiphys argo archive list")
    return found[0].id


@archive.command("list", examples=["tiphys argo archive list -l app=nightly -o name"])
@click.option("-l", "--selector", default="", help=SELECTOR_HELP)
@click.option("--chunk-size", type=int, default=0, help="Read large lists in chunks of so many.")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="wide", help="Output format.")
def list_command(selector: str, chunk_size: int, output: str) -> None:
    """List archived workflows."""
    service = workflows()
    rows = find_all(service, WorkflowFilter(labels=selector, archive=True), chunk_size)
    print_list(service, rows, output, namespaces=True, uids=True)


@archive.command(examples=["tiphys argo archive get my-wf"])
@click.argument("name", metavar="WORKFLOW")
@click.option("-o", "--output", type=click.Choice(("json", "yaml", "wide")), default="wide", help="Output format.")
@_name_options
def get(name: str, output: str, force_uid: bool, force_name: bool) -> None:
    """Display an archived workflow."""
    service = workflows()
    uid = _uid_of(service, name, force_uid=force_uid, force_name=force_name)
    workflow = service.get(name, uid=uid, archive=True)
    if output == "json":
        click.echo(json.dumps(workflow, ensure_ascii=False))
    else:
        click.echo(dump(workflow) if output == "yaml" else head_text(workflow), nl=False)


@archive.command(examples=["tiphys argo archive delete my-wf"])
@click.argument("names", metavar="WORKFLOW...", nargs=-1, required=True)
@_name_options
def delete(names: tuple[str, ...], force_uid: bool, force_name: bool) -> None:
    """Delete archived workflows for good."""
    service = workflows()
    for name in names:
        uid = _uid_of(service, name, force_uid=force_uid, force_name=force_name)
        service.delete(name, uid=uid, archive=True)
        click.echo(f"Archived workflow '{name}' deleted")


@archive.command(examples=["tiphys argo archive retry my-wf"])
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option(
    "--restart-successful", is_flag=True, help="Also restart succeeded nodes that --node-field-selector means."
)
@click.option("--node-field-selector", default="", help="Nodes to reset.")
@_name_options
@again_options
def retry(names: tuple[str, ...], restart_successful: bool, node_field_selector: str, **given: Any) -> None:
    """Rerun the failed steps of archived workflows, which are then no longer in the archive alone."""
    service = workflows()
    parameters = parameters_of(given["parameters"])
    begun = [
        service.retry(
            uid,
            uid=uid,
            restart_successful=restart_successful,
            selector=node_field_selector,
            parameters=parameters,
            detached=True,
        )
        for uid in _chosen(service, names, given)
    ]
    run_again(service, begun, given)


@archive.command(examples=["tiphys argo archive resubmit my-wf"])
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option("--memoized", is_flag=True, help="Re-use successful steps and outputs of the previous run.")
@click.option("--priority", type=int, default=None, help="Workflow priority.")
@_name_options
@again_options
def resubmit(names: tuple[str, ...], memoized: bool, priority: int | None, **given: Any) -> None:
    """Submit archived workflows again, as new ones."""
    service = workflows()
    parameters = parameters_of(given["parameters"])
    begun = [
        service.resubmit(uid, uid=uid, memoized=memoized, parameters=parameters, priority=priority, detached=True)
        for uid in _chosen(service, names, given)
    ]
    run_again(service, begun, given)


@archive.command("list-label-keys", examples=["tiphys argo archive list-label-keys"])
def list_label_keys() -> None:
    """List the keys of all labels in the archive."""
    rows = find_all(workflows(), WorkflowFilter(archive=True))
    click.echo("".join(f"{key}\n" for key in sorted({key for row in rows for key in row.labels})), nl=False)


@archive.command("list-label-values", examples=["tiphys argo archive list-label-values -l app"])
@click.option("-l", "--selector", required=True, help="The label, e.g. -l app.")
def list_label_values(selector: str) -> None:
    """List the values of a label in the archive."""
    rows = find_all(workflows(), WorkflowFilter(archive=True, labels=selector))
    values = sorted({row.labels[selector] for row in rows if selector in row.labels})
    click.echo("".join(f"{value}\n" for value in values), nl=False)


def _chosen(service: Workflows, names: tuple[str, ...], given: Mapping[str, Any]) -> list[str]:
    """Uids of archived workflows by selectors and by name, each once."""
    labels, fields = given["selector"], given["field_selector"]
    if not names and not labels and not fields:
        raise UsageError("Either a workflow or a selector is needed.")
    found: list[str] = []
    if labels or fields:
        found = [row.id for row in find_all(service, WorkflowFilter(labels=labels, fields=fields, archive=True))]
    named = [_uid_of(service, name, force_uid=given["force_uid"], force_name=given["force_name"]) for name in names]
    return list(dict.fromkeys([*found, *named]))
