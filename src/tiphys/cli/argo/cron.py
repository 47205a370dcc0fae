"""`tiphys argo cron`: schedules, and runs for times that have passed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from tiphys._util.times import rfc3339, utc_now
from tiphys._util.zones import local_zone
from tiphys.cli.argo.files import parameters_of
from tiphys.cli.argo.humanize import short_duration, timestamp
from tiphys.cli.argo.lint import lint_files
from tiphys.cli.argo.printing import OUTPUTS, print_object
from tiphys.cli.argo.session import ArgoGroup, namespace, objects, workflows
from tiphys.cli.argo.templates import read_objects
from tiphys.cli.output import aligned
from tiphys.errors import ConflictError, UsageError
from tiphys.lang.cron import parse_schedule
from tiphys.lang.gotime import format_time, parse_time
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.objects import ObjectKind
from tiphys.services.workflows.options import labels_of
from tiphys.services.workflows.submission import workflow_from_cron

_KIND = ObjectKind.CRON_WORKFLOW
#: Go's layout of RFC 1123, which `--format` has as its default.
_RFC1123 = "Mon, 02 Jan 2006 15:04:05 MST"
#: How Go prints a time.
_GO_TIME = "2006-01-02 15:04:05 -0700 MST"
_BACKFILL = "workflows.argoproj.io/backfill"
#: The largest priority there is.
_MOST = 2**31 - 1


@click.group(cls=ArgoGroup)
def cron() -> None:
    """Schedules: create, look, suspend, and catch up on times that have passed."""


@cron.command(
    examples=["tiphys argo cron create nightly.yaml", "tiphys argo cron create nightly.yaml --schedule '30 2 * * *'"]
)
@click.argument("files", nargs=-1, required=True)
@click.option("--schedule", default="", help="Override the schedule.")
@click.option("--name", default="", help="Override metadata.name.")
@click.option("--generate-name", default="", help="Override metadata.generateName.")
@click.option("--entrypoint", default="", help="Override the entrypoint.")
@click.option("--serviceaccount", default="", help="Run all pods with this service account.")
@click.option("-p", "--parameter", "parameters", multiple=True, help="Pass an input parameter (NAME=VALUE).")
@click.option("-f", "--parameter-file", default=None, help="File with input parameters.")
@click.option("-l", "--labels", default="", help="Comma separated labels to apply.")
@click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
def create(files: tuple[str, ...], strict: bool, output: str | None, **given: Any) -> None:
    """Create schedules from FILES."""
    for manifest in read_objects(files, _KIND, strict=strict):
        print_cron(objects().create(_changed(manifest, given)), output)


@cron.command(examples=["tiphys argo cron update nightly.yaml"])
@click.argument("files", nargs=-1, required=True)
@click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
def update(files: tuple[str, ...], strict: bool, output: str | None) -> None:
    """Update schedules from FILES."""
    for manifest in read_objects(files, _KIND, strict=strict):
        print_cron(objects().update(manifest), output)


@cron.command(examples=["tiphys argo cron get nightly"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=None, help="Output format.")
def get(names: tuple[str, ...], output: str | None) -> None:
    """Display details about schedules."""
    for name in names:
        print_cron(objects().get(_KIND, name), output)


@cron.command("list", examples=["tiphys argo cron list -A"])
@click.option("-A", "--all-namespaces", is_flag=True, help="Schedules of all namespaces.")
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("-o", "--output", type=click.Choice(("wide", "name")), default=None, help="Output format.")
def list_command(all_namespaces: bool, selector: str, output: str | None) -> None:
    """List schedules."""
    found = objects().find(_KIND, labels=selector, all_namespaces=all_namespaces)
    if output == "name":
        click.echo("".join(f"{one['metadata']['name']}\n" for one in found), nl=False)
        return
    titles = ["NAMESPACE"] * all_namespaces
    titles += ["NAME", "AGE", "LAST RUN", "NEXT RUN", "SCHEDULES", "TIMEZONE", "SUSPENDED"]
    rows = [[one["metadata"]["namespace"]] * all_namespaces + _row(one) for one in found]
    click.echo(aligned([titles, *rows]))


@cron.command(examples=["tiphys argo cron delete nightly"])
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Delete all of them.")
def delete(names: tuple[str, ...], everything: bool) -> None:
    """Delete schedules; what they have started goes on."""
    if not names and not everything:
        raise UsageError("Which schedules are to be deleted?", hint="Name them, or use --all.")
    service = objects()
    for name in [one["metadata"]["name"] for one in service.find(_KIND)] if everything else names:
        service.delete(_KIND, name)
        click.echo(f"CronWorkflow '{name}' deleted")


@cron.command(examples=["tiphys argo cron lint ./manifests"])
@click.argument("files", nargs=-1, required=True)
@click.option("--strict/--no-strict", default=True, help="Refuse unknown fields.", show_default=True)
@click.option("-o", "--output", type=click.Choice(("pretty", "simple")), default="pretty", help="Output format.")
def lint(files: tuple[str, ...], strict: bool, output: str) -> None:
    """Validate files or directories of schedules."""
    lint_files(files, {_KIND.value}, output=output, strict=strict, offline=False)


@cron.command(examples=["tiphys argo cron suspend nightly"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def suspend(names: tuple[str, ...]) -> None:
    """Suspend schedules: they start nothing until they are resumed."""
    for name in names:
        objects().suspend_schedule(name, suspended=True)
        click.echo(f"CronWorkflow '{name}' suspended")


@cron.command(examples=["tiphys argo cron resume nightly"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def resume(names: tuple[str, ...]) -> None:
    """Resume suspended schedules."""
    for name in names:
        objects().suspend_schedule(name, suspended=False)
        click.echo(f"CronWorkflow '{name}' resumed")


@cron.command(
    examples=[
        "tiphys argo cron backfill nightly --start 'Mon, 05 Jan 2026 00:00:00 UTC' --parallel",
        "tiphys argo cron backfill nightly --format 2006-01-02 --start 2026-01-05 --end 2026-01-12",
    ]
)
@click.argument("cron_name", metavar="NAME")
@click.option("--name", default="", help="Name of the backfill.")
@click.option("--start", required=True, help="Only times after this one.")
@click.option("--end", default="", help="Only times up to this one (default: now).")
@click.option("--parallel", is_flag=True, help="Run all workflows at once instead of one after another.")
@click.option("--argname", default="cronScheduleTime", show_default=True, help="Argument that is given the time.")
@click.option(
    "--format", "layout", default=_RFC1123, show_default=True, help="How --start and --end are written (Go's)."
)
@click.option("--maxworkflowcount", type=click.IntRange(min=1), default=1000, show_default=True, help="Most workflows.")
def backfill(
    cron_name: str, name: str, start: str, end: str, parallel: bool, argname: str, layout: str, maxworkflowcount: int
) -> None:
    """Run a schedule for times that have passed: one workflow for each."""
    found = objects().get(_KIND, cron_name)
    name = (name or secrets.token_hex(3)).lower()
    until = parse_time(layout, end) if end else utc_now()
    times = _times(found, parse_time(layout, start), until, maxworkflowcount)
    if not times:
        click.echo("There is no suitable scheduling time.")
        return
    manifests = [_backfilling(found, name, moment, argname, parallel=parallel) for moment in times]
    made = workflows().submit_all(manifests, SubmitOptions(detached=True))
    place = namespace() or found["metadata"]["namespace"]
    click.echo(f"Created {name} Backfill task for Cronworkflow {cron_name}")
    click.echo(f"{'=' * 50}\nBackfill Period:\nStart Time: {start}\n  End Time: {end or format_time(until, _RFC1123)}")
    click.echo(f"Total Backfill Schedule: {len(times)}\n{'=' * 50}\nBackfill Workflows:")
    click.echo(aligned([["", "NAMESPACE", "WORKFLOW"], *_numbered(place, made)]))


def next_time(found: Mapping[str, Any]) -> datetime | None:
    """When a schedule is due next."""
    spec = found.get("spec") or {}
    now = utc_now().astimezone(local_zone())
    due = [parse_schedule(one, spec.get("timezone") or "").next(now) for one in spec.get("schedules") or ()]
    return min((moment for moment in due if moment is not None), default=None)


def print_cron(found: Manifest, output: str | None) -> None:
    """Print a schedule as `argo cron get` does."""
    if not print_object(found, output or ""):
        for key, value in _facts(found):
            click.echo(f"{key:<30} {value}")


def _facts(found: Manifest) -> list[tuple[str, Any]]:
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    facts = [
        ("Name:", metadata["name"]),
        ("Namespace:", metadata["namespace"]),
        ("Created:", timestamp(metadata["creationTimestamp"])),
        ("Schedules:", ",".join(spec.get("schedules") or ())),
        ("Suspended:", str(bool(spec.get("suspend"))).lower()),
    ]
    for title, field in (
        ("Timezone:", "timezone"),
        ("StartingDeadlineSeconds:", "startingDeadlineSeconds"),
        ("ConcurrencyPolicy:", "concurrencyPolicy"),
    ):
        if spec.get(field):
            facts.append((title, spec[field]))
    if status.get("lastScheduledTime"):
        facts.append(("LastScheduledTime:", timestamp(status["lastScheduledTime"])))
    due = next_time(found)
    if due is not None:
        facts.append(("NextScheduledTime:", timestamp(rfc3339(due))))
    if status.get("active"):
        facts.append(("Active Workflows:", ", ".join(str(one.get("name")) for one in status["active"])))
    facts += [
        (f"✖ {condition.get('type')}", condition.get("message") or condition.get("status"))
        for condition in status.get("conditions") or ()
    ]
    parameters = ((spec.get("workflowSpec") or {}).get("arguments") or {}).get("parameters") or ()
    if parameters:
        facts.append(("Workflow Parameters:", ""))
    return facts + [(f"  {one['name']}:", one["value"]) for one in parameters if one.get("value") is not None]


def _row(found: Manifest) -> list[str]:
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    last, due = status.get("lastScheduledTime"), next_time(found)
    return [
        metadata["name"],
        short_duration(metadata["creationTimestamp"]),
        short_duration(last) if last else "N/A",
        short_duration(utc_now(), due) if due else "N/A",
        ",".join(spec.get("schedules") or ()),
        str(spec.get("timezone") or ""),
        str(bool(spec.get("suspend"))).lower(),
    ]


def _changed(manifest: Manifest, given: Mapping[str, Any]) -> Manifest:
    """A schedule with what the options of `create` change."""
    metadata, spec = manifest.setdefault("metadata", {}), manifest.setdefault("spec", {})
    workflow = spec.setdefault("workflowSpec", {})
    if given["schedule"]:
        spec["schedules"] = [given["schedule"]]
    if given["generate_name"]:
        metadata.pop("name", None)
        metadata["generateName"] = given["generate_name"]
    if given["name"]:
        metadata["name"] = given["name"]
    if given["labels"]:
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels_of(given["labels"])}
    for field, value in (("entrypoint", given["entrypoint"]), ("serviceAccountName", given["serviceaccount"])):
        if value:
            workflow[field] = value
    values = parameters_of(given["parameters"], given["parameter_file"])
    if values:
        _set_parameters(workflow, values)
    return manifest


def _set_parameters(spec: dict[str, Any], values: Mapping[str, str]) -> None:
    arguments = spec.setdefault("arguments", {})
    others = [one for one in arguments.get("parameters") or () if one.get("name") not in values]
    arguments["parameters"] = [*({"name": name, "value": value} for name, value in values.items()), *others]


def _times(found: Manifest, start: datetime, end: datetime, most: int) -> list[datetime]:
    spec = found.get("spec") or {}
    times: set[datetime] = set()
    for text in spec.get("schedules") or ():
        schedule = parse_schedule(text, spec.get("timezone") or "")
        moment = schedule.next(start)
        while moment is not None and moment <= end:
            times.add(moment)
            if len(times) > most:
                raise ConflictError(
                    f"There are more than {most} times between {start} and {end}.",
                    hint="Choose a shorter period, or raise --maxworkflowcount.",
                )
            moment = schedule.next(moment)
    return sorted(times)


def _backfilling(found: Manifest, name: str, moment: datetime, argname: str, *, parallel: bool) -> Manifest:
    """The workflow for one time; those of a backfill that is not parallel hold one mutex after another."""
    cron_name = found["metadata"]["name"]
    workflow = workflow_from_cron(found, scheduled=moment, generate_name=f"{cron_name}-backfill-{name}-")
    workflow["metadata"]["labels"][_BACKFILL] = cron_name
    spec = {**workflow["spec"], "arguments": dict(workflow["spec"].get("arguments") or {})}
    _set_parameters(spec, {argname: format_time(moment, _GO_TIME)})
    if not parallel:
        spec |= {"priority": _MOST, "synchronization": {"mutexes": [{"name": name}]}}
    return {**workflow, "spec": spec}


def _numbered(place: str, made: list[Manifest]) -> list[list[str]]:
    return [[f"{number}.", place, one["metadata"]["name"]] for number, one in enumerate(made, 1)]
