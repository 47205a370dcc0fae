"""Runs: submit, wait, stop, resume, read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tiphys._util.ids import new_id
from tiphys._util.times import utc_now
from tiphys.engine.model import Node, WorkflowState
from tiphys.errors import ConflictError, HeldElsewhereError, NotFoundError, UsageError
from tiphys.ports.backend import Observer, RunRequest, Runs
from tiphys.ports.engine_host import EngineHost, Watcher
from tiphys.ports.store import Reader, Store, Transaction
from tiphys.records.artifacts import ArtifactUse
from tiphys.records.base import DEFAULT_WORKSPACE, EntityType, Query, Where
from tiphys.records.logs import LogPart
from tiphys.records.models import ModelLink
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.servers import ServerAddress
from tiphys.records.stacks import ComponentType
from tiphys.records.workflows import WorkflowRemoval, WorkflowRow, WorkflowSummary
from tiphys.services.artifacts import as_artifact_store
from tiphys.services.client_tasks import ClientTasks, is_by_client
from tiphys.services.labels import forget_entities
from tiphys.services.run_status import status_of
from tiphys.services.stacks import StackService
from tiphys.services.step_logs import StepLogs, parts_of
from tiphys.services.submission import Submission, orchestrator_for
from tiphys.services.workspace_store import of_all_workspaces

_log = logging.getLogger(__name__)
#: Seconds between looks for new lines of a log.
FOLLOW_PAUSE = 0.2
_UNFINISHED = tuple(status for status in ExecutionStatus if not status.is_finished)


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run as it is now, and those of its nodes that have changed since the last look."""

    run: Run
    nodes: Sequence[Node]


