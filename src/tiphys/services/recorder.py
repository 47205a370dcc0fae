"""Writes down what the engine's progress means (step runs, lineage, the run's status) and answers steps from the cache.

The controller calls it in its thread, inside its transactions. This is the hot path of every run: what a run's steps
share is read once (`run_memory`), and all rows of one change are inserted together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import ArtifactValue, Node, Phase, Reason, WorkflowState
from tiphys.plugins.loading import load
from tiphys.ports.clock import Clock, SystemClock
from tiphys.ports.recorder import Change, Recorder
from tiphys.ports.runner import Task
from tiphys.ports.store import Reader, Transaction
from tiphys.records.base import EntityType, Query
from tiphys.records.events import EventSubscription
from tiphys.records.models import ModelVersion
from tiphys.records.runs import ExecutionStatus, Run, StepRun
from tiphys.records.workflows import WorkflowRow, WorkflowSummary
from tiphys.services.artifacts import version_is_taken
from tiphys.services.backend import LocalBackend
from tiphys.services.cache_lookup import choose, find_candidates, has_outputs, hit_event
from tiphys.services.labels import link_tag
from tiphys.services.models import model_link
from tiphys.services.reports import Report, ReportWriter, Rows, add_labels, result_of, step_row
from tiphys.services.run_memory import RunMemory, StepMemory, StepPlan, failure_text, read_run
from tiphys.services.run_status import status_of
from tiphys.services.workflows.pods import PodFacts

if TYPE_CHECKING:
    from tiphys.services.events.announcing import Announcer
    from tiphys.services.workflows.metrics import WorkflowMetrics

_NOT_STARTED = (Phase.SKIPPED, Phase.OMITTED)
#: Stands in the manifest of a workflow with metrics: it is written without spaces between a name and its value.
_METRICS = '"prometheus":'


class MLRecorder(Recorder):
    """Records runs in the backend's database.

    Args:
        backend: Gives the stacks, the home and the address of the database.
        clock: Time; the machine's by default.
    """

    def __init__(self, backend: LocalBackend, *, clock: Clock | None = None) -> None:
        self._backend = backend
        self._clock = clock or SystemClock()
        self._place = {"home": str(backend.home), "db_url": backend.db_url, "logs_in_parts": True}
        self._runs: dict[str, RunMemory] = {}
        #: Of plain workflows, by uid: their metrics, or None.
        self._metrics: dict[str, WorkflowMetrics | None] = {}
        #: Of each run; None if nobody has subscribed.
        self._announcers: dict[str, Announcer | None] = {}
        #: Explicit artifact versions that this batch of reports will record.
        self._claimed: set[tuple[str, str, str]] = set()

    # Before tasks are launched --------------------------------------------------------------------------------------

    def prepare(self, reader: Reader, tasks: Sequence[Task]) -> list[Task | tuple[Task, TaskFinished]]:
        """Fill in the context of tasks, or answer them from the cache."""
        prepared: list[Task | tuple[Task, TaskFinished]] = list(tasks)
        wanted: list[tuple[int, RunMemory, StepMemory]] = []
        for index, task in enumerate(tasks):
            memory = self._memory(reader, task.workflow_uid)
            if memory is None:
                continue
            plan = memory.plan(task.body)
            if plan is None:
                prepared[index] = _pod(reader, task, memory)
                continue
            step = memory.step(task, plan, new_id)
            reused = memory.reuse.get(step.name) if memory.reuse else None
            if reused is not None and has_outputs(reused, memory, step):
                step.hit = reused
                prepared[index] = (task, hit_event(task, reused))
                continue
            if plan.keys is not None and not step.stored:
                step.key, step.parts = plan.keys.key(task.inputs)
                if task.attempt == 0:
                    wanted.append((index, memory, step))
            prepared[index] = _with_context(task, memory, step)
        if wanted:
            self._answer(reader, wanted, prepared)
        return prepared

    def _answer(
        self,
        reader: Reader,
        wanted: Sequence[tuple[int, RunMemory, StepMemory]],
        prepared: list[Task | tuple[Task, TaskFinished]],
    ) -> None:
        """Replace tasks whose results are known by their ends."""
        now = from_epoch(self._clock.now())
        candidates = find_candidates(reader, [step.key for _, _, step in wanted if step.key is not None])
        for index, memory, step in wanted:
            found = candidates.get(step.key or "")
            hit = choose(found, memory, step, now) if found else None
            task = prepared[index]
            if hit is not None and isinstance(task, Task):
                step.hit = hit
                prepared[index] = (task, hit_event(task, hit))

    def describe(self, tasks: Sequence[Task]) -> list[Task]:
        """Fill in the context of tasks that were launched before."""
        described = list(tasks)
        with self._backend.store.reader() as reader:
            for index, task in enumerate(tasks):
                memory = self._memory(reader, task.workflow_uid)
                if memory is None:
                    continue
                plan = memory.plan(task.body)
                if plan is None:
                    described[index] = _pod(reader, task, memory)
                else:
                    described[index] = _with_context(task, memory, memory.step(task, plan, new_id))
        return described

    def check(self, reader: Reader, task: Task, event: TaskFinished) -> TaskFinished:
        """Turn a success whose explicit artifact version is taken into a failure."""
        result = result_of(event)
        if event.phase is not Phase.SUCCEEDED or result is None:
            return event
        for output in result.outputs:
            if output.version is None:
                continue
            memory = self._memory(reader, task.workflow_uid)
            if memory is None:
                return event
            claim = (memory.run.workspace, output.ref.name, output.version)
            if claim in self._claimed or version_is_taken(reader, *claim):
                message = f"The artifact '{output.ref.name}' has a version '{output.version}' already."
                exception = {"type": "AlreadyExistsError", "message": message, "traceback": ""}
                failed = replace(result, outputs=(), exception=exception)
                return TaskFinished(task.id, Phase.FAILED, message, retryable=False, details=failed)
            self._claimed.add(claim)
        return event

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a workflow."""
        memory = self._runs.pop(uid, None)
        if memory is not None:
            self._backend.logs.forget(uid, memory.run.id if memory.run.pipeline_id is not None else None)
        self._metrics.pop(uid, None)
        self._announcers.pop(uid, None)
        self._claimed.clear()

    def tend(self, uids: Collection[str]) -> None:
        """Have logs stored while they are written."""
        self._backend.logs.tend(uids)

    def _memory(self, reader: Reader, uid: str) -> RunMemory | None:
        memory = self._runs.get(uid)
        if memory is None:
            memory = read_run(reader, uid, self._backend.stacks, self._place)
            if memory is not None:
                self._runs[uid] = memory
        return memory

    # After the engine went on ---------------------------------------------------------------------------------------

    def record(self, transaction: Transaction, change: Change) -> None:
        """Write the records that belong to `change`."""
        memory = self._memory(transaction, change.uid)
        if memory is None:
            return
        now = from_epoch(self._clock.now())
        rows = Rows()
        for task in change.launched:
            step = memory.steps.get(task.node_id)
            if step is not None and not step.stored:
                _launched(rows, memory, step, task, now)
        reports: list[Report] = []
        for task, event in change.finished:
            step = memory.steps.pop(task.node_id, None)
            if step is None:
                continue
            if step.hit is not None:
                _cached(transaction, rows, memory, step, step.hit, task, now)
            else:
                reports.append(Report(step, task, event, result_of(event)))
        if reports:
            writer = ReportWriter(transaction, rows, memory, now=now)
            writer.write(reports, change.retried)
            self._claimed.clear()
        rows.add_to(transaction)
        _end_nodes(transaction, memory, change, now)
        for report in reports:
            add_labels(transaction, memory, report, now)
        if change.state is not None:
            _change_run(transaction, memory, change.state, now)
        if memory.run.pipeline_name is None:
            self._measure(transaction, change, now)
        self._announce(transaction, memory, change, now)

    def _announce(self, transaction: Transaction, memory: RunMemory, change: Change, now: datetime) -> None:
        """Tell those who subscribed; what does so is loaded if there is anybody."""
        if change.uid not in self._announcers:
            self._announcers[change.uid] = _announcer_of(transaction, memory, change.uid)
        announcer = self._announcers[change.uid]
        if announcer is not None:
            announcer.announce(transaction, change, now)

    def _measure(self, transaction: Transaction, change: Change, now: datetime) -> None:
        """Look at the metrics of a plain workflow; what knows of them is loaded if there are any."""
        if change.uid not in self._metrics:
            self._metrics[change.uid] = _metrics_of(transaction, change)
        metrics = self._metrics[change.uid]
        if metrics is not None:
            metrics.record(transaction, change, now)


