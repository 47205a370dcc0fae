"""`tiphys argo submit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.argo.files import documents_of, manifests_of, parameters_of
from tiphys.cli.argo.following import follow, follow_options
from tiphys.cli.argo.printing import OUTPUTS, node_filter, print_workflow
from tiphys.cli.argo.session import argo_command, workflows
from tiphys.cli.argo.tree import TreeStyle
from tiphys.errors import UsageError
from tiphys.ports.workflows import SubmitOptions
from tiphys.services.workflows.options import labels_of

if TYPE_CHECKING:
    from tiphys.ports.workflows import Manifest, Workflows

_SCHEDULED = "workflows.argoproj.io/scheduled-time"


@argo_command(
    examples=[
        "tiphys argo submit hello.yaml                       submit, and return at once",
        "tiphys argo submit --wait hello.yaml -p name=Anna   wait for the end; exit code 1 unless it succeeds",
        "tiphys argo submit --watch hello.yaml               see its tree",
        "tiphys argo submit --from wftmpl/nightly            run a stored template",
        "cat hello.yaml | tiphys argo submit -               from standard input",
    ]
)
@click.argument("files", nargs=-1)
@click.option("--from", "source", default="", help="Submit from a stored object: kind/name, e.g. cronwf/nightly.")
@click.option("-p", "--parameter", "parameters", multiple=True, help="Pass an input parameter (NAME=VALUE).")
@click.option("-f", "--parameter-file", default=None, help="File with all input parameters.")
@click.option("--name", default="", help="Override metadata.name.")
@click.option("--generate-name", default="", help="Override metadata.generateName.")
@click.option("--entrypoint", default="", help="Override the entrypoint.")
@click.option("-l", "--labels", default="", help="Comma separated labels to apply; they override previous values.")
@click.option("--priority", type=int, default=None, help="Workflow priority.")
@click.option("--serviceaccount", default="", help="Run all pods with this service account.")
@click.option("--scheduled-time", default="", help="Override the workflow's scheduled time (RFC 3339).")
@click.option("--dry-run", is_flag=True, help="Only print the workflow that would be created.")
@click.option("--server-dry-run", is_flag=True, help="As --dry-run.")
@click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
@click.option(
    "--runner",
    type=click.Choice(("sandbox", "process", "container")),
    default=None,
    help="What carries pods out: processes with a file view of their own (the default), plain ones, or containers.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
@click.option("--status", default="", help="Only show nodes of this phase (with --watch).")
@click.option("--node-field-selector", default="", help="Only show these nodes, e.g. phase=Failed.")
@follow_options
def submit(files: tuple[str, ...], source: str, **given: Any) -> None:
    """Submit workflows from FILES, addresses or standard input (`-`), or from a stored object."""
    options = _options(given)
    _check(files, source, given, options)
    service = workflows()
    style = TreeStyle(given["output"] or "", wanted=node_filter(given["node_field_selector"], given["status"]))
    submitted = _from_stored(service, source, options) if source else _from_files(service, files, options)
    for workflow in submitted:
        print_workflow(workflow, style)
    if not options.dry_run:
        quiet = style.output not in ("", "wide")
        names = [workflow["metadata"]["name"] for workflow in submitted]
        follow(service, names, wait=given["wait"], watch=given["watch"], log=given["log"], quiet=quiet, style=style)


def _options(given: dict[str, Any]) -> SubmitOptions:
    scheduled = given["scheduled_time"]
    return SubmitOptions(
        name=given["name"],
        generate_name=given["generate_name"],
        entrypoint=given["entrypoint"],
        parameters=parameters_of(given["parameters"], given["parameter_file"]),
        labels=labels_of(given["labels"]),
        annotations={_SCHEDULED: scheduled} if scheduled else {},
        service_account=given["serviceaccount"],
        priority=given["priority"],
        runner=given["runner"],
        strict=given["strict"],
        dry_run=given["dry_run"] or given["server_dry_run"],
        detached=True,
    )


def _check(files: tuple[str, ...], source: str, given: dict[str, Any], options: SubmitOptions) -> None:
    if source and files:
        raise UsageError("--from cannot be combined with files.")
    if not source and not files:
        raise UsageError("There is nothing to submit.", hint="Name files, or a stored object with --from KIND/NAME.")
    if options.dry_run:
        if given["wait"] or given["watch"] or given["log"]:
            raise UsageError("--wait, --watch and --log cannot be combined with --dry-run.")
        if given["output"] is None:
            raise UsageError("--dry-run should have an output option.", hint="Add -o yaml.")


def _from_stored(service: Workflows, source: str, options: SubmitOptions) -> list[Manifest]:
    kind, slash, name = source.partition("/")
    if not slash or not name:
        raise UsageError(
            f"The resource identifier '{source}' is malformed.", hint="Write kind/name, e.g. cronwf/nightly."
        )
    return [service.submit_from(kind, name, options)]


def _from_files(service: Workflows, files: tuple[str, ...], options: SubmitOptions) -> list[Manifest]:
    manifests = manifests_of(documents_of(files, strict=options.strict), "Workflow")
    if not manifests:
        raise UsageError("No workflow was found in the given files.")
    return service.submit_all(manifests, options)
