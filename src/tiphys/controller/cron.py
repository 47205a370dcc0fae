"""Starts the workflows of CronWorkflows, and keeps book of them in each one's status.

What is to be done is decided by pure functions; `CronScheduler` carries it out. A run's name tells its time and is
unique in the namespace, so that several processes may look after the same schedules: one of them starts it.

Semantics: argo-workflows 4.1, workflow/cron/operator.go and controller.go. Where Argo's in-memory timers fire, here the
times since the last one are looked up in the schedule, so a process that slept runs the latest of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tiphys._util.canonical import canonical_json
from tiphys._util.times import from_epoch, rfc3339, to_epoch
from tiphys.controller.cleaning import Cleaner
from tiphys.engine.expressions import evaluate_condition, evaluate_text
from tiphys.engine.model import Phase
from tiphys.errors import AlreadyExistsError, ConflictError, ExpressionError, NotFoundError, SpecError, TiphysError
from tiphys.lang import tags, when
from tiphys.lang.cron import Schedule, parse_schedule
from tiphys.ports.clock import Clock
from tiphys.ports.store import Transaction
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind, StoredObject, objects_of
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.objects import shown
from tiphys.services.stored_templates import StoredTemplates
from tiphys.services.workflows.submission import LABEL_CRON, workflow_from_cron
from tiphys.spec.library import CronWorkflow, CronWorkflowSpec, CronWorkflowStatus
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document
from tiphys.spec.status import Condition
from tiphys.spec.validate.lint import validate

_log = logging.getLogger(__name__)

#: Time between two looks at what has become of a schedule's workflows (Argo's cronSyncPeriod).
SYNC = timedelta(seconds=10)
#: Annotation: the schedules by which the last run was decided. After a change nothing that was missed is caught up.
LAST_SCHEDULE = "cronworkflows.argoproj.io/last-used-schedule"
#: Label of a CronWorkflow that its stopStrategy ended.
COMPLETED = "cronworkflows.argoproj.io/completed"
ACTIVE, STOPPED = "Active", "Stopped"
SUBMISSION_ERROR, SPEC_ERROR = "SubmissionError", "SpecError"
_NEVER = datetime.max.replace(tzinfo=UTC)
_TICK = timedelta(microseconds=1)


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
    spec, last = _spec(cron), last_scheduled(cron)
    if last is None or _annotations(cron).get(LAST_SCHEDULE) != schedule_text(spec):
        return None
    times = times_between(cron, last, now - _TICK, zone)
    deadline = spec.starting_deadline_seconds or 0
    return times[-1] if times and (now - times[-1]).total_seconds() < deadline else None


def next_due(cron: CronWorkflow, since: datetime, zone: tzinfo = UTC) -> datetime:
    """The first time after `since`; the end of all times if there is none."""
    found = [schedule.next(since.astimezone(zone)) for schedule in _schedules(cron)]
    return min((moment for moment in found if moment is not None), default=_NEVER)


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
        last = last_scheduled(cron)
        if last is not None and scheduled <= last <= now:
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


def _decide(cron: CronWorkflow, active: Sequence[str], scheduled: datetime, now: datetime) -> list[Decision]:
    spec, status = _spec(cron), _status(cron)
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
        return [Skip(scheduled, f"concurrencyPolicy is Forbid, and {active[0]} has not ended")]
    if policy == "Replace":
        return [*(Terminate(name) for name in active), start]
    return [start]


def is_wanted(cron: CronWorkflow, now: datetime) -> bool:
    """Whether the condition `when` holds: tags are filled in, and the rest is evaluated as a step's `when`.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    text = _spec(cron).when
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
    strategy = _spec(cron).stop_strategy
    if strategy is None:
        return False
    place = "spec.stopStrategy.expression"
    known = variables(cron)
    return evaluate_condition(strategy.expression or "", known, now=to_epoch(now), seed=_name(cron), where=place)


def variables(cron: CronWorkflow) -> dict[str, Any]:
    """What `when` and the stopStrategy may refer to, by dotted names (util/variables/keys/cronworkflow.go)."""
    metadata, status = cron.metadata, _status(cron)
    labels, annotations = (metadata and metadata.labels) or {}, _annotations(cron)
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
    status, found = _status(cron), {child.id: child for child in children}
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
    status = _status(cron)
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
    status = _status(cron)
    conditions = [*(_conditions(status, condition) or ()), Condition(type=condition, status="True", message=message)]
    failures = int(condition == SUBMISSION_ERROR)
    return _with_status(cron, conditions=conditions, failed=(status.failed or 0) + failures)


