"""`tiphys init`, `tiphys status` and `tiphys version`: where things are."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path

import click

from tiphys._version import __version__
from tiphys.cli.lazy import Command
from tiphys.cli.options import output_option
from tiphys.cli.output import Column, ago, describe, emit, heading, plain, table

_FOLDER = ".tiphys"


@click.command(cls=Command, examples=["tiphys init", "tiphys init ~/projects/churn"])
@click.argument("path", type=click.Path(path_type=Path, file_okay=False), default=".")
def init(path: Path) -> None:
    """Keep the runs and artifacts of the project at PATH (this folder by default) in `.tiphys/` there.

    Doing it again changes nothing.
    """
    root = path.resolve()
    folder = root / _FOLDER
    if folder.is_dir():
        click.echo(f"{root} is a Tiphys project already: its home is {folder}.")
        return
    folder.mkdir(parents=True)
    # Data and databases do not belong into the project's history.
    (folder / ".gitignore").write_text("*\n")
    click.echo(f"Made {folder}: runs, artifacts and logs of this project are kept there, and git leaves it alone.")
    click.echo("Next: tiphys run FILE, or call a pipeline from Python.")


@click.command(cls=Command, examples=["tiphys status", "tiphys status -o json"])
@output_option
def status(output: str) -> None:
    """Say where everything is kept, and what is running."""
    from tiphys.bootstrap import read_settings
    from tiphys.cli.lookups import UNFINISHED, run_status
    from tiphys.cli.session import backend
    from tiphys.records.base import Query
    from tiphys.records.runs import Run

    settings = read_settings()
    session = backend()
    active = session.stacks.active()
    unfinished = session.find(Query.of(Run, status=[status.value for status in UNFINISHED]))
    states = {run.id: run_status(session, run) for run in unfinished}
    # A password in the database's address is nobody's business.
    database = re.sub(r"(://[^:/@]+):[^@/]*@", r"\1:***@", settings.db_url)
    if output in ("json", "yaml"):
        emit(
            {
                "home": str(settings.home),
                "database": database,
                "server": settings.server and {"url": settings.server.url, "workspace": settings.server.workspace},
                "stack": active.name,
                "running": [plain(run) for run in unfinished if states[run.id] != "interrupted"],
                "interrupted": [plain(run) for run in unfinished if states[run.id] == "interrupted"],
            },
            output,
        )
        return
    if output == "name":
        click.echo(str(settings.home))
        return
    where = [("Database", database)]
    if settings.server is not None:
        where = [("Server", settings.server.url), ("Workspace", settings.server.workspace)]
    describe(
        [
            ("Home", str(settings.home)),
            *where,
            ("Active stack", active.name),
            ("Runs", str(session.count(Query.of(Run)))),
        ]
    )
    if not unfinished:
        click.echo("Nothing is running.")
        return
    heading("Unfinished runs")
    columns: list[Column[Run]] = [
        Column("NAME", lambda run: run.name),
        Column("STATUS", lambda run: states[run.id]),
        Column("AGE", lambda run: ago(run.created_at)),
    ]
    table(columns, unfinished, indent=2)
    if "interrupted" in states.values():
        click.echo("\nTake an interrupted run up again: tiphys runs resume RUN")


@click.command(cls=Command, examples=["tiphys version -o json"])
@output_option
def version(output: str) -> None:
    """Print the versions of Tiphys and of what it runs on."""
    found = {"tiphys": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("pydantic", "SQLAlchemy", "cloudpickle"):
        found[name.lower()] = metadata.version(name)
    if output in ("json", "yaml"):
        emit(found, output)
    elif output == "name":
        click.echo(__version__)
    else:
        describe(found.items())
