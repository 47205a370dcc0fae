"""`tiphys runs`: look at runs, follow them, stop, resume and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.compare import compare, diff
from tiphys.cli.lazy import HintingGroup
from tiphys.cli.lookups import UNFINISHED, StepView, find_run, run_status, step_views
from tiphys.cli.options import confirm, dry_run_option, limit_option, output_option, since_option, yes_option
from tiphys.cli.output import (
    Column,
    ago,
    describe,
    emit,
    heading,
    lasted,
    mapping,
    plain,
    show_list,
    status_colour,
    styled_status,
    table,
    when,
)
from tiphys.cli.session import backend
from tiphys.errors import ConflictError
from tiphys.records.base import EntityType, Query, Where
from tiphys.records.models import ModelVersion
from tiphys.records.runs import ExecutionStatus, Run, StepRun

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


@click.group(cls=HintingGroup)
def runs() -> None:
    """Runs: look, follow, stop, resume, compare.

    RUN is a run's name, its id, the beginning of its id, or `latest`.
    """


runs.add_command(compare)
runs.add_command(diff)


def query_runs(
    *,
    pipeline: str | None = None,
    status: tuple[str, ...] = (),
    since: datetime | None = None,
    model_version_id: str | None = None,
    limit: int = 0,
) -> Query[Run]:
    """Runs, newest first, that obey all conditions that are given."""
    where = []
    if pipeline:
        where.append(Where("pipeline_name", pipeline))
    if status:
        where.append(Where("status", list(status), "in"))
    if since:
        where.append(Where("created_at", since, "ge"))
    if model_version_id:
        where.append(Where("model_version_id", model_version_id))
    return Query(Run, tuple(where), limit=limit or None)


def show_runs(session: Backend, found: list[Run], output: str, *, limit: int, empty: str) -> None:
    """Print a list of runs."""
    status = {run.id: run_status(session, run) for run in found}

    def colour(run: Run) -> str | None:
        return "red" if status[run.id] == "interrupted" else status_colour(run.status)

    columns: list[Column[Run]] = [
        Column("NAME", lambda run: run.name),
        Column("PIPELINE", lambda run: run.pipeline_name or ""),
        Column("STATUS", lambda run: status[run.id], colour=colour),
        Column("AGE", lambda run: ago(run.created_at)),
        Column("DURATION", lambda run: lasted(run.started_at, run.finished_at, until_now=run.status in UNFINISHED)),
        Column("STACK", lambda run: run.stack, wide=True),
        Column("ID", lambda run: run.id, wide=True),
        Column("MESSAGE", lambda run: run.message, wide=True),
    ]
    show_list(
        found,
        columns,
        output=output,
        limit=limit,
        empty=empty,
        name=lambda run: run.name,
        data=lambda run: run_data(run, status),
    )


def run_data(run: Run, status: Mapping[str, str]) -> dict[str, Any]:
    """A run as JSON, with its status as people are told it."""
    return {**plain(run), "interrupted": status[run.id] == "interrupted"}


@runs.command(
    "list", examples=["tiphys runs list --status failed --since 7d", "tiphys runs list --pipeline churn -o json"]
)
@click.option("--status", multiple=True, type=click.Choice([status.value for status in ExecutionStatus]))
@click.option("--pipeline", help="Runs of this pipeline.")
@since_option
@limit_option(20)
@output_option
def list_runs(status: tuple[str, ...], pipeline: str | None, since: datetime | None, limit: int, output: str) -> None:
    """List runs, the newest first."""
    session = backend()
    query = query_runs(pipeline=pipeline, status=status, since=since, limit=limit)
    show_runs(session, session.find(query), output, limit=limit, empty="No runs.")


@runs.command(examples=["tiphys runs show", "tiphys runs show churn-2026-01-31-10-00-00 -o json"])
@click.argument("run", required=False)
@output_option
def show(run: str | None, output: str) -> None:
    """Show a run (the newest by default): its steps, parameters, metadata, errors."""
    session = backend()
    found = find_run(session, run)
    if output == "name":
        click.echo(found.name)
        return
    steps = session.runs.steps(found.id)
    views = step_views(session, steps)
    tags = session.labels.tags_of(EntityType.RUN, [found.id]).get(found.id, [])
    metadata = session.labels.metadata_of(EntityType.RUN, [found.id]).get(found.id, {})
    if output in ("json", "yaml"):
        of_steps = session.labels.metadata_of(EntityType.STEP_RUN, [step.id for step in steps])
        described = [_step_data(step, views[step.name], of_steps) for step in steps]
        status = {found.id: run_status(session, found)}
        emit({**run_data(found, status), "tags": tags, "metadata": metadata, "steps": described}, output)
        return
    _describe_run(session, found, tags)
    mapping("Parameters", found.parameters)
    mapping("Metadata", metadata)
    if steps:
        heading("Steps")
        table(_step_columns(views, wide=output == "wide"), steps, indent=2)
    for step in steps:
        if step.exception and step.status is ExecutionStatus.FAILED:
            heading(f"Failure of {step.name}")
            text = step.exception.get("traceback") or f"{step.exception.get('type')}: {step.exception.get('message')}"
            click.echo("".join(f"  {line}\n" for line in str(text).rstrip().splitlines()), nl=False)


def _describe_run(session: Backend, run: Run, tags: list[str]) -> None:
    status = run_status(session, run)
    resume = f"interrupted; take it up with: tiphys runs resume {run.name}"
    describe(
        [
            ("Name", run.name),
            ("Id", run.id),
            ("Pipeline", run.pipeline_name or ""),
            ("Status", click.style(resume, fg="red") if status == "interrupted" else styled_status(run.status)),
            ("Error", run.message),
            ("Started", when(run.started_at or run.created_at)),
            ("Duration", lasted(run.started_at, run.finished_at, until_now=run.status in UNFINISHED)),
            ("Stack", run.stack),
            ("Model", _model_text(session, run.model_version_id)),
            ("Code", code_text(run)),
            ("Tags", ", ".join(tags)),
        ]
    )


def _model_text(session: Backend, version_id: str | None) -> str:
    found = session.find(Query.of(ModelVersion, id=version_id)) if version_id else []
    return f"{found[0].model_name} {found[0].name}" if found else ""


def code_text(run: Run) -> str:
    """Where a run's code came from, as far as that is known."""
    code = run.config.get("code")
    if not isinstance(code, Mapping):
        return ""
    commit = str(code.get("git_commit") or code.get("commit") or "")[:12]
    dirty = " with changes" if commit and code.get("dirty") else ""
    return " ".join(part for part in (str(code.get("entry") or code.get("file") or ""), commit + dirty) if part)


