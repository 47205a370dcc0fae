"""`tiphys runs compare` and `tiphys runs diff`: runs side by side."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.comparing import Line, RunFacts, StepDiff, compare_runs, diff_steps
from tiphys.cli.lazy import Command
from tiphys.cli.lookups import find_run, step_views
from tiphys.cli.options import output_option
from tiphys.cli.output import Column, emit, plain, table
from tiphys.cli.session import backend
from tiphys.errors import UsageError
from tiphys.records.base import EntityType

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


#: Longer names of runs stand above the table, with a letter in it.
_WIDEST_TITLE = 16


def facts_of(session: Backend, name: str) -> RunFacts:
    """Collect what is known of a run."""
    run = find_run(session, name)
    steps = step_views(session, session.runs.steps(run.id))
    metadata: dict[str, Any] = dict(session.labels.metadata_of(EntityType.RUN, [run.id]).get(run.id, {}))
    if run.model_version_id:
        ids = [run.model_version_id]
        for values in session.labels.metadata_of(EntityType.MODEL_VERSION, ids).values():
            metadata |= {f"model.{key}": value for key, value in values.items()}
    # A cached step has what the one that was executed logged.
    logged_by = {name: view.step.original_step_run_id or view.step.id for name, view in steps.items()}
    of_steps = session.labels.metadata_of(EntityType.STEP_RUN, logged_by.values())
    made = {
        version.id: f"{name}.{output}"
        for name, view in steps.items()
        for output, versions in view.outputs.items()
        for version in versions
    }
    of_outputs = session.labels.metadata_of(EntityType.ARTIFACT_VERSION, made)
    for name, step_id in logged_by.items():
        metadata |= {f"{name}.{key}": value for key, value in of_steps.get(step_id, {}).items()}
    data = {
        f"{prefix}.{key}": value
        for version_id, prefix in made.items()
        for key, value in of_outputs.get(version_id, {}).items()
    }
    return RunFacts(run=run, steps=steps, metadata=metadata, data=data)


@click.command(
    cls=Command,
    examples=["tiphys runs compare churn-1 churn-2", "tiphys runs compare churn-1 churn-2 churn-3 --changed -o json"],
)
@click.argument("run", nargs=-1, required=True)
@click.option("--changed", is_flag=True, help="Only what differs.")
@output_option
def compare(run: tuple[str, ...], changed: bool, output: str) -> None:
    """Put runs side by side: parameters, metrics, statuses, durations, artifacts.

    A `*` marks what differs; for two numbers the change is shown.
    """
    if len(run) < 2:
        raise UsageError("There is nothing to compare one run with.", hint="tiphys runs compare A B")
    session = backend()
    facts = [facts_of(session, name) for name in run]
    lines = [line for line in compare_runs(facts) if line.differs or not changed]
    names = [item.run.name for item in facts]
    if output == "name":
        click.echo("".join(f"{line.section}.{line.key}\n" for line in lines if line.differs), nl=False)
    elif output in ("json", "yaml"):
        emit({"runs": names, "facts": [_line_data(line, names) for line in lines]}, output)
    elif lines:
        _show_lines(lines, names)
    else:
        click.echo("Nothing differs.")


def _line_data(line: Line, names: list[str]) -> dict[str, Any]:
    return {
        "section": line.section,
        "key": line.key,
        "values": dict(zip(names, plain(line.values), strict=True)),
        "differs": line.differs,
    }


def _show_lines(lines: list[Line], names: list[str]) -> None:
    titles = names
    if max(map(len, names)) > _WIDEST_TITLE:
        titles = [ascii_uppercase[index] if index < 26 else str(index) for index in range(len(names))]
        for title, name in zip(titles, names, strict=True):
            click.echo(f"{title}: {name}")

    def colour(line: Line) -> str | None:
        return "yellow" if line.differs else None

    def value(index: int) -> Column[Line]:
        return Column(titles[index], lambda line: line.texts[index], colour=colour)

    columns: list[Column[Line]] = [
        Column("", lambda line: "*" if line.differs else " ", colour=colour),
        Column("WHAT", lambda line: line.section, colour=colour),
        Column("KEY", lambda line: line.key, colour=colour),
        *(value(index) for index in range(len(names))),
    ]
    if any(line.change for line in lines):
        columns.append(Column("CHANGE", lambda line: line.change, colour=colour))
    table(columns, lines)


@click.command(cls=Command, examples=["tiphys runs diff churn-1 churn-2"])
@click.argument("old")
@click.argument("new")
@output_option
def diff(old: str, new: str, output: str) -> None:
    """Say what differs between two runs in code, parameters and inputs, step by step."""
    session = backend()
    before, after = facts_of(session, old), facts_of(session, new)
    steps = diff_steps(before, after)
    different = [step for step in steps if step.changes]
    if output == "name":
        click.echo("".join(f"{step.name}\n" for step in different), nl=False)
    elif output in ("json", "yaml"):
        emit({"old": before.run.name, "new": after.run.name, "steps": steps}, output)
    else:
        _show_diff(before, after, different, len(steps))


def _show_diff(before: RunFacts, after: RunFacts, different: list[StepDiff], total: int) -> None:
    click.echo(click.style(f"--- {before.run.name}", fg="red"))
    click.echo(click.style(f"+++ {after.run.name}", fg="green"))
    for step in different:
        click.echo(click.style(f"\n{step.name}", bold=True))
        for change in step.changes:
            click.echo(f"  {change}")
    same = total - len(different)
    click.echo(f"\nThe same in code, parameters and inputs: {same} of {total} steps.")