def sound(cron: CronWorkflow) -> CronWorkflow:
    """The schedule without the condition that says it is not valid."""
    return _with_status(cron, conditions=_conditions(_status(cron), SPEC_ERROR))


def stopped(cron: CronWorkflow) -> CronWorkflow:
    """The schedule after its stopStrategy was met."""
    return _with_metadata(_with_status(cron, phase=STOPPED), "labels", COMPLETED, "true")


def used(cron: CronWorkflow) -> CronWorkflow:
    """The schedule with a note of the schedules that a decision went by."""
    return _with_metadata(cron, "annotations", LAST_SCHEDULE, schedule_text(_spec(cron)))


def surplus(cron: CronWorkflow, children: Iterable[WorkflowSummary]) -> list[WorkflowSummary]:
    """Ended workflows beyond those that the history limits keep, which are the ones that ended last."""
    spec = _spec(cron)
    succeeded: list[WorkflowSummary] = []
    failed: list[WorkflowSummary] = []
    for child in children:
        if child.finished_at is not None:
            (succeeded if child.phase == Phase.SUCCEEDED else failed).append(child)
    limits = ((succeeded, spec.successful_jobs_history_limit, 3), (failed, spec.failed_jobs_history_limit, 1))
    found = []
    for ended, limit, default in limits:
        ended.sort(key=lambda child: child.finished_at or _NEVER, reverse=True)
        found += ended[default if limit is None or limit < 0 else limit :]
    return found


def schedule_text(spec: CronWorkflowSpec) -> str:
    """All schedules with their time zone, as Argo notes them in the annotation `last-used-schedule`."""
    prefix = f"CRON_TZ={spec.timezone} " if spec.timezone else ""
    return ",".join(f"{prefix}{text}" for text in spec.schedules or ())


def last_scheduled(cron: CronWorkflow) -> datetime | None:
    """The time of the last run that was started."""
    text = _status(cron).last_scheduled_time
    return datetime.fromisoformat(text) if text else None


def _schedules(cron: CronWorkflow) -> list[Schedule]:
    spec = _spec(cron)
    return [parse_schedule(text, spec.timezone or "") for text in spec.schedules or ()]


def _spec(cron: CronWorkflow) -> CronWorkflowSpec:
    return cron.spec or CronWorkflowSpec()


def _status(cron: CronWorkflow) -> CronWorkflowStatus:
    return cron.status or CronWorkflowStatus()


def _name(cron: CronWorkflow) -> str:
    return (cron.metadata and cron.metadata.name) or ""


def _annotations(cron: CronWorkflow) -> dict[str, str]:
    return (cron.metadata and cron.metadata.annotations) or {}


def _reference(name: str, namespace: str, uid: str) -> dict[str, str]:
    holder = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    return {**holder, "name": name, "namespace": namespace, "uid": uid}


def _conditions(status: CronWorkflowStatus, without: str) -> list[Condition] | None:
    return [condition for condition in status.conditions or () if condition.type != without] or None


def _with_status(cron: CronWorkflow, **changes: Any) -> CronWorkflow:
    return cron.model_copy(update={"status": _status(cron).model_copy(update=changes)})


def _with_metadata(cron: CronWorkflow, field: str, key: str, value: str) -> CronWorkflow:
    if cron.metadata is None:
        raise SpecError("A CronWorkflow has no metadata.", hint="Give it a name.")
    texts = {**(getattr(cron.metadata, field) or {}), key: value}
    return cron.model_copy(update={"metadata": cron.metadata.model_copy(update={field: texts})})


# Carrying it out ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Watch:
    """What this process remembers of a schedule."""

    schedules: str
    #: What came up to here has been dealt with.
    since: datetime
    #: When it is to be looked at again: for the next time, and to see what has become of its workflows.
    next: datetime
    synchronized: datetime
    #: Of the object, when it was looked at.
    version: int = 0
    #: A time that was tried in vain: it is not caught up.
    in_vain: datetime | None = None


#: The workflows of schedules, by namespace and the schedule's name.
Children = Mapping[tuple[str, str], Sequence[WorkflowSummary]]