def _step_data(step: StepRun, view: StepView, metadata: Mapping[str, Any]) -> dict[str, Any]:
    last = step is view.step
    return {
        **plain(step),
        "metadata": metadata.get(step.id, {}),
        "inputs": plain(view.inputs) if last else {},
        "outputs": plain(view.outputs) if last else {},
    }


def _step_columns(views: Mapping[str, StepView], *, wide: bool) -> list[Column[StepRun]]:
    def outputs(step: StepRun) -> str:
        view = views[step.name]
        if step is not view.step:
            return ""
        return ", ".join(f"{version.name}:{version.version}" for made in view.outputs.values() for version in made)

    columns: list[Column[StepRun]] = [
        Column("NAME", lambda step: step.name),
        Column("STATUS", lambda step: step.status.value, colour=lambda step: status_colour(step.status)),
        Column("DURATION", lambda step: "" if step.status is ExecutionStatus.CACHED else _step_time(step)),
        Column("ATTEMPT", lambda step: str(step.version)),
        Column("OUTPUTS", outputs),
        Column("SOURCE", lambda step: step.source, wide=True),
        Column("ID", lambda step: step.id, wide=True),
    ]
    retried = any(step.version > 1 for step in (view.step for view in views.values()))
    return [column for column in columns if (wide or not column.wide) and (retried or column.title != "ATTEMPT")]


def _step_time(step: StepRun) -> str:
    return lasted(step.started_at, step.finished_at, until_now=step.status in UNFINISHED)


@runs.command(examples=["tiphys runs logs -f", "tiphys runs logs churn-2026-01-31-10-00-00 --step train"])
@click.argument("run", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--step", help="Only this step.")
def logs(run: str | None, follow: bool, step: str | None) -> None:
    """Print what a run's steps wrote (the newest run by default)."""
    session = backend()
    found = find_run(session, run)
    for name, line in session.runs.logs(found.id, step=step, follow=follow):
        click.echo(line if step else f"{click.style(f'[{name}]', fg='cyan')} {line}")


@runs.command(examples=["tiphys runs stop latest", "tiphys runs stop churn-2026-01-31-10-00-00 --graceful"])
@click.argument("run")
@click.option("--graceful", is_flag=True, help="Let the steps that run finish; start no more.")
def stop(run: str, graceful: bool) -> None:
    """Stop a run."""
    session = backend()
    found = find_run(session, run)
    if found.status.is_finished:
        click.echo(f"Run {found.name} has ended already: {found.status.value}.")
        return
    stopped = session.runs.stop(found.id, graceful=graceful)
    ended = stopped.status.is_finished
    click.echo(f"Run {stopped.name} {'has ended: ' + stopped.status.value if ended else 'was asked to stop'}.")


@runs.command(examples=["tiphys runs resume latest"])
@click.argument("run")
@click.pass_context
def resume(ctx: click.Context, run: str) -> None:
    """Take up a run whose process died: steps that ended are kept."""
    from tiphys.cli.programs import find_code
    from tiphys.cli.watch import python_steps, watch

    session = backend()
    found = find_run(session, run)
    if found.status.is_finished:
        raise ConflictError(f"Run {found.name} has ended already ({found.status.value}).", hint="Run it again.")
    tasks, sources = python_steps(session, found)
    if "code_tree" not in found.config:  # else the server has it
        find_code(found, sources)
    resumed = session.runs.resume(found.id)
    ctx.exit(0 if watch(session, resumed, tasks).status.is_successful else 1)


@runs.command(examples=["tiphys runs delete churn-2026-01-31-10-00-00 --yes"])
@click.argument("run", nargs=-1, required=True)
@dry_run_option
@yes_option
def delete(run: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Delete finished runs; the artifact versions they made stay."""
    session = backend()
    found = [find_run(session, name) for name in run]
    names = ", ".join(item.name for item in found)
    if dry_run:
        click.echo(f"Would delete: {names}.")
        return
    confirm(f"Delete {names}?", yes=yes)
    for item in found:
        session.runs.delete(item.id)
        click.echo(f"Deleted run {item.name}.")
