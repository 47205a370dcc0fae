"""Runs: what is done with one, and what it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tiphys.engine.model import Node
from tiphys.errors import TiphysError
from tiphys.ports.wire import plain
from tiphys.records.runs import Run, StepRun
from tiphys.server.api.answers import answer, nothing, problem
from tiphys.server.api.elsewhere import is_handed_on
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.auth.permissions import Action, needs
from tiphys.server.streams import stream
from tiphys.services.backend import LocalBackend, WorkspaceBackend
from tiphys.services.client_tasks import is_by_client

router = of_workspace("runs")
#: A step's name, and what it wrote.
_Line = tuple[str, str]
_READ, _WRITE = [Depends(needs("runs", Action.READ))], [Depends(needs("runs", Action.WRITE))]


@dataclass(frozen=True, slots=True)
class Interruption:
    """Whether an unfinished run has nobody who works on it."""

    interrupted: bool


@router.get("/runs/lookup", response_model=Run, dependencies=_READ)
def look_up_run(backend: Here, name: str) -> Response:
    """A run by name, id, or beginning of an id (8 characters or more)."""
    return answer(backend.runs.get(name))


@router.get("/runs/{run:path}/steps", response_model=list[StepRun], dependencies=_READ)
def steps_of_run(backend: Here, run: str) -> Response:
    """All step runs, attempts included, in the order they were started."""
    return answer(backend.runs.steps(run))


@router.get("/runs/{run:path}/nodes", response_model=list[Node], dependencies=_READ)
def nodes_of_run(backend: Here, run: str) -> Response:
    """The engine's nodes of a run."""
    return answer(backend.runs.nodes(run))


@router.get("/runs/{run:path}/interruption", response_model=Interruption, dependencies=_READ)
def interruption_of_run(backend: Here, run: str) -> Response:
    """Whether an unfinished run has nobody who works on it."""
    found = backend.runs.get(run)
    if not found.status.is_finished:
        found, row = backend.runs.with_workflow(found.id)
        if is_by_client(row.runner):
            backend.runs.expect_here(found, row)
    return answer(Interruption(backend.runs.is_interrupted(found)))


@router.post("/runs/{run:path}/stop", response_model=Run, dependencies=_WRITE)
def stop_run(backend: Here, run: str, graceful: Annotated[bool, Body(embed=True)] = False) -> Response:
    """End a run: what runs is cancelled, or with `graceful` finishes; nothing new starts."""
    return answer(backend.runs.stop(run, graceful=graceful))


@router.delete("/runs/{run:path}", status_code=204, dependencies=_WRITE)
def delete_run(backend: Here, run: str) -> Response:
    """Remove a finished run and its step runs; artifact versions stay."""
    backend.runs.delete(run)
    return nothing()


@router.get("/runs/{run:path}/events", dependencies=_READ)
async def events_of_run(request: Request, backend: Here, run: str) -> Response:
    """The run and its nodes as they are, and each time they have changed, until it ends.

    Server-sent events for a client that accepts them, else lines of JSON: `{"result": {"run": …, "nodes": […]}}`.
    """
    return await stream(request, lambda: backend.runs.changes(run), plain, fail=_failure, tells_its_end=True)


@router.get("/runs/{run:path}/logs", dependencies=_READ)
async def logs_of_run(
    request: Request, backend: Here, run: str, step: str | None = None, follow: bool = False
) -> Response:
    """What the steps wrote, line by line: `{"result": {"step": …, "line": …}}`; with `follow` until the run ends.

    The last one is `{"result": {"end": true}}`; without it the server or the connection has ended before.
    """
    if not is_handed_on(request):
        await run_in_threadpool(_go_where_logs_are, backend, run)
    return await stream(
        request,
        lambda: _with_end(backend.runs.log_batches(run, step=step, follow=follow)),
        lambda pair: {"step": pair[0], "line": pair[1]} if pair else {"end": True},
        fail=_failure,
        tells_its_end=True,
    )


def _go_where_logs_are(backend: LocalBackend | WorkspaceBackend, name: str) -> None:
    """What steps that run have logged is on the machine of the server that carries the run out."""
    run = backend.runs.get(name)
    if not run.status.is_finished:
        backend.runs.prefer_elsewhere(*backend.runs.with_workflow(run.id))


def _with_end(looks: Iterator[list[_Line]]) -> Iterator[list[_Line | None]]:
    for lines in looks:
        yield [*lines]
    yield [None]


def _failure(error: TiphysError) -> Any:
    return plain(problem(error))
