"""`tiphys pipeline`: pipelines that were run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.cli.lookups import find_pipeline, run_status
from tiphys.cli.options import limit_option, output_option, since_option
from tiphys.cli.output import Column, ago, describe, emit, plain, show_list, when
from tiphys.cli.runs import query_runs, show_runs
from tiphys.cli.session import backend
from tiphys.records.base import Query, Where
from tiphys.records.runs import ExecutionStatus, Pipeline, Run

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


@click.group(cls=HintingGroup)
def pipeline() -> None:
    """Pipelines that were run."""


@pipeline.command("list", examples=["tiphys pipeline list", "tiphys pipeline list -o name"])
@limit_option(50)
@output_option
def list_pipelines(limit: int, output: str) -> None:
    """List pipelines with their newest run."""
    session = backend()
    found = session.find(Query.of(Pipeline, order="name", limit=limit or None))
    newest = {item.id: _newest(session, item) for item in found} if output in ("table", "wide") else {}

    def last_run(item: Pipeline) -> Run | None:
        return newest[item.id]

    columns: list[Column[Pipeline]] = [
        Column("NAME", lambda item: item.name),
        Column("LAST RUN", lambda item: run.name if (run := last_run(item)) else ""),
        Column("STATUS", lambda item: run_status(session, run) if (run := last_run(item)) else ""),
        Column("AGE", lambda item: ago(run.created_at) if (run := last_run(item)) else ""),
        Column("RUNS", lambda item: str(session.count(query_runs(pipeline=item.name)))),
        Column("DESCRIPTION", lambda item: item.description.partition("\n")[0], wide=True),
        Column("ID", lambda item: item.id, wide=True),
    ]
    show_list(found, columns, output=output, limit=limit, empty="No pipeline was run yet.", name=lambda item: item.name)


def _newest(session: Backend, item: Pipeline) -> Run | None:
    found = session.find(query_runs(pipeline=item.name, limit=1))
    return found[0] if found else None


@pipeline.command(examples=["tiphys pipeline show churn"])
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show a pipeline: how often it ran, and how that ended."""
    session = backend()
    found = find_pipeline(session, name)
    if output == "name":
        click.echo(found.name)
        return
    counts = {
        status.value: count
        for status in ExecutionStatus
        if (count := session.count(Query(Run, (Where("pipeline_name", found.name), Where("status", status.value)))))
    }
    if output in ("json", "yaml"):
        emit({**plain(found), "runs": counts}, output)
        return
    newest = _newest(session, found)
    describe(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Description", found.description),
            ("First run", when(found.created_at)),
            ("Last run", f"{newest.name}, {run_status(session, newest)}" if newest else ""),
            ("Runs", ", ".join(f"{count} {status}" for status, count in counts.items())),
        ]
    )


@pipeline.command("runs", examples=["tiphys pipeline runs churn --status failed"])
@click.argument("name")
@click.option("--status", multiple=True, type=click.Choice([status.value for status in ExecutionStatus]))
@since_option
@limit_option(20)
@output_option
def runs_of(name: str, status: tuple[str, ...], since: datetime | None, limit: int, output: str) -> None:
    """List the runs of a pipeline, the newest first."""
    session = backend()
    found = find_pipeline(session, name)
    query = query_runs(pipeline=found.name, status=status, since=since, limit=limit)
    show_runs(session, session.find(query), output, limit=limit, empty=f"No such runs of pipeline {found.name}.")