def _announcer_of(reader: Reader, memory: RunMemory, uid: str) -> Announcer | None:
    """What tells of a run; None if nobody has subscribed to its workspace."""
    subscriptions = reader.find(Query.of(EventSubscription, workspace=memory.run.workspace))
    workflow = reader.get(WorkflowSummary, uid) if subscriptions else None
    if workflow is None:
        return None
    found: Announcer = load("tiphys.services.events.announcing:Announcer")(subscriptions, workflow)
    return found


def _metrics_of(reader: Reader, change: Change) -> WorkflowMetrics | None:
    """The metrics of the workflow that a change belongs to; None if it has none."""
    row = reader.get(WorkflowRow, change.uid)
    if row is None or _METRICS not in row.manifest:
        return None
    found: WorkflowMetrics = load("tiphys.services.workflows.metrics:WorkflowMetrics")(
        row, reader.load_nodes(change.uid), new={node.id for node in change.nodes}
    )
    return found


def _with_context(task: Task, memory: RunMemory, step: StepMemory) -> Task:
    model = memory.model_of(step.name)
    context = {
        **memory.base,
        "step_name": step.name,
        "step_run_id": step.id,
        "attempt": task.attempt,
        "model": None if model is None else _model_context(model),
    }
    return replace(task, context=context)


def _pod(reader: Reader, task: Task, memory: RunMemory) -> Task:
    """A task that is no Python step, with what it is told of its workflow."""
    if memory.pods is None:
        row = reader.get(WorkflowRow, task.workflow_uid)
        if row is None:
            return task
        memory.pods = PodFacts(Path(memory.base["home"]), row)
    return replace(task, context=memory.pods.context(task))


