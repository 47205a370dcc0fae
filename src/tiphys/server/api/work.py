"""The steps of a run, for the client that carries them out: one request brings ends and gets what follows."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tiphys.errors import ConflictError, HeldElsewhereError, TiphysError, UsageError
from tiphys.ports.backend import RunRequest
from tiphys.ports.runner import Task
from tiphys.records.runs import ExecutionStatus, Run
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowSummary
from tiphys.sdk.logs.files import path_of
from tiphys.sdk.wire import finished_from_text, node_to_json, task_to_json
from tiphys.server.api.answers import answer, nothing
from tiphys.server.api.artifact_data import commit
from tiphys.server.api.elsewhere import is_handed_on, tell_others
from tiphys.server.api.here import Here, of_workspace
from tiphys.server.auth.permissions import Action, needs
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.backend import LocalBackend, WorkspaceBackend
from tiphys.services.client_tasks import LONGEST_WAIT, ClientTasks, Offer, how_of, is_by_client
from tiphys.services.run_status import status_of

router = of_workspace("runs")
_WRITE = [Depends(needs("runs", Action.WRITE))]
#: Seconds that changed nodes wait for something more important to be told with.
_NODES_WAIT = 0.25


class Blob(BaseModel):
    """A small tree that a step stored."""

    store: str
    digest: str
    #: Its tar (`sdk.packed_trees`) in base64.
    data: str


class LogPart(BaseModel):
    """What a step that runs has logged since it was told last: whole lines."""

    task: str
    #: Bytes before it.
    offset: int = Field(ge=0)
    text: str


class WorkRequest(BaseModel):
    """What a client tells."""

    model_config = ConfigDict(extra="forbid")

    #: Names the process: no two carry out the steps of one run at a time.
    session: str = Field(min_length=8, max_length=64)
    #: Ids of the tasks that it carries out.
    running: list[str] = []
    #: Data that the ended steps stored.
    blobs: list[Blob] = []
    #: What is new in the logs of running tasks.
    logs: list[LogPart] = []
    #: Reports of ended tasks (`sdk.wire`).
    finished: list[dict[str, Any]] = []
    #: Seconds that the answer may wait for something to tell.
    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = 0.0
    #: Whether changed nodes are wanted.
    observe: bool = False


@router.post("/runs", response_model=Run, dependencies=_WRITE)
def submit(request: Request, backend: Here, asked: RunRequest) -> Response:
    """Create a run of a compiled pipeline, or give the interrupted one of the same definition.

    Its steps wait for whoever asked, who carries them out by `work`; with `code`, the server carries them out. Asked
    again with the same id, it gives the same run.
    """
    by_client = asked.code is None
    asked = replace(asked, by_client=by_client, runner=asked.runner if by_client else "process")
    try:
        return answer(backend.runs.submit(asked))
    except HeldElsewhereError:
        if not is_handed_on(request):
            raise
        # This one has none to be taken up, and a third one may.
        return answer(backend.runs.submit(replace(asked, resume=False)))


@router.post("/runs/{run_id}/work", dependencies=_WRITE)
async def work(backend: Here, run_id: str, told: WorkRequest) -> dict[str, Any]:
    """Report ended tasks of a run, and get those to be started and to be ended.

    The answer comes when there is something to tell, when another request of the same session arrives, or when the time
    to wait is over.
    """
    clients = backend.clients
    run, row = await run_in_threadpool(_prepare, backend, run_id, told)
    if run.status.is_finished:
        return _answer(Offer(cancel=list(told.running)), run.status, row)
    clients.report(run.workflow_uid, [_end_in(end) for end in told.finished])
    offer = await _offer(clients, run.workflow_uid, told)
    status = None if offer.state is None else status_of(offer.state)
    ended = status is not None and status.is_finished
    if status is None and not offer.tasks and not offer.superseded:
        # Nothing happened: is anything going to?
        run = await run_in_threadpool(backend.runs.get, run_id)
        status, ended = run.status, run.status.is_finished
    if ended:
        clients.leave(run.workflow_uid)
    return _answer(offer, status, row)


def _answer(offer: Offer, status: ExecutionStatus | None, row: WorkflowSummary) -> dict[str, Any]:
    return {
        "tasks": [task_to_json(task) for task in offer.tasks],
        "cancel": offer.cancel,
        "nodes": [node_to_json(node) for node in offer.nodes],
        "status": status,
        "ended": status is not None and status.is_finished,
        "runner": how_of(row.runner),
    }


def _prepare(backend: LocalBackend | WorkspaceBackend, run_id: str, told: WorkRequest) -> tuple[Run, WorkflowSummary]:
    """The run, taken up if need be, with its client in its seat and its data stored."""
    run, row = backend.runs.with_workflow(run_id)
    uid = run.workflow_uid
    if not is_by_client(row.runner):
        raise ConflictError(f"The server carries out the steps of the run {run.name} itself.")
    clients = backend.clients
    if not run.status.is_finished:
        backend.runs.expect_here(run, row)
    if not run.status.is_finished and clients.sit_down(uid, told.session, observes=told.observe):
        try:
            backend.runs.attend(run, clients.watch)
        except TiphysError:
            clients.leave(uid)
            raise
    for part in told.logs:
        _append(clients.find(uid, part.task), part)
    for end in told.finished:
        live = _live_log(clients.find(uid, str(end.get("task_id"))))
        if live is not None:  # its whole log is stored
            live.unlink(missing_ok=True)
    for blob in told.blobs:
        store = as_artifact_store(backend.stacks.component(ComponentType.ARTIFACT_STORE, blob.store))
        try:
            packed = io.BytesIO(base64.b64decode(blob.data, validate=True))
        except ValueError as error:
            raise UsageError(f"The data of '{blob.digest}' is not base64.") from error
        commit(store, packed, blob.digest)
    return run, row


def _live_log(task: Task | None) -> Path | None:
    return None if task is None else path_of(task.context, task.attempt)


def _append(task: Task | None, part: LogPart) -> None:
    """Write a part of a live log to where this machine's own are; one that came twice changes nothing."""
    live = _live_log(task)
    if live is None:
        return
    live.parent.mkdir(parents=True, exist_ok=True)
    with live.open("ab") as file:
        if file.tell() == part.offset:
            file.write(part.text.encode("utf-8", "replace"))


