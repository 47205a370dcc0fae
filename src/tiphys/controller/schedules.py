"""What CronWorkflows ask for: pure functions of a schedule, its status and the time.

Semantics: argo-workflows 4.1, workflow/cron/operator.go and controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys._util.times import rfc3339, to_epoch
from tiphys.engine.expressions import evaluate_condition, evaluate_text
from tiphys.engine.model import Phase
from tiphys.errors import ExpressionError, SpecError
from tiphys.lang import tags, when
from tiphys.lang.cron import Schedule, parse_schedule
from tiphys.ports.workflows import Manifest
from tiphys.records.workflows import WorkflowSummary
from tiphys.spec.library import CronWorkflow, CronWorkflowSpec, CronWorkflowStatus
from tiphys.spec.status import Condition

#: Annotation: the schedules by which the last run was decided. After a change nothing that was missed is caught up.
LAST_SCHEDULE = "cronworkflows.argoproj.io/last-used-schedule"
#: Label of a CronWorkflow that its stopStrategy ended.
COMPLETED = "cronworkflows.argoproj.io/completed"
ACTIVE, STOPPED = "Active", "Stopped"
SUBMISSION_ERROR, SPEC_ERROR = "SubmissionError", "SpecError"
NEVER = datetime.max.replace(tzinfo=UTC)
_TICK = timedelta(microseconds=1)
#: A last run that is so far in the future is none: the clock was wrong then.
ABSURD = timedelta(days=1)


# Decisions ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Start the run of a time."""

    name: str
    scheduled: datetime


@dataclass(frozen=True, slots=True)
class Terminate:
    """End a run, to make way for the next one."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stopStrategy is met: the schedule starts nothing any more."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is started for a time."""

    scheduled: datetime
    reason: str
    #: Whether it is for the concurrencyPolicy.
    by_policy: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """A time cannot be decided on; the condition says why."""

    scheduled: datetime
    condition: str
    message: str


Decision = Start | Terminate | Stop | Skip | Refuse


def times_between(cron: CronWorkflow, since: datetime, now: datetime, zone: tzinfo = UTC) -> list[datetime]:
    """Times that came after `since` and have come now: of each schedule the latest, each time once.

    Args:
        cron: The schedule.
        since: Aware.
        now: Aware; a time equal to it has come.
        zone: Of the fields, where neither the object nor the schedule names a time zone.

    Raises:
        ExpressionError: a schedule cannot be read.
    """
    found = [schedule.latest(since.astimezone(zone), now + _TICK) for schedule in _schedules(cron)]
    return sorted({moment.astimezone(UTC) for moment in found if moment is not None})