def _model_context(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.model_id,
        "name": version.model_name,
        "version_id": version.id,
        "number": version.number,
        "version": version.name,
    }


def _launched(rows: Rows, memory: RunMemory, step: StepMemory, task: Task, now: datetime) -> None:
    rows.steps.append(
        step_row(
            memory,
            step,
            task.node_id,
            status=ExecutionStatus.RUNNING,
            parameters=step.plan.parameters(task.inputs.parameters),
            started_at=now,
        )
    )
    step.stored, step.parts = True, ""
    _add_inputs(rows, step, task)


def _cached(
    transaction: Transaction, rows: Rows, memory: RunMemory, step: StepMemory, hit: StepRun, task: Task, now: datetime
) -> None:
    """A step whose result was taken from an earlier one."""
    rows.steps.append(
        step_row(
            memory,
            step,
            task.node_id,
            status=ExecutionStatus.SKIPPED if step.name in memory.reuse else ExecutionStatus.CACHED,
            parameters=step.plan.parameters(task.inputs.parameters),
            original_step_run_id=hit.id,
            cache_expires_at=hit.cache_expires_at,
            started_at=now,
            finished_at=now,
        )
    )
    _add_inputs(rows, step, task)
    model = memory.model_of(step.name)
    for name, ref in hit.outputs["artifacts"].items():
        version_id = ref["version_id"]
        rows.use(step.id, version_id, "out", name)
        if model is not None and (model.id, version_id) not in memory.linked:
            memory.linked.add((model.id, version_id))
            rows.links.append(model_link(model.id, EntityType.ARTIFACT_VERSION, version_id, now))
        for tag in memory.cascading:
            link_tag(transaction, tag, EntityType.ARTIFACT_VERSION, (version_id,), now=now)


def _add_inputs(rows: Rows, step: StepMemory, task: Task) -> None:
    for name, value in task.inputs.artifacts.items():
        for version_id in _version_ids(value):
            rows.use(step.id, version_id, "in", step.plan.input_name(name))
    for name, version_id in step.plan.external.items():
        rows.use(step.id, version_id, "in", name)


def _version_ids(value: ArtifactValue) -> Iterable[str]:
    if isinstance(value, list):
        for item in value:
            yield from _version_ids(item)
    elif "version_id" in value:
        yield value["version_id"]


def _end_nodes(transaction: Transaction, memory: RunMemory, change: Change, now: datetime) -> None:
    """Steps that ended without a report: stopped, timed out, or never started because of what came before them."""
    for node in change.nodes:
        if not node.phase.fulfilled:
            continue
        if node.phase in _NOT_STARTED:
            _skip(transaction, memory, node, now)
            continue
        step = memory.steps.pop(node.id, None)
        if step is not None and step.stored:
            _end(transaction, memory, step, node, now, retried=node.id in change.retried)


def _end(
    transaction: Transaction, memory: RunMemory, step: StepMemory, node: Node, now: datetime, *, retried: bool
) -> None:
    status, kind = ExecutionStatus.STOPPED, "StepCancelledError"
    if node.reason is not Reason.STOPPED:
        status = ExecutionStatus.FAILED
        kind = "StepTimeoutError" if node.reason is Reason.TIMED_OUT else "Error"
    exception = {"type": kind, "message": node.message, "traceback": ""}
    if status is ExecutionStatus.FAILED and not retried and not memory.failure:
        memory.failure = failure_text(step.name, exception)
    transaction.update(
        StepRun,
        step.id,
        status=ExecutionStatus.RETRIED if retried else status,
        exception=exception,
        finished_at=from_epoch(node.finished_at) if node.finished_at is not None else now,
    )


def _skip(transaction: Transaction, memory: RunMemory, node: Node, now: datetime) -> None:
    body = None if node.id in memory.skipped else memory.body_of(transaction, node)
    if body is None:
        return
    memory.skipped.add(node.id)
    step = StepMemory(
        new_id(), memory.name_of(node.display_name), StepPlan(body, workspace=memory.run.workspace), node.attempt
    )
    row = step_row(memory, step, node.id, status=ExecutionStatus.SKIPPED, finished_at=now)
    transaction.ensure(row, "run_id", "name", "version")


def _change_run(transaction: Transaction, memory: RunMemory, state: WorkflowState, now: datetime) -> None:
    """The workflow's own status became another."""
    status = status_of(state)
    message = state.message
    if status is ExecutionStatus.FAILED and memory.failure:
        message = memory.failure
    transaction.update(
        Run,
        memory.run.id,
        status=status,
        message=message,
        started_at=None if state.started_at is None else from_epoch(state.started_at),
        finished_at=None if state.finished_at is None else from_epoch(state.finished_at),
    )
    if state.phase.fulfilled:
        for step in memory.steps.values():
            if step.stored:
                transaction.update(StepRun, step.id, status=ExecutionStatus.STOPPED, finished_at=now)
        memory.steps.clear()
