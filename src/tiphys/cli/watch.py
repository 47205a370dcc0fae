"""Takes an interrupted run up again: what it consists of, and how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tiphys.records.runs import Run
from tiphys.sdk.progress import observer_for

if TYPE_CHECKING:
    from tiphys.ports.backend import Backend


def python_steps(backend: Backend, run: Run) -> tuple[int, list[tuple[str, str]]]:
    """How many steps a run's entry point has, and (`module:qualname`, code digest) of its Python steps."""
    tasks, sources = 0, []
    spec = backend.workflows.get("", uid=run.workflow_uid).get("spec", {})
    for template in spec.get("templates", ()):
        if template.get("name") == spec.get("entrypoint"):
            tasks = len(template.get("dag", {}).get("tasks", ()))
        body = template.get("plugin", {}).get("tiphys")
        if body:
            sources.append((str(body["source"]), str(body.get("code_digest") or "")))
    return tasks, sources


def watch(backend: Backend, run: Run, total_steps: int) -> Run:
    """Wait for the end of `run` and show its progress; returns it as it ended."""
    observer, close = observer_for(run, total_steps)
    if observer is not None:
        observer(run, backend.runs.nodes(run.id))
    try:
        ended = backend.runs.wait(run.id, observer)
    except BaseException:
        close(backend.runs.get(run.id))
        raise
    close(ended)
    if not ended.status.is_successful:
        click.echo(f"See: tiphys runs show {ended.name}", err=True)
    return ended
