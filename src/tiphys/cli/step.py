"""`tiphys step run`: what the containers of an exported pipeline call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiphys.cli.lazy import HintingGroup
from tiphys.errors import UsageError

if TYPE_CHECKING:
    from tiphys.engine.events import TaskFinished


@click.group(cls=HintingGroup, hidden=True)
def step() -> None:
    """Single steps, as the containers of an exported pipeline carry them out."""


@step.command()
@click.argument("source", metavar="MODULE:FUNCTION")
@click.option("--body", required=True, metavar="JSON", help="What the step is, as the export wrote it.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=JSON", help="An input parameter.")
@click.option("--run-name", default="", help="Name of the workflow.")
@click.option("--attempt", type=int, default=0, help="Number of the attempt, from 0.")
@click.option("--retries", type=int, default=0, help="How many attempts may follow the first.")
@click.option("--root", type=click.Path(path_type=Path), default=Path("/tiphys"), help="Folder of inputs and outputs.")
@click.pass_context
def run(
    ctx: click.Context,
    source: str,
    body: str,
    parameters: tuple[str, ...],
    run_name: str,
    attempt: int,
    retries: int,
    root: Path,
) -> None:
    """Carry out a step on files.

    Ends with 1 if it failed, with 3 if it failed and its retry settings rule out another attempt.
    """
    from tiphys.cli.programs import import_from
    from tiphys.sdk.step_files import run_on_files

    import_from(Path.cwd())
    given = dict(_pair(each) for each in parameters)
    ended = run_on_files(
        source, _described(body), given, root=root, run_name=run_name, attempt=attempt, retries=retries
    )
    ctx.exit(_tell(ended))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"A parameter is given as NAME=JSON, not '{text}'.")
    return name, value


def _described(text: str) -> dict[str, object]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--body is no JSON: {error}.", hint="Export the pipeline again.") from error
    if not isinstance(body, dict) or "step" not in body:
        raise UsageError("--body does not describe a step.", hint="Export the pipeline again.")
    return body


def _tell(ended: TaskFinished) -> int:
    """Write what went wrong; returns the exit code."""
    from tiphys.engine.model import Phase
    from tiphys.ports.step_result import StepResult
    from tiphys.sdk.step_files import FAILED, FINAL

    result = ended.details
    assert isinstance(result, StepResult)  # noqa: S101  what a step's execution reports
    for hook, problem in result.hook_errors.items():
        click.echo(f"The hook {hook} failed: {problem}", err=True)
    if ended.phase is Phase.SUCCEEDED:
        return 0
    trace = str((result.exception or {}).get("traceback") or "")
    click.echo(trace.rstrip() or ended.message, err=True)
    return FAILED if ended.retryable else FINAL
