"""Seeing a workflow through: wait for it, watch its tree, or print its logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiphys.cli.argo.printing import workflow_text
from tiphys.cli.argo.tree import TreeStyle
from tiphys.errors import NotFoundError, UsageError
from tiphys.ports.workflows import LogEntry, LogQuery

if TYPE_CHECKING:
    from tiphys.ports.workflows import Workflows

F = TypeVar("F", bound=Callable[..., Any])

#: Back to the upper left corner of an empty screen.
_CLEAR = "\x1b[H\x1b[2J"
_COLOURS = ("green", "yellow", "blue", "magenta", "cyan", "white")


def follow_options(function: F) -> F:
    """`--wait`, `--watch` and `--log`."""
    for option in (
        click.option("--log", is_flag=True, help="Log the workflow until it completes."),
        click.option("--watch", is_flag=True, help="Watch the workflow until it completes."),
        click.option("-w", "--wait", is_flag=True, help="Wait for the workflow to complete."),
    ):
        function = option(function)
    return function


def follow(
    service: Workflows, names: Sequence[str], *, wait: bool, watch: bool, log: bool, quiet: bool, style: TreeStyle
) -> None:
    """See workflows through as the options say; with `wait`, exit with 1 unless all succeed."""
    if wait and watch:
        raise UsageError("--wait cannot be combined with --watch.")
    if log:
        for name in names:
            print_logs(service, name, LogQuery(follow=True))
    if wait:
        wait_for(service, names, quiet=quiet)
    elif watch:
        for name in names:
            show_changes(service, name, style)


def wait_for(service: Workflows, names: Sequence[str], *, quiet: bool, ignore_missing: bool = False) -> None:
    """Wait for workflows, say how each ended, and exit with 1 unless all succeeded."""
    failed = False
    for name in names:
        try:
            ended = service.wait(name)
        except NotFoundError:
            if not ignore_missing:
                raise
            continue
        if not quiet:
            at = ended.finished_at.astimezone() if ended.finished_at else None
            click.echo(f"{ended.name} {ended.phase} at {at:%Y-%m-%d %H:%M:%S %z %Z}")
        failed = failed or ended.phase != "Succeeded"
    if failed:
        click.get_current_context().exit(1)


def show_changes(service: Workflows, name: str, style: TreeStyle) -> None:
    """Draw a workflow's tree again whenever it changes, until the workflow ends."""
    for workflow in service.watch(name):
        if sys.stdout.isatty():
            click.echo(_CLEAR, nl=False)
        click.echo(workflow_text(workflow, style), nl=False)


def print_logs(
    service: Workflows, name: str, query: LogQuery, *, timestamps: bool = False, colour: bool = True
) -> None:
    """Print lines of logs, each after its pod's name."""
    for entry in service.logs(name, query):
        line = f"{entry.pod}: {_stamp(entry) if timestamps else ''}{entry.content}"
        click.echo(click.style(line, fg=_COLOURS[sum(map(ord, entry.pod)) % len(_COLOURS)]) if colour else line)


def _stamp(entry: LogEntry) -> str:
    return f"{entry.at:%Y-%m-%dT%H:%M:%S.%fZ} "
