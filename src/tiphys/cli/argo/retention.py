"""`tiphys argo retention`: how many ended workflows are kept, and for how long the archive has deleted ones."""

from __future__ import annotations

from dataclasses import asdict

import click

from tiphys._util.human import duration
from tiphys.cli.lazy import HintingGroup
from tiphys.cli.options import confirm, dry_run_option, output_option, parse_span, yes_option
from tiphys.cli.output import Column, show_list
from tiphys.cli.session import backend
from tiphys.errors import UsageError

_FOREVER = "forever"
_WORDS = {
    "archive": "The archive keeps what was deleted",
    "completed": "Succeeded workflows in the list",
    "failed": "Failed workflows in the list",
    "errored": "Workflows with an error in the list",
}


@click.group("retention", cls=HintingGroup)
def group() -> None:
    """How many ended workflows are kept, and for how long the archive has those that were deleted.

    Without rules all are kept until they are deleted, and then gone. Runs of pipelines are not removed by rules. A
    server or a controller removes what is due, each ten seconds.
    """


@group.command(
    "set",
    examples=[
        "tiphys argo retention set --completed 1000 --failed 200 --errored 200   the newest of each",
        "tiphys argo retention set --archive 180d      what is deleted stays in the archive",
        "tiphys argo retention set --archive forever",
    ],
)
@click.option("--completed", type=click.IntRange(min=0), help="Succeeded workflows that are kept.")
@click.option("--failed", type=click.IntRange(min=0), help="Failed ones.")
@click.option("--errored", type=click.IntRange(min=0), help="Those that ended with an error.")
@click.option("--archive", "span", help="How long after its end the archive has a workflow: 12h, 180d, or forever.")
@dry_run_option
@yes_option
def set_rules(
    completed: int | None, failed: int | None, errored: int | None, span: str | None, dry_run: bool, yes: bool
) -> None:
    """Set rules; those that are not named stay as they are."""
    given: dict[str, int] = {
        name: value
        for name, value in (("completed", completed), ("failed", failed), ("errored", errored))
        if value is not None
    }
    if span is not None:
        given["archive"] = 0 if span == _FOREVER else int(parse_span(span).total_seconds())
        if not given["archive"] and span != _FOREVER:
            raise UsageError("An archive that keeps nothing is none.", hint="tiphys argo retention unset archive")
    if not given:
        raise UsageError("Name a rule.", hint="See tiphys argo retention set --help")
    policies = backend().policies
    gone = policies.not_kept(given)
    archives = given.get("archive", policies.retention().archive) is not None
    kept = " (the archive keeps them)" if archives else ""
    effect = f"{len(gone.listed)} workflows leave the list{kept}, and {len(gone.archived)} the archive"
    if dry_run:
        click.echo(f"With these rules, {effect}.")
        for name in (*gone.listed, *gone.archived):
            click.echo(name)
        return
    if gone.listed or gone.archived:
        confirm(f"With these rules, {effect}. Set them?", yes=yes)
    policies.change_retention(given)
    click.echo(f"Set: {effect}, within seconds where a server or a controller runs.")


@group.command("unset", examples=["tiphys argo retention unset archive", "tiphys argo retention unset"])
@click.argument("names", nargs=-1, metavar="[RULE...]", type=click.Choice(tuple(_WORDS)))
def unset(names: tuple[str, ...]) -> None:
    """Do away with rules, or with all of them. What the archive has stays there."""
    backend().policies.change_retention(dict.fromkeys(names or _WORDS))
    click.echo("The rules are no more.")


@group.command("list", examples=["tiphys argo retention list"])
@output_option
def list_rules(output: str) -> None:
    """List the rules."""
    rules = asdict(backend().policies.retention())
    columns: list[Column[str]] = [
        Column("RULE", lambda name: name),
        Column("WHAT", lambda name: _WORDS[name]),
        Column("KEPT", lambda name: _kept(name, rules[name])),
    ]
    show_list(
        [name for name in rules if rules[name] is not None],
        columns,
        output=output,
        limit=0,
        empty="No rules: workflows are kept until they are deleted, and then gone.",
        name=lambda name: name,
        data=lambda name: {"rule": name, "kept": rules[name]},
    )


def _kept(name: str, value: int) -> str:
    if name != "archive":
        return str(value)
    return f"for {duration(value)}" if value else "for ever"