def missed_run(cron: CronWorkflow, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """The run that may be caught up: the latest one since the last run, by the same schedules as that one.

    It must be less than `startingDeadlineSeconds` ago (as `shouldOutstandingWorkflowsBeRun` of operator.go). Raises as
    `times_between`.
    """
    spec, last = spec_of(cron), last_scheduled(cron)
    if last is None or annotations_of(cron).get(LAST_SCHEDULE) != schedule_text(spec):
        return None
    times = times_between(cron, last, now - _TICK, zone)
    deadline = spec.starting_deadline_seconds or 0
    return times[-1] if times and (now - times[-1]).total_seconds() < deadline else None


def next_due(cron: CronWorkflow, since: datetime, zone: tzinfo = UTC) -> datetime:
    """The first time after `since`; the end of all times if there is none."""
    found = [schedule.next(since.astimezone(zone)) for schedule in _schedules(cron)]
    return min((moment for moment in found if moment is not None), default=NEVER)


def due(cron: CronWorkflow, active: Sequence[str], times: Iterable[datetime], now: datetime) -> list[Decision]:
    """What is to be done for times that have come, in this order (as `run` and `enforceRuntimePolicy` of operator.go).

    Args:
        cron: The schedule with its status.
        active: Names of its workflows that have not ended.
        times: In order; those up to the last run are passed over: another process has started it.
        now: The present.
    """
    decisions: list[Decision] = []
    running = list(active)
    for scheduled in times:
        if was_started(cron, scheduled, now):
            continue
        found = _decide(cron, running, scheduled, now)
        decisions += found
        for decision in found:
            if isinstance(decision, Terminate):
                running.remove(decision.name)
            elif isinstance(decision, Start):
                running.append(decision.name)
                cron = started(cron, None, scheduled)
    return decisions


def was_started(cron: CronWorkflow, scheduled: datetime, now: datetime) -> bool:
    """Whether the run of a time was started, or a later one: also if the clock was put back meanwhile."""
    last = last_scheduled(cron)
    return last is not None and scheduled <= last < now + ABSURD


def _decide(cron: CronWorkflow, active: Sequence[str], scheduled: datetime, now: datetime) -> list[Decision]:
    spec, status = spec_of(cron), status_of(cron)
    try:
        if is_over(cron, now):
            stop: list[Decision] = [] if status.phase == STOPPED else [Stop()]
            return [*stop, Skip(scheduled, "its stopStrategy is met")]
    except ExpressionError as error:
        problem = f"failed to check CronWorkflow '{_name(cron)}' stopping condition: {error.message}"
        return [Refuse(scheduled, SPEC_ERROR, problem)]
    if spec.suspend:
        return [Skip(scheduled, "it is suspended")]
    if status.phase == STOPPED:
        return [Skip(scheduled, "it is stopped, as its stopStrategy was met")]
    try:
        if not is_wanted(cron, now):
            return [Skip(scheduled, "its condition `when` is false")]
    except ExpressionError as error:
        return [Refuse(scheduled, SUBMISSION_ERROR, f"run policy error: {error.message}")]
    start = Start(f"{_name(cron)}-{int(to_epoch(scheduled))}", scheduled)
    policy = spec.concurrency_policy or "Allow"
    if policy == "Forbid" and active:
        return [Skip(scheduled, f"concurrencyPolicy is Forbid, and {active[0]} has not ended", by_policy=True)]
    if policy == "Replace":
        return [*(Terminate(name) for name in active), start]
    return [start]


def is_wanted(cron: CronWorkflow, now: datetime) -> bool:
    """Whether the condition `when` holds: tags are filled in, and the rest is evaluated as a step's `when`.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    text = spec_of(cron).when
    if not text:
        return True
    known = variables(cron)

    def evaluate(source: str) -> str:
        return evaluate_text(source, known, now=to_epoch(now), seed=_name(cron))

    def look_up(name: str) -> str | None:
        value = known.get(name)
        if isinstance(value, datetime):
            return rfc3339(value)
        return None if value is None else str(value)

    return when.evaluate(tags.parse(text).fill(look_up, evaluate))


def is_over(cron: CronWorkflow, now: datetime) -> bool:
    """Whether the stopStrategy's expression holds.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    strategy = spec_of(cron).stop_strategy
    if strategy is None:
        return False
    place = "spec.stopStrategy.expression"
    known = variables(cron)
    return evaluate_condition(strategy.expression or "", known, now=to_epoch(now), seed=_name(cron), where=place)


def variables(cron: CronWorkflow) -> dict[str, Any]:
    """What `when` and the stopStrategy may refer to, by dotted names (util/variables/keys/cronworkflow.go)."""
    metadata, status = cron.metadata, status_of(cron)
    labels, annotations = (metadata and metadata.labels) or {}, annotations_of(cron)
    return {
        "cronworkflow.name": _name(cron),
        "cronworkflow.namespace": (metadata and metadata.namespace) or "",
        "cronworkflow.labels.json": canonical_json(labels),
        "cronworkflow.annotations.json": canonical_json(annotations),
        "cronworkflow.failed": status.failed or 0,
        "cronworkflow.succeeded": status.succeeded or 0,
        "cronworkflow.lastScheduledTime": last_scheduled(cron),
        **{f"cronworkflow.labels.{key}": value for key, value in labels.items()},
        **{f"cronworkflow.annotations.{key}": value for key, value in annotations.items()},
    }


# Changes of the status ------------------------------------------------------------------------------------------------


def reconciled(cron: CronWorkflow, children: Iterable[WorkflowSummary], now: datetime) -> CronWorkflow:
    """The schedule with what has become of its workflows: which are active, how many ended well and how many did not.

    An ended workflow is counted when it leaves the active ones, so once. A stopStrategy that cannot be evaluated is
    told when the next time has come (`due`).
    """
    status, found = status_of(cron), {child.id: child for child in children}
    before = {str(one.get("uid")): one for one in status.active or ()}
    started_elsewhere = [
        _reference(child.name, child.workspace, child.id)
        for child in found.values()
        if child.finished_at is None and child.id not in before
    ]
    gone = [uid for uid in before if uid not in found or found[uid].finished_at is not None]
    counted = [found[uid].phase for uid in gone if uid in found]
    if not gone and not started_elsewhere:
        return cron
    changed = _with_status(
        cron,
        active=[one for uid, one in before.items() if uid not in gone] + started_elsewhere,
        succeeded=(status.succeeded or 0) + counted.count(Phase.SUCCEEDED),
        failed=(status.failed or 0) + counted.count(Phase.FAILED) + counted.count(Phase.ERROR),
    )
    with suppress(ExpressionError):
        if counted and is_over(changed, now):
            return stopped(changed)
    return changed


def started(cron: CronWorkflow, workflow: Manifest | None, scheduled: datetime) -> CronWorkflow:
    """The schedule after a run was started; None if another process started it."""
    status = status_of(cron)
    changes: dict[str, Any] = {
        "last_scheduled_time": rfc3339(scheduled),
        "phase": ACTIVE,
        "conditions": _conditions(status, SUBMISSION_ERROR),
    }
    if workflow is not None:
        metadata = workflow["metadata"]
        reference = _reference(metadata["name"], metadata["namespace"], metadata["uid"])
        others = [one for one in status.active or () if one.get("uid") != reference["uid"]]
        changes["active"] = [*others, reference]
    return _with_status(cron, **changes)


def refused(cron: CronWorkflow, condition: str, message: str) -> CronWorkflow:
    """The schedule after a time could not be decided on, or a run not be submitted."""
    status = status_of(cron)
    conditions = [*(_conditions(status, condition) or ()), Condition(type=condition, status="True", message=message)]
    failures = int(condition == SUBMISSION_ERROR)
    return _with_status(cron, conditions=conditions, failed=(status.failed or 0) + failures)


def sound(cron: CronWorkflow) -> CronWorkflow:
    """The schedule without the condition that says it is not valid."""
    return _with_status(cron, conditions=_conditions(status_of(cron), SPEC_ERROR))


def stopped(cron: CronWorkflow) -> CronWorkflow:
    """The schedule after its stopStrategy was met."""
    return _with_metadata(_with_status(cron, phase=STOPPED), "labels", COMPLETED, "true")


def used(cron: CronWorkflow) -> CronWorkflow:
    """The schedule with a note of the schedules that a decision went by."""
    return _with_metadata(cron, "annotations", LAST_SCHEDULE, schedule_text(spec_of(cron)))


def surplus(cron: CronWorkflow, children: Iterable[WorkflowSummary]) -> list[WorkflowSummary]:
    """Ended workflows beyond those that the history limits keep, which are the ones that ended last."""
    spec = spec_of(cron)
    succeeded: list[WorkflowSummary] = []
    failed: list[WorkflowSummary] = []
    for child in children:
        if child.finished_at is not None:
            (succeeded if child.phase == Phase.SUCCEEDED else failed).append(child)
    limits = ((succeeded, spec.successful_jobs_history_limit, 3), (failed, spec.failed_jobs_history_limit, 1))
    found = []
    for ended, limit, default in limits:
        ended.sort(key=lambda child: child.finished_at or NEVER, reverse=True)
        found += ended[default if limit is None or limit < 0 else limit :]
    return found


def schedule_text(spec: CronWorkflowSpec) -> str:
    """All schedules with their time zone, as Argo notes them in the annotation `last-used-schedule`."""
    prefix = f"CRON_TZ={spec.timezone} " if spec.timezone else ""
    return ",".join(f"{prefix}{text}" for text in spec.schedules or ())


def last_scheduled(cron: CronWorkflow) -> datetime | None:
    """The time of the last run that was started."""
    text = status_of(cron).last_scheduled_time
    return datetime.fromisoformat(text) if text else None


def _schedules(cron: CronWorkflow) -> list[Schedule]:
    spec = spec_of(cron)
    return [parse_schedule(text, spec.timezone or "") for text in spec.schedules or ()]


def spec_of(cron: CronWorkflow) -> CronWorkflowSpec:
    """What it asks for."""
    return cron.spec or CronWorkflowSpec()


def status_of(cron: CronWorkflow) -> CronWorkflowStatus:
    """What was noted of it."""
    return cron.status or CronWorkflowStatus()


def _name(cron: CronWorkflow) -> str:
    return (cron.metadata and cron.metadata.name) or ""


def annotations_of(cron: CronWorkflow) -> dict[str, str]:
    """Its annotations."""
    return (cron.metadata and cron.metadata.annotations) or {}


def _reference(name: str, namespace: str, uid: str) -> dict[str, str]:
    holder = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    return {**holder, "name": name, "namespace": namespace, "uid": uid}


def _conditions(status: CronWorkflowStatus, without: str) -> list[Condition] | None:
    return [condition for condition in status.conditions or () if condition.type != without] or None


def _with_status(cron: CronWorkflow, **changes: Any) -> CronWorkflow:
    return cron.model_copy(update={"status": status_of(cron).model_copy(update=changes)})


def _with_metadata(cron: CronWorkflow, field: str, key: str, value: str) -> CronWorkflow:
    if cron.metadata is None:
        raise SpecError("A CronWorkflow has no metadata.", hint="Give it a name.")
    texts = {**(getattr(cron.metadata, field) or {}), key: value}
    return cron.model_copy(update={"metadata": cron.metadata.model_copy(update={field: texts})})