class CronScheduler:
    """Looks after the schedules of all namespaces.

    Args:
        backend: Where they stand, and by which workflows are started.
        cleaner: Deletes the workflows that the history limits do not keep.
        clock: Time.
        zone: Of schedules that name no time zone.
        look_back: Times that came so shortly before the first look are dealt with, too.
    """

    def __init__(
        self,
        backend: LocalBackend,
        cleaner: Cleaner,
        *,
        clock: Clock,
        zone: tzinfo = UTC,
        look_back: timedelta = timedelta(0),
    ) -> None:
        self._backend = backend
        self._cleaner = cleaner
        self._clock = clock
        self._zone = zone
        self._look_back = look_back
        self._watches: dict[str, _Watch] = {}

    def look(self) -> None:
        """Start what is due, and from time to time see what has become of it; what fails is logged."""
        now = from_epoch(self._clock.now())
        crons = self._backend.find(objects_of(ObjectKind.CRON_WORKFLOW))
        present = {stored.id for stored in crons}
        self._watches = {uid: watch for uid, watch in self._watches.items() if uid in present}
        wanted = [stored for stored in crons if self._is_to_be_looked_at(stored, now)]
        children = self._children() if wanted else {}
        for stored in wanted:
            try:
                self._look_at(stored, children.get((stored.namespace, stored.name), ()), now)
            except TiphysError as error:
                _log.error("CronWorkflow %s/%s: %s", stored.namespace, stored.name, error)

    def synchronize(self) -> None:
        """See what has become of all workflows that were started."""
        for watch in self._watches.values():
            watch.synchronized = from_epoch(0)
        self.look()

    def _is_to_be_looked_at(self, stored: StoredObject, now: datetime) -> bool:
        watch = self._watches.get(stored.id)
        return (
            watch is None
            or watch.version != stored.resource_version
            or now >= min(watch.next, watch.synchronized + SYNC)
        )

    def _look_at(self, stored: StoredObject, children: Sequence[WorkflowSummary], now: datetime) -> None:
        cron = cron_of(stored)
        watch = self._watch(stored, schedule_text(_spec(cron)), now)
        changed = watch.version != stored.resource_version
        watch.version, watch.synchronized, watch.next = stored.resource_version, now, _NEVER
        times = came = times_between(cron, watch.since, now, self._zone)
        missed = missed_run(cron, now, self._zone) if changed else None
        if missed is not None and missed != watch.in_vain:
            times = sorted({*came, missed})
        watch.since = max([watch.since, *came])
        watch.next = next_due(cron, watch.since, self._zone)
        children = [child for child in children if child.created_at >= stored.created_at]
        cron = self._change(stored, lambda cron: reconciled(cron, children, now)) or cron
        if times:
            active = [child.name for child in children if child.finished_at is None]
            self._decide(stored, due(cron, active, times, now), watch)
        for child in surplus(cron, children):
            self._tell(stored, f"{child.name} is beyond its history")
            self._cleaner.delete(child)

    def _watch(self, stored: StoredObject, schedules: str, now: datetime) -> _Watch:
        """What is remembered; new schedules, and changed ones, begin now."""
        watch = self._watches.get(stored.id)
        if watch is None:
            since = max(now - self._look_back, min(stored.created_at, now))
            watch = self._watches[stored.id] = _Watch(schedules, since, now, now)
        elif watch.schedules != schedules:
            watch.schedules, watch.since = schedules, now
        return watch

    def _decide(self, stored: StoredObject, decisions: Sequence[Decision], watch: _Watch) -> None:
        """Carry decisions out until one fails; the schedule notes that it was asked."""
        self._change(stored, used)
        for decision in decisions:
            if not self._carry_out(stored, decision):
                watch.in_vain = max(one.scheduled for one in decisions if isinstance(one, Start | Refuse))
                return

    def _carry_out(self, stored: StoredObject, decision: Decision) -> bool:
        if isinstance(decision, Skip):
            self._tell(stored, f"nothing is started for {rfc3339(decision.scheduled)}: {decision.reason}")
        elif isinstance(decision, Stop):
            self._change(stored, stopped)
        elif isinstance(decision, Refuse):
            return self._refuse(stored, decision.condition, decision.message)
        elif isinstance(decision, Terminate):
            return self._terminate(stored, decision.name)
        else:
            return self._start(stored, decision)
        return True

    def _start(self, stored: StoredObject, start: Start) -> bool:
        problems = self._problems(stored)
        if problems:
            return self._refuse(stored, SPEC_ERROR, problems)
        workflow = workflow_from_cron(shown(stored), name=start.name, scheduled=start.scheduled)
        made: Manifest | None = None
        try:
            service = self._backend.workflows.in_namespace(stored.namespace)
            made = service.submit(workflow, SubmitOptions(strict=False))
            self._tell(stored, f"started {start.name}")
        except AlreadyExistsError:
            self._tell(stored, f"{start.name} was started already")
        except TiphysError as error:
            return self._refuse(stored, SUBMISSION_ERROR, f"Failed to submit Workflow: {error.message}")
        self._change(stored, lambda cron: started(sound(cron), made, start.scheduled))
        return True

    def _problems(self, stored: StoredObject) -> str:
        """Why the schedule is not valid any more: what it refers to may have changed."""
        with self._backend.store.reader() as reader:
            library = StoredTemplates(reader, stored.namespace)
            found = validate(read_document(shown(stored)), library=library, strict=False)
        return "; ".join(str(problem) for problem in found if problem.severity is Severity.ERROR)

    def _terminate(self, stored: StoredObject, name: str) -> bool:
        try:
            self._backend.workflows.in_namespace(stored.namespace).terminate(name)
            self._tell(stored, f"terminating {name}, as concurrencyPolicy is Replace")
        except (NotFoundError, ConflictError):
            self._tell(stored, f"{name}, which was to be replaced, has ended")
        except TiphysError as error:
            message = f"run policy error: error stopping workflow {name}: {error.message}"
            return self._refuse(stored, SUBMISSION_ERROR, message)
        return True

    def _refuse(self, stored: StoredObject, condition: str, message: str) -> bool:
        _log.error("CronWorkflow %s/%s: %s", stored.namespace, stored.name, message)
        self._change(stored, lambda cron: refused(cron, condition, message))
        return False

    def _tell(self, stored: StoredObject, what: str) -> None:
        _log.info("CronWorkflow %s/%s: %s", stored.namespace, stored.name, what)

    def _children(self) -> Children:
        found: dict[tuple[str, str], list[WorkflowSummary]] = {}
        for row in self._backend.find(Query.of(WorkflowSummary, archived=False)):
            if LABEL_CRON in row.labels:
                found.setdefault((row.workspace, row.labels[LABEL_CRON]), []).append(row)
        return found

    def _change(self, stored: StoredObject, change: Callable[[CronWorkflow], CronWorkflow]) -> CronWorkflow | None:
        """Change status, labels and annotations of the object as it stands now; None if it is gone.

        The change is made of what the transaction reads, so that two processes do not count the same end twice.
        """
        with self._backend.store.reader() as reader:
            present = reader.get(StoredObject, stored.id)
        if present is None:
            return None
        cron = cron_of(present)
        if change(cron) == cron:
            return cron
        with suppress(NotFoundError), self._backend.store.transaction() as transaction:
            # Keeps others from changing it before this transaction has ended.
            transaction.update(StoredObject, stored.id, updated_at=from_epoch(self._clock.now()))
            present = transaction.get(StoredObject, stored.id)
            if present is not None:
                cron = change(cron_of(present))
                self._write(transaction, present, cron)
                return cron
        return None

    def _write(self, transaction: Transaction, present: StoredObject, cron: CronWorkflow) -> None:
        labels = (cron.metadata and cron.metadata.labels) or {}
        metadata = {**present.manifest["metadata"], "labels": labels, "annotations": _annotations(cron)}
        changed = replace(
            present,
            labels=labels,
            manifest={**present.manifest, "metadata": metadata, "status": _status(cron).to_json()},
            resource_version=present.resource_version + 1,
        )
        transaction.put(changed, "kind", "namespace", "name")


def cron_of(stored: StoredObject) -> CronWorkflow:
    """A stored schedule as an object, in the present spelling.

    Raises:
        SpecError: it cannot be read.
    """
    found = read_document(shown(stored)).object
    if not isinstance(found, CronWorkflow):
        raise SpecError(f"The CronWorkflow '{stored.name}' cannot be read.", hint="See why: tiphys argo cron lint FILE")
    return found
