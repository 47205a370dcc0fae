"""Turns what executed steps report into rows: the step run's end, artifact versions, lineage, links, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tiphys._util.ids import new_id
from tiphys._util.times import from_epoch
from tiphys.engine.events import TaskFinished
from tiphys.engine.model import Phase, Reason
from tiphys.ports.backend import TagRequest
from tiphys.ports.runner import Task
from tiphys.ports.step_result import OutputVersion, StepResult
from tiphys.ports.store import Transaction
from tiphys.records.artifacts import Artifact, ArtifactType, ArtifactUse, ArtifactVersion, SaveType
from tiphys.records.base import EntityType, Record
from tiphys.records.models import ModelLink
from tiphys.records.runs import ExecutionStatus, Metadata, StepRun
from tiphys.records.tags import TagLink
from tiphys.services.artifacts import claim_number, number_of
from tiphys.services.labels import put_metadata, put_tags, tag_link
from tiphys.services.models import model_link
from tiphys.services.run_memory import RunMemory, StepMemory, failure_text


@dataclass(slots=True)
class Rows:
    """What one change adds, by kind; inserted together, at its end."""

    steps: list[StepRun] = field(default_factory=list)
    versions: list[ArtifactVersion] = field(default_factory=list)
    uses: list[ArtifactUse] = field(default_factory=list)
    links: list[ModelLink] = field(default_factory=list)
    tags: list[TagLink] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)

    def use(self, step_run_id: str, version_id: str, direction: str, name: str) -> None:
        """A step run has an input or output."""
        self.uses.append(
            ArtifactUse(
                id=new_id(), step_run_id=step_run_id, artifact_version_id=version_id, direction=direction, name=name
            )
        )

    def add_to(self, transaction: Transaction) -> None:
        """Insert them."""
        groups: Iterable[Sequence[Record]] = (
            self.steps, self.versions, self.uses, self.links, self.tags, self.metadata
        )  # fmt: skip
        rows = [row for group in groups for row in group]
        if rows:
            transaction.add(*rows)


def step_row(memory: RunMemory, step: StepMemory, node_id: str, **fields: Any) -> StepRun:
    """The row of a step; `fields` are those that depend on how far it came."""
    model = memory.model_of(step.name)
    return StepRun(
        id=step.id,
        run_id=memory.run.id,
        name=step.name,
        node_id=node_id,
        version=step.attempt + 1,
        source=step.plan.source,
        code_digest=step.plan.code_digest,
        cache_key=step.key,
        cache_parts=step.parts,
        model_version_id=None if model is None else model.id,
        **fields,
    )


@dataclass(frozen=True, slots=True)
class Report:
    """The end of one attempt of a step that was executed."""

    step: StepMemory
    task: Task
    event: TaskFinished
    #: None if whoever carried it out could not say more than the event does.
    result: StepResult | None


def result_of(event: TaskFinished) -> StepResult | None:
    """What a step left behind, from this process or another."""
    details = event.details
    if isinstance(details, Mapping):
        return StepResult.from_json(details)
    return details if isinstance(details, StepResult) else None


class ReportWriter:
    """Writes the reports of one change.

    Args:
        transaction: Of the change.
        rows: Where new rows are collected.
        memory: The run's.
        now: The present.
    """

    def __init__(self, transaction: Transaction, rows: Rows, memory: RunMemory, *, now: datetime) -> None:
        self._transaction = transaction
        self._rows = rows
        self._memory = memory
        self._now = now
        #: Artifact name → the number that its next new version gets.
        self._numbers: dict[str, int] = {}

    def write(self, reports: Sequence[Report], retried: set[str]) -> None:
        """Collect or write all rows but those of `add_labels`."""
        self._reserve_numbers(reports)
        for report in reports:
            result = report.result
            if result is not None:
                for output in result.outputs:
                    self._add_version(report.step, output, "out")
                for external in result.inputs:
                    self._add_version(report.step, external, "in")
            self._end_step(report, retried)

    def _end_step(self, report: Report, retried: set[str]) -> None:
        step, event, result = report.step, report.event, report.result
        changes: dict[str, Any] = {"finished_at": self._now}
        if result is not None:
            changes["started_at"] = from_epoch(result.started_at)
            changes["finished_at"] = from_epoch(result.finished_at)
            changes["log_digest"] = result.log_digest
            if result.hook_errors:
                changes["hook_errors"] = dict(result.hook_errors)
        if event.phase is Phase.SUCCEEDED:
            self._complete(step, event, changes)
        else:
            self._fail(report, retried, changes)
        if step.stored:
            self._transaction.update(StepRun, step.id, **changes)
        else:
            parameters = step.plan.parameters(report.task.inputs.parameters)
            self._rows.steps.append(step_row(self._memory, step, report.task.node_id, parameters=parameters, **changes))

    def _complete(self, step: StepMemory, event: TaskFinished, changes: dict[str, Any]) -> None:
        outputs = event.outputs
        changes["status"] = ExecutionStatus.COMPLETED
        changes["outputs"] = {
            "store": self._memory.store_name,
            "artifacts": {} if outputs is None else outputs.artifacts,
            "parameters": {} if outputs is None else outputs.parameters,
        }
        if step.key is not None and step.plan.expires_after is not None:
            changes["cache_expires_at"] = changes["finished_at"] + timedelta(seconds=step.plan.expires_after)

    def _fail(self, report: Report, retried: set[str], changes: dict[str, Any]) -> None:
        event, result = report.event, report.result
        exception = result.exception if result is not None else None
        if exception is None:
            exception = {"type": "Error", "message": event.message, "traceback": ""}
        changes["exception"] = dict(exception)
        if report.task.node_id in retried:
            changes["status"] = ExecutionStatus.RETRIED
        elif event.reason is Reason.STOPPED:
            changes["status"] = ExecutionStatus.STOPPED
        else:
            changes["status"] = ExecutionStatus.FAILED
            if not self._memory.failure:
                self._memory.failure = failure_text(report.step.name, exception)

    def _reserve_numbers(self, reports: Sequence[Report]) -> None:
        """Take the numbers of all new versions, one statement an artifact."""
        counts: dict[str, int] = {}
        custom: dict[str, bool] = {}
        for report in reports:
            if report.result is None:
                continue
            for output in (*report.result.outputs, *report.result.inputs):
                name = output.ref.name
                counts[name] = counts.get(name, 0) + (output.version is None)
                custom[name] = output.has_custom_name
        for name, count in counts.items():
            self._numbers[name] = self._reserve(name, count, has_custom_name=custom[name])

    def _reserve(self, name: str, count: int, *, has_custom_name: bool) -> int:
        memory, transaction = self._memory, self._transaction
        artifact_id = memory.artifacts.get(name)
        if artifact_id is None:
            fresh = Artifact(
                id=new_id(),
                name=name,
                workspace=memory.run.workspace,
                has_custom_name=has_custom_name,
                last_number=count,
                created_at=self._now,
            )
            artifact_id = memory.artifacts[name] = transaction.ensure(fresh, "workspace", "name").id
            if artifact_id == fresh.id:
                return 1
        return transaction.next_number(Artifact, artifact_id, count) if count else 0

    def _add_version(self, step: StepMemory, output: OutputVersion, direction: str) -> None:
        ref, memory, rows, now = output.ref, self._memory, self._rows, self._now
        version = output.version
        if version is None:
            number: int | None = self._numbers[ref.name]
            self._numbers[ref.name] += 1
            version = str(number)
        else:
            number = self._claim(ref.name, version)
        rows.versions.append(
            ArtifactVersion(
                id=ref.version_id,
                artifact_id=memory.artifacts[ref.name],
                name=ref.name,
                workspace=memory.run.workspace,
                version=version,
                number=number,
                type=ArtifactType(ref.type),
                digest=ref.digest,
                size=ref.size,
                uri=output.uri,
                store=output.store,
                materializer=ref.materializer,
                data_type=ref.data_type,
                save_type=SaveType(output.save_type),
                visualizations=output.visualizations,
                producer_step_run_id=step.id if direction == "out" else None,
                run_id=memory.run.id,
                created_at=now,
            )
        )
        rows.use(step.id, ref.version_id, direction, output.output)
        model = memory.model_of(step.name)
        if model is not None:
            memory.linked.add((model.id, ref.version_id))
            rows.links.append(model_link(model.id, EntityType.ARTIFACT_VERSION, ref.version_id, now))
        for tag in memory.cascading:
            rows.tags.append(tag_link(tag, EntityType.ARTIFACT_VERSION, ref.version_id, now))
        for key, value in output.metadata.items():
            rows.metadata.append(_version_metadata(ref.version_id, key, value, step.id, now))

    def _claim(self, name: str, version: str) -> int | None:
        """See to it that no later number meets an explicit version; the number that it is, if it is one."""
        artifact = self._transaction.get(Artifact, self._memory.artifacts[name])
        if artifact is not None:
            claim_number(self._transaction, artifact, version)
        return number_of(version)


def _version_metadata(version_id: str, key: str, value: Any, step_run_id: str, now: datetime) -> Metadata:
    return Metadata(
        id=new_id(),
        entity_type=EntityType.ARTIFACT_VERSION.value,
        entity_id=version_id,
        key=key,
        value=value,
        step_run_id=step_run_id,
        created_at=now,
    )


def add_labels(transaction: Transaction, memory: RunMemory, report: Report, now: datetime) -> None:
    """Metadata and tags that may meet older ones; called when the rows they are put on are written."""
    result, step = report.result, report.step
    if result is None:
        return
    put_metadata(transaction, result.metadata, EntityType.STEP_RUN, step.id, now=now, step_run_id=step.id)
    for entity_type, entity_id, values in result.other_metadata:
        put_metadata(transaction, values, entity_type, entity_id, now=now, step_run_id=step.id)
    tags = [(EntityType(entity_type), entity_id, name) for entity_type, entity_id, name in result.tags]
    for output in (*result.outputs, *result.inputs):
        tags += [(EntityType.ARTIFACT_VERSION, output.ref.version_id, name) for name in output.tags]
    for kind, entity_id, name in tags:
        put_tags(transaction, memory.run.workspace, [TagRequest(name=name)], kind, entity_id, now=now)
