"""A click group that knows its commands' names and help without importing them, and ends errors as the house wants."""
# ruff: noqa: ARG002 -- the signatures are click's

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from tiphys.errors import TiphysError

#: What a shell reports of a command that Ctrl-C ended.
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is loaded when it is called."""

    #: `module:attribute` of the command, or of a function that makes it from `argument`.
    target: str
    #: One line for the list of commands.
    help: str
    #: Heading it is listed under.
    section: str = "Commands"
    argument: str | None = None

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        found: Any = getattr(import_module(module), attribute)
        command: click.Command = found if self.argument is None else found(self.argument)
        return command


def show_error(error: TiphysError) -> None:
    """Print what happened, and what to do next."""
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"{click.style('Hint:', bold=True)} {error.hint}", err=True)


class Command(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: Whole lines, shown as they are.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class HintingGroup(Command, click.Group):
    """A group that lists commands in the order they were written and suggests the one that was meant."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of their definition."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(args[0], names, n=3)
            known = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(names)}."
            raise click.UsageError(f"No command '{args[0]}'. {known}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(HintingGroup):
    """The root: a static table of entries.

    Args:
        entries: Name → how to load it.
    """

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without loading anything."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        entry = self._entries.get(cmd_name)
        return entry.load() if entry else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List names and their help from the table."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self._entries.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors raised on purpose end it without a traceback (TIPHYS_DEBUG=1 shows it)."""
        try:
            return super().invoke(ctx)
        except TiphysError as error:
            if os.environ.get("TIPHYS_DEBUG", "") not in ("", "0"):
                raise
            sys.stdout.flush()
            show_error(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
