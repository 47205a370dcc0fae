"""`tiphys cache`: why a step was executed, or was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tiphys.cli.comparing import difference_text
from tiphys.cli.lazy import HintingGroup
from tiphys.cli.lookups import by_id, find_run
from tiphys.cli.options import output_option
from tiphys.cli.output import emit, plain
from tiphys.cli.session import backend
from tiphys.errors import NotFoundError
from tiphys.records.base import Query, Where
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.sdk.caching import Difference, explain

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


@click.group(cls=HintingGroup)
def cache() -> None:
    """Why a step was or was not cached."""


@cache.command("explain", examples=["tiphys cache explain latest train"])
@click.argument("run")
@click.argument("step")
@output_option
def explain_step(run: str, step: str, output: str) -> None:
    """Say which part of a step's cache key differs from the newest earlier execution of that step."""
    session = backend()
    found = find_run(session, run)
    new = _step(session, found, step)
    old, old_run = _earlier(session, found, new)
    both = old is not None and old.cache_key and new.cache_key and new.status is not ExecutionStatus.CACHED
    differences = explain(old.cache_parts, new.cache_parts) if old is not None and both else []
    verdict = _verdict(session, new, old, old_run, differences)
    if output in ("json", "yaml"):
        data: dict[str, Any] = {
            "run": found.name,
            "step": new.name,
            "status": new.status,
            "cache_key": new.cache_key,
            "compared_with": old_run.name if old_run else None,
            "differences": [plain(difference) for difference in differences],
            "verdict": verdict,
        }
        emit(data, output)
        return
    click.echo(verdict)
    for difference in differences:
        click.echo(f"  {difference_text(difference)}")


def _step(session: Backend, run: Run, name: str) -> StepRun:
    steps = session.runs.steps(run.id)
    for step in reversed(steps):
        if name in (step.name, step.id):
            return step
    known = ", ".join(dict.fromkeys(step.name for step in steps))
    raise NotFoundError(f"Run {run.name} has no step '{name}'.", hint=f"Its steps: {known}." if known else None)


def _earlier(session: Backend, run: Run, step: StepRun) -> tuple[StepRun | None, Run | None]:
    """The newest execution of that step in an earlier run of the same pipeline."""
    query = Query(
        StepRun, (Where("name", step.name), Where("id", step.id, "lt"), Where("run_id", run.id, "ne")), limit=50
    )
    candidates = session.find(query)
    runs = by_id(session, Run, (candidate.run_id for candidate in candidates))
    for candidate in candidates:
        its_run = runs.get(candidate.run_id)
        if its_run is not None and its_run.pipeline_name == run.pipeline_name:
            return candidate, its_run
    return None, None


def _verdict(
    session: Backend, new: StepRun, old: StepRun | None, old_run: Run | None, differences: list[Difference]
) -> str:
    if new.status is ExecutionStatus.CACHED:
        return f"Step {new.name} was cached: it has the outputs of {_original(session, new)}."
    if new.cache_key is None:
        return f"Step {new.name} was executed: caching was off for it."
    if old is None or old_run is None:
        return f"Step {new.name} was executed: no earlier run of this pipeline has it."
    if old.cache_key is None:
        return f"Step {new.name} was executed: caching was off in the run before, {old_run.name}."
    if differences:
        return f"Step {new.name} was executed: this changed since run {old_run.name}:"
    reason = f"it ended as {old.status.value}" if not old.status.is_successful else "its result has expired or is gone"
    return f"Step {new.name} was executed, though nothing changed since run {old_run.name}: {reason}."


def _original(session: Backend, step: StepRun) -> str:
    steps = session.find(Query.of(StepRun, id=step.original_step_run_id)) if step.original_step_run_id else []
    runs = session.find(Query.of(Run, id=steps[0].run_id)) if steps else []
    return f"run {runs[0].name}" if runs else "an earlier run"