def _end_in(end: dict[str, Any]) -> Any:
    try:
        return finished_from_text(json.dumps(end))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"This is no report of a task: {type(error).__name__} at {error}.") from error


async def _offer(clients: ClientTasks, uid: str, told: WorkRequest) -> Offer:
    """What there is to tell, waited for."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    until = loop.time() + told.wait

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    with clients.waiting(uid, wake) as is_superseded:
        while not is_superseded() and not clients.has_offer(uid, told.running):
            left = until - loop.time()
            if clients.has_nodes(uid):
                left = min(left, _NODES_WAIT)
                until = min(until, loop.time() + left)
            if left <= 0:
                break
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                break
            woken.clear()
        if is_superseded():
            return Offer(superseded=True)
        return clients.offer(uid, told.running)


@router.post("/runs/{run_id}/resume", response_model=Run, dependencies=_WRITE)
def resume(backend: Here, run_id: str) -> Response:
    """Have an unfinished run go on that nobody works on; its steps wait for whoever asked."""
    return answer(backend.runs.resume(run_id))


class Sessions(BaseModel):
    """Processes of clients, by the names that they gave themselves."""

    sessions: list[str]


@router.post("/sessions/dead", status_code=204, dependencies=_WRITE)
async def bury_sessions(request: Request, backend: Here, gone: Sessions) -> Response:
    """Tell that processes which carried out steps have died: others may take their runs up at once."""
    backend.clients.bury(gone.sessions)
    if not is_handed_on(request):
        whole: LocalBackend = request.app.state.backend
        await tell_others(request, await run_in_threadpool(whole.other_servers))
    return nothing()