class RunService(Runs):
    """Runs in a store, carried out by an engine host.

    Args:
        store: The database.
        stacks: Gives the stacks.
        host: Asked for the engine's host when one is needed.
        clients: Where the steps of connected clients' runs wait for them.
        home: Folder of the live logs.
        workspace: Where names are looked up.
    """

    def __init__(
        self,
        store: Store,
        stacks: StackService,
        *,
        host: Callable[[], EngineHost],
        clients: ClientTasks,
        home: Path,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        self._store = store
        self._stacks = stacks
        self._host = host
        self._clients = clients
        self._home = home
        self._workspace = workspace

    def submit(self, request: RunRequest) -> Run:
        """Create a run and start it, or take up an interrupted one of the same definition."""
        host = self._host()
        if request.remote and request.code is None:
            raise UsageError(
                "A run is remote on a server, and this process is connected to none.",
                hint="tiphys login URL, or leave `remote` out.",
            )
        if request.code is not None and not (request.code.get("store") and request.code.get("digest")):
            raise UsageError("The code of a run is told by the `store` that it is in, and its `digest`.")
        known = self._created(request.id)
        if known is not None:
            return known
        if request.resume and request.listed:
            interrupted = self._find_interrupted(request)
            if interrupted is not None and self._take_up(interrupted):
                _log.info("taking up interrupted run %s", interrupted.name)
                return interrupted
        now = utc_now()
        with self._store.transaction() as transaction:
            stack = self._stacks.for_run(transaction, request.stack)
            submission = Submission(
                transaction,
                request,
                stack=stack,
                orchestrator=orchestrator_for(self._stacks, transaction, stack, request),
                workspace=self._workspace,
                now=now,
            )
            run, row = submission.create(lambda row: self._admit(transaction, row, request))
            if request.by_client:  # before anybody can see that nobody attends to it yet
                self._clients.reserve(run.workflow_uid)
        if row.owner:
            host.start(row.id)
        else:
            host.await_turn(row.id)
        return run

    def _admit(self, transaction: Transaction, row: WorkflowRow, request: RunRequest) -> WorkflowRow:
        """With its owner, or in the queue: who waits for its end beside its steps does not wait for its turn."""
        host = self._host()
        if request.code is None:
            return replace(row, owner=host.owner)
        return host.admit(of_all_workspaces(transaction), row, request.pipeline_name, detached=False)

    def wait(self, run_id: str, observer: Observer | None = None) -> Run:
        """Wait for the end of a run."""
        run = self.get(run_id)
        self._host().wait(run.workflow_uid, None if observer is None else _watcher(run, observer))
        return self.get(run.id)

    def get(self, name_or_id: str) -> Run:
        """A run by name, id, or beginning of an id."""
        with self._store.reader() as reader:
            return self._find(reader, name_or_id)

    def with_workflow(self, run_id: str) -> tuple[Run, WorkflowSummary]:
        """A run by its id, with what is shown of its workflow."""
        with self._store.reader() as reader:
            run = reader.get(Run, run_id)
            row = None if run is None else reader.get(WorkflowSummary, run.workflow_uid)
        if run is None or row is None or run.workspace != self._workspace:
            raise NotFoundError(f"There is no run with the id {run_id}.")
        return run, row

    def attend(self, run: Run, watcher: Watcher) -> None:
        """Have the engine go on with a run, and a watcher told of what changes.

        Raises:
            HeldElsewhereError: another server has it.
        """
        host = self._host()
        if not host.resume(run.workflow_uid):
            row = self.with_workflow(run.id)[1]
            self.expect_here(run, row)
            if row.owner not in ("", host.owner):  # it died just now
                raise HeldElsewhereError(f"Another server carried out the run {run.name}.")
        host.watch(run.workflow_uid, watcher)

    def expect_here(self, run: Run, row: WorkflowSummary) -> None:
        """See that no other server carries a workflow out, which then has to be asked about its client.

        Raises:
            HeldElsewhereError: one does.
        """
        host = self._host()
        if row.owner == host.owner:
            return
        # What this one knows of a client is of before: whoever comes has the engine go on with the run.
        self._clients.leave(row.id)
        if not row.owner or not host.is_alive(row.owner):
            return
        with self._store.reader() as reader:
            address = reader.get(ServerAddress, row.owner)
        message = f"Another server carries out the run {run.name}."
        if address is None:
            raise HeldElsewhereError(message)
        raise HeldElsewhereError(message, url=address.url, certificate=address.certificate)

    def steps(self, run_id: str) -> list[StepRun]:
        """All step runs, attempts included, in the order they were started."""
        with self._store.reader() as reader:
            return reader.find(Query.of(StepRun, run_id=self._find(reader, run_id).id, order="id"))

    def nodes(self, run_id: str) -> list[Node]:
        """The engine's nodes of a run."""
        with self._store.reader() as reader:
            return reader.load_nodes(self._find(reader, run_id).workflow_uid)

    def stop(self, name_or_id: str, *, graceful: bool = False) -> Run:
        """End a run; one that nobody works on has ended when this returns."""
        run = self.get(name_or_id)
        if run.status.is_finished:
            raise ConflictError(f"The run {run.name} has ended already ({run.status.value}).")
        unattended = self.is_interrupted(run) or self._is_queued(run.workflow_uid)
        self._host().shut_down(run.workflow_uid, "Drain" if graceful else "Terminate")
        if unattended:
            # It is ours now, and nobody else's: this process must not end before it has.
            self._host().wait(run.workflow_uid)
        return self.get(run.id)

    def resume(self, name_or_id: str) -> Run:
        """Take up a run whose process died."""
        run = self.get(name_or_id)
        if run.status.is_finished:
            raise ConflictError(f"The run {run.name} has ended already ({run.status.value}).")
        if not self._take_up(run):
            raise ConflictError(f"The run {run.name} is being carried out by another process.")
        return run

    def is_interrupted(self, run: Run) -> bool:
        """Whether an unfinished run has nobody who works on it."""
        if run.status.is_finished:
            return False
        with self._store.reader() as reader:
            row = reader.get(WorkflowRow, run.workflow_uid)
        return row is not None and row.finished_at is None and not self._is_attended(row)

    def _is_attended(self, row: WorkflowRow) -> bool:
        """Whether somebody works on a workflow: its engine, and where that is not who carries its steps out, both.

        One that waits in the queue is looked after, too.
        """
        host = self._host()
        alive = host.is_alive(row.owner) or self._is_queued(row.id)
        if alive and is_by_client(row.runner) and row.owner != host.owner:
            return True  # as far as can be seen from here
        return alive and (not is_by_client(row.runner) or self._clients.is_attended(row.id))

    def _is_queued(self, uid: str) -> bool:
        """Whether a workflow waits for its turn."""
        with self._store.reader() as reader:
            return bool(reader.count(Query.of(QueuedWorkflow, workflow_uid=uid, admitted=False)))

    def _take_up(self, run: Run) -> bool:
        """Have this process's engine go on with a run; False if somebody works on it."""
        taken = self._host().resume(run.workflow_uid)
        with self._store.reader() as reader:
            row = reader.get(WorkflowSummary, run.workflow_uid)
        if row is not None and row.finished_at is None and is_by_client(row.runner):
            self.expect_here(run, row)
            return self._clients.reserve(row.id)
        return taken

    def _created(self, run_id: str | None) -> Run | None:
        """The run that an earlier request with the same id made."""
        if run_id is None:
            return None
        with self._store.reader() as reader:
            return reader.get(Run, run_id)

    def delete(self, name_or_id: str) -> None:
        """Remove a finished run and its step runs; artifact versions stay."""
        with self._store.transaction() as transaction:
            run = self._find(transaction, name_or_id)
            if not run.status.is_finished:
                raise ConflictError(
                    f"The run {run.name} is not finished.", hint=f"Stop it first: tiphys runs stop {run.name}"
                )
            delete_run(transaction, run)
            row = transaction.get(WorkflowSummary, run.workflow_uid)
            if row is not None:
                transaction.delete(WorkflowRow, [row.id])
                transaction.add(WorkflowRemoval.of(row, id=new_id(), now=utc_now()))

    def logs(self, name_or_id: str, *, step: str | None = None, follow: bool = False) -> Iterator[tuple[str, str]]:
        """(step name, line) of what the steps wrote, while they run or afterwards.

        Raises:
            NotFoundError: there is no such run or step.
        """
        return _paused(self.log_batches(name_or_id, step=step, follow=follow))

    def log_batches(
        self, name_or_id: str, *, step: str | None = None, follow: bool = False
    ) -> Iterator[list[tuple[str, str]]]:
        """As `logs`, with a list for each look; the lists may be empty, and whoever looks makes the pauses."""
        run = self.get(name_or_id)
        if step is not None and (run.status.is_finished or not follow):
            names = [one.name for one in self.steps(run.id)]
            if not any(_is_step(name, step) for name in names):
                known = ", ".join(dict.fromkeys(names)) or "none"
                raise NotFoundError(f"The run {run.name} has no step '{step}'.", hint=f"It has: {known}.")
        return self._looks(run, step, follow=follow)

    def changes(self, name_or_id: str) -> Iterator[list[RunChange]]:
        """What happens to a run until it ends, with a list for each look; the first one has the run as it is.

        The lists may be empty: whoever looks makes the pauses.
        """
        known: dict[str, Node] = {}
        last: Run | None = None
        while last is None or not last.status.is_finished:
            with self._store.reader() as reader:
                run = self._find(reader, name_or_id if last is None else last.id)
                nodes = [node for node in reader.load_nodes(run.workflow_uid) if known.get(node.id) != node]
            known.update((node.id, node) for node in nodes)
            yield [RunChange(run, nodes)] if nodes or run != last else []
            last = run

    def _looks(self, run: Run, step: str | None, *, follow: bool) -> Iterator[list[tuple[str, str]]]:
        read = StepLogs(
            lambda: as_artifact_store(self._stacks.component(ComponentType.ARTIFACT_STORE, stack=run.stack)),
            self._home,
            stores=lambda name: as_artifact_store(self._stacks.component(ComponentType.ARTIFACT_STORE, name)),
        )
        while True:
            ended = self.get(run.id).status.is_finished
            attempts = self.steps(run.id)
            with self._store.reader() as reader:
                parts = parts_of(reader, run.workflow_uid)
            for attempt in attempts:
                if step is None or _is_step(attempt.name, step):
                    for lines in read.batches(attempt, parts):
                        yield [(attempt.name, line.text) for line in lines]
            if ended or not follow:
                return
            yield []

    def _find(self, reader: Reader, name_or_id: str) -> Run:
        found = reader.get(Run, name_or_id)
        if found is not None:
            return found
        named = reader.find(Query.of(Run, workspace=self._workspace, name=name_or_id, limit=1))
        if not named and len(name_or_id) >= 8:
            named = reader.find(Query(Run, (Where("id", name_or_id, "prefix"),), limit=2))
        if len(named) != 1:
            problem = "There is no run" if not named else "Several runs have an id that begins with"
            raise NotFoundError(f"{problem} '{name_or_id}'.", hint="See them all: tiphys runs list")
        return named[0]

    def _find_interrupted(self, request: RunRequest) -> Run | None:
        """The newest unfinished run of the same definition that nobody works on."""
        with self._store.reader() as reader:
            runs = reader.find(
                Query.of(
                    Run,
                    pipeline_name=request.pipeline_name,
                    workspace=self._workspace,
                    spec_digest=request.spec_digest,
                    status=_RESUMABLE,
                )
            )
            rows = reader.get_many(WorkflowRow, [run.workflow_uid for run in runs]) if runs else {}
        wants_name = request.run_name if request.run_name and "{" not in request.run_name else None
        candidates = [
            (run, row)
            for run in runs
            if (row := rows.get(run.workflow_uid)) is not None
            and wants_name in (None, run.name)
            and not row.shutdown
            and row.finished_at is None
            and is_by_client(row.runner) == request.by_client
        ]
        found = next((run for run, row in candidates if not self._is_attended(row)), None)
        if found is None and request.by_client:
            for run, row in candidates:
                self.prefer_elsewhere(run, row)
        return found

    def prefer_elsewhere(self, run: Run, row: WorkflowSummary) -> None:
        """See that no other server that can be asked knows more of a run.

        Raises:
            HeldElsewhereError: one carries it out, and said where it is.
        """
        try:
            self.expect_here(run, row)
        except HeldElsewhereError as error:
            if error.url:
                raise


#: Unfinished runs that go on by themselves; paused ones wait for someone.
_RESUMABLE = tuple(
    status
    for status in _UNFINISHED
    if status not in (ExecutionStatus.PAUSED, ExecutionStatus.STOPPING, ExecutionStatus.CANCELLING)
)


def _paused(looks: Iterator[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for lines in looks:
        if not lines:
            time.sleep(FOLLOW_PAUSE)
        yield from lines


def _is_step(name: str, wanted: str) -> bool:
    return name == wanted or name.partition("(")[0] == wanted


def _watcher(run: Run, observer: Observer) -> Watcher:
    """Tells an observer of a workflow's changes, with the run as it is then."""
    present = run

    def watch(_uid: str, state: WorkflowState | None, nodes: Sequence[Node]) -> None:
        nonlocal present
        if state is not None:
            present = replace(present, status=status_of(state))
        observer(present, nodes)

    return watch


def delete_run(transaction: Transaction, run: Run) -> None:
    """Remove a run and its step runs, but not its workflow."""
    steps = [step.id for step in transaction.find(Query.of(StepRun, run_id=run.id))]
    transaction.delete_found(Query.of(ArtifactUse, step_run_id=steps))
    transaction.delete_found(Query.of(LogPart, workflow_uid=run.workflow_uid))
    forget_entities(transaction, EntityType.STEP_RUN, steps)
    transaction.delete(StepRun, steps)
    links = transaction.find(Query.of(ModelLink, target_id=run.id, target_type=EntityType.RUN.value))
    transaction.delete(ModelLink, [link.id for link in links])
    forget_entities(transaction, EntityType.RUN, [run.id])
    transaction.delete(Run, [run.id])
