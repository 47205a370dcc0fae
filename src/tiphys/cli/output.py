"""Output for people and for programs: tables, descriptions, JSON, YAML, names.

On a terminal tables have colours and fit its width; elsewhere they are columns of text that `awk` and `diff` can read.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from tiphys._util import human
from tiphys._util.times import utc_now
from tiphys.records.runs import ExecutionStatus

T = TypeVar("T")

FORMATS = ("table", "wide", "json", "yaml", "name")

_COLOURS = {
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.CACHED: "cyan",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.RUNNING: "blue",
    ExecutionStatus.STOPPED: "yellow",
    ExecutionStatus.CANCELLED: "yellow",
    ExecutionStatus.RETRIED: "yellow",
}


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column of a table.

    Args:
        title: In capitals.
        text: A record's text in it.
        wide: Shown with `-o wide` only.
        colour: A record's colour, if it has one.
    """

    title: str
    text: Callable[[T], str]
    wide: bool = False
    colour: Callable[[T], str | None] | None = None


def status_colour(status: ExecutionStatus) -> str | None:
    """The colour a status is shown in."""
    return _COLOURS.get(status)


def styled_status(status: ExecutionStatus) -> str:
    """A status in its colour (which `click.echo` drops where it is not wanted)."""
    return click.style(status.value, fg=status_colour(status))


def ago(moment: datetime | None) -> str:
    """How long ago, for people."""
    return "" if moment is None else human.age((utc_now() - moment).total_seconds())


def when(moment: datetime | None) -> str:
    """A moment in local time, and how long ago it was."""
    if moment is None:
        return ""
    distance = ago(moment)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S} ({distance if distance == 'now' else distance + ' ago'})"


def lasted(start: datetime | None, end: datetime | None, *, until_now: bool = False) -> str:
    """The time between two moments, for people."""
    if start is None or (end is None and not until_now):
        return ""
    return human.duration(((end or utc_now()) - start).total_seconds())


def short_digest(digest: str | None) -> str:
    """The first twelve digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:12]


def value_text(value: Any) -> str:
    """A parameter's or metadata's value on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(plain(value), ensure_ascii=False)


def plain(value: Any) -> Any:
    """A record, or anything that holds records, as JSON values."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)


def emit(data: Any, output: str) -> None:
    """Print JSON or YAML."""
    if output == "json":
        click.echo(json.dumps(plain(data), indent=2, ensure_ascii=False))
        return
    import yaml

    click.echo(yaml.safe_dump(plain(data), sort_keys=False, allow_unicode=True), nl=False)


def show_list(
    rows: Sequence[T],
    columns: Sequence[Column[T]],
    *,
    output: str,
    empty: str,
    name: Callable[[T], str],
    data: Callable[[T], Any] = plain,
    limit: int = 0,
) -> None:
    """Print records in the format that was asked for.

    Args:
        rows: The records.
        columns: What a table shows of each.
        output: One of `FORMATS`.
        empty: Said on stderr instead of an empty table.
        name: What `-o name` prints of each.
        data: What JSON and YAML show of each.
        limit: How many were asked for; people are told that there may be more.
    """
    if output in ("json", "yaml"):
        emit([data(row) for row in rows], output)
    elif output == "name":
        click.echo("".join(f"{name(row)}\n" for row in rows), nl=False)
    elif rows:
        shown = [column for column in columns if output == "wide" or not column.wide]
        table(shown, rows)
        if len(rows) == limit and sys.stderr.isatty():
            click.echo(f"At most {limit} are shown; more with --limit.", err=True)
    else:
        click.echo(empty, err=True)


def table(columns: Sequence[Column[T]], rows: Sequence[T], *, indent: int = 0) -> None:
    """Print a table."""
    cells = [[_one_line(column.text(row)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        colours = [[column.colour(row) if column.colour else None for column in columns] for row in rows]
        _rich_table([column.title for column in columns], cells, colours, indent)
    else:
        click.echo(aligned([[column.title for column in columns], *cells], indent=indent))


def _one_line(text: str) -> str:
    return " ".join(text.split()) if "\n" in text or "\t" in text else text


def aligned(lines: Sequence[Sequence[str]], *, indent: int = 0) -> str:
    """Cells in columns, three spaces apart, nothing trailing."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        " " * indent + "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _rich_table(
    titles: Sequence[str], cells: Sequence[Sequence[str]], colours: Sequence[Sequence[str | None]], indent: int
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, title in enumerate(titles):
        # The first column names the record: it is needed whole, to copy it.
        least = max(len(line[0]) for line in [titles, *cells]) if index == 0 else None
        grid.add_column(title, no_wrap=True, overflow="ellipsis", min_width=least)
    for line, tints in zip(cells, colours, strict=True):
        grid.add_row(*(Text(cell, style=tint or "") for cell, tint in zip(line, tints, strict=True)))
    console = Console(highlight=False)
    if indent:
        from rich.padding import Padding

        console.print(Padding(grid, (0, 0, 0, indent)))
    else:
        console.print(grid)


def describe(pairs: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print `Key:  value` lines, values aligned; pairs without a value are left out."""
    kept = [(f"{key}:", value) for key, value in pairs if value]
    width = max((len(key) for key, _ in kept), default=0)
    for key, value in kept:
        first, *rest = value.splitlines()
        click.echo(" " * indent + click.style(key.ljust(width), bold=True) + "  " + first)
        for line in rest:
            click.echo(" " * (indent + width + 2) + line)


def heading(text: str) -> None:
    """Print the title of a section."""
    click.echo("\n" + click.style(text, bold=True))


def mapping(title: str, values: Mapping[str, Any]) -> None:
    """Print a section of named values, if there are any."""
    if values:
        heading(title)
        describe(((key, value_text(value) or '""') for key, value in sorted(values.items())), indent=2)


@contextlib.contextmanager
def only_the_answer(output: str) -> Iterator[None]:
    """In the formats for programs: what steps print meanwhile goes to standard error, with all else about the run."""
    if output in ("table", "wide"):
        yield
        return
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # a stream of Python's own, which no other program can write to
        number = None
    sys.stdout.flush()
    kept = None if number is None else os.dup(number)
    try:
        if number is not None:
            os.dup2(2, number)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if number is not None and kept is not None:
            os.dup2(kept, number)
            os.close(kept)


def write_file(path: str, content: bytes) -> None:
    """Write `content` to a file the user named; `-` is standard output."""
    if path == "-":
        sys.stdout.buffer.write(content)
    else:
        Path(path).write_bytes(content)
