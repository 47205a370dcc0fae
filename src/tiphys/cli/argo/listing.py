"""`tiphys argo list` and `delete`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys._util.times import utc_now
from tiphys.cli.argo.printing import OUTPUTS, in_order, list_text
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.errors import ArtifactError, NotFoundError, UsageError
from tiphys.ports.workflows import WorkflowFilter
from tiphys.records.workflows import WorkflowSummary
from tiphys.spec.yaml import dump

if TYPE_CHECKING:
    from tiphys.ports.workflows import Manifest, Workflows

F = TypeVar("F", bound=Callable[..., Any])

SELECTOR_HELP = "Label selector, e.g. -l key1=value1,key2!=value2."
FIELD_HELP = "Field selector, e.g. --field-selector metadata.name=my-wf."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def filter_options(function: F) -> F:
    """The options by which workflows are chosen."""
    for option in (
        click.option("--older", default=None, help="Completed workflows that finished before so long (10m, 3h, 1d)."),
        click.option("--status", default="", help="By status (comma separated)."),
        click.option("--completed", is_flag=True, help="Completed workflows."),
        click.option("--resubmitted", is_flag=True, help="Resubmitted workflows."),
        click.option("--prefix", default="", help="Workflows whose names begin so."),
        click.option("-l", "--selector", default="", help=SELECTOR_HELP),
        click.option("--field-selector", default="", help=FIELD_HELP),
        click.option("-A", "--all-namespaces", is_flag=True, help="Workflows of all namespaces."),
    ):
        function = option(function)
    return function


def filter_of(given: dict[str, Any]) -> WorkflowFilter:
    """The filter that `filter_options` (and `--running`, `--since`) mean."""
    completed, running = given["completed"], given.get("running", False)
    if completed and running:
        raise UsageError("--completed and --running cannot be used together.")
    return WorkflowFilter(
        prefix=given["prefix"],
        phases=tuple(one for one in given["status"].split(",") if one),
        completed=True if completed else False if running else None,
        resubmitted=given["resubmitted"],
        labels=given["selector"],
        fields=given["field_selector"],
        created_after=_ago(given.get("since"), "--since"),
        finished_before=_ago(given["older"], "--older"),
        all_namespaces=given["all_namespaces"],
    )


def _ago(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found:
        raise UsageError(f"{option} {text} is not a duration such as 10m, 3h or 1d.")
    return utc_now() - timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def find_all(service: Workflows, wanted: WorkflowFilter, chunk: int = 0) -> list[WorkflowSummary]:
    """All workflows that obey a filter, read in chunks if so asked."""
    found: list[WorkflowSummary] = []
    after = ""
    while True:
        page = service.find(wanted, limit=chunk, after=after)
        found += page.items
        after = page.next
        if not after:
            return found


def print_list(
    service: Workflows,
    rows: list[WorkflowSummary],
    output: str | None,
    *,
    headers: bool = True,
    namespaces: bool = False,
    uids: bool = False,
) -> None:
    """Print workflows in the format that was asked for."""
    if not rows:
        click.echo("[]" if output in ("json", "yaml") else "No workflows found")
        return
    rows = in_order(rows)
    if output == "name":
        click.echo("\n".join(row.name for row in rows))
        return
    whole: dict[str, Manifest] | None = None
    if output is not None:
        whole = {row.id: service.in_namespace(row.workspace).get(row.name, uid=row.id, archive=True) for row in rows}
    if output in ("json", "yaml"):
        items = list((whole or {}).values())
        click.echo(json.dumps(items, indent=2, ensure_ascii=False) if output == "json" else dump(items))
        return
    click.echo(list_text(rows, headers=headers, namespaces=namespaces, uids=uids, details=whole))


@argo_command(
    "list",
    examples=[
        "tiphys argo list --running",
        "tiphys argo list --since 10m --status Failed,Error",
        "tiphys argo list -l app=nightly -o wide",
    ],
)
@filter_options
@click.option("--running", is_flag=True, help="Workflows that have not completed.")
@click.option("--since", default=None, help="Workflows created within so long (10m, 3h, 1d).")
@click.option("--chunk-size", type=int, default=0, help="Read large lists in chunks of so many.")
@click.option("--no-headers", is_flag=True, help="Do not print titles.")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
def list_command(chunk_size: int, no_headers: bool, output: str | None, **given: Any) -> None:
    """List workflows."""
    service = workflows()
    rows = find_all(service, filter_of(given), chunk_size)
    print_list(service, rows, output, headers=not no_headers, namespaces=given["all_namespaces"])


@argo_command(
    examples=[
        "tiphys argo delete my-wf",
        "tiphys argo delete --completed --older 7d --dry-run    what would be deleted",
        "tiphys argo delete @latest",
    ]
)
@click.argument("names", metavar="[WORKFLOW...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All workflows of the namespace.")
@filter_options
@click.option("--query-chunk-size", type=int, default=0, help="Read large lists in chunks of so many.")
@click.option("--force", is_flag=True, help="Leave artifacts that are to be deleted with the workflow.")
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
def delete(
    names: tuple[str, ...], everything: bool, query_chunk_size: int, force: bool, dry_run: bool, **given: Any
) -> None:
    """Delete workflows with their nodes, logs and volume claims, and artifacts whose artifactGC says so.

    Those that run are terminated first.
    """
    service = workflows()
    filtered = everything or any(given.values())
    if not names and not filtered:
        raise UsageError("Either a workflow or an option that chooses workflows is needed.")
    chosen = [(name, "") for name in names]
    if filtered:
        chosen += [(row.name, row.id) for row in find_all(service, filter_of(given), query_chunk_size)]
    if not chosen:
        click.echo("No resources found")
    kept = []
    for name, uid in chosen:
        if dry_run:
            click.echo(f"Workflow '{name}' deleted (dry-run)")
            continue
        try:
            service.delete(name, uid=uid, force=force)
        except NotFoundError:
            click.echo(f"Workflow '{name}' not found")
        except ArtifactError as error:
            kept.append(error)
        else:
            click.echo(f"Workflow '{name}' deleted")
    if kept:
        raise ArtifactError("\n".join(error.message for error in kept), hint=kept[0].hint)
