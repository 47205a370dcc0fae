"""Options that many commands share, and the questions before something is destroyed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from tiphys._util.times import utc_now
from tiphys.cli.output import FORMATS
from tiphys.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="Format of the answer."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def limit_option(default: int) -> Callable[[F], F]:
    """`--limit N`; 0 for all."""
    return click.option(
        "-n", "--limit", type=click.IntRange(min=0), default=default, show_default=True, help="At most so many; 0: all."
    )


def parse_since(value: str) -> datetime:
    """A moment: `30m`, `12h`, `7d`, `2w` ago, or a date.

    Raises:
        UsageError: it is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", value.strip())
    if found:
        return utc_now() - timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise UsageError(f"--since {value} is neither a duration (30m, 12h, 7d) nor a date (2026-01-31).") from None


def parse_span(text: str) -> timedelta:
    """A span of time: `30m`, `12h`, `90d`, `4w`.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d{1,5})(s|m|min|h|d|w)", text.strip())
    if found is None:
        raise UsageError(f"'{text}' is not a span of time such as 30m, 12h, 90d or 4w.")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:  # noqa: ARG001  # click's signature
    return None if value is None else parse_since(value)


since_option = click.option("--since", callback=_since, help="Not older than this: 30m, 12h, 7d, or a date.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; where nobody can answer, `--yes` is needed.

    Raises:
        UsageError: there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("This destroys something, and there is no terminal to ask on.", hint="Add --yes to do it.")
    click.confirm(question, abort=True)
