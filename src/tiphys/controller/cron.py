"""Starts the workflows of CronWorkflows, and keeps book of them in each one's status.

What is to be done is decided by `schedules`; `CronScheduler` carries it out. Several processes may look after the same
schedules: a time is noted as dealt with in the transaction that stores its workflow, so one of them starts it.

Where Argo's in-memory timers fire, here the times since the last one are looked up in the schedule, so a process that
slept runs the latest of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from tiphys._util.times import from_epoch, rfc3339
from tiphys.controller.cleaning import Cleaner
from tiphys.controller.schedules import (
    ABSURD,
    NEVER,
    SPEC_ERROR,
    SUBMISSION_ERROR,
    Decision,
    Refuse,
    Skip,
    Start,
    Stop,
    Terminate,
    annotations_of,
    due,
    last_scheduled,
    missed_run,
    next_due,
    reconciled,
    refused,
    schedule_text,
    sound,
    spec_of,
    started,
    status_of,
    stopped,
    surplus,
    times_between,
    used,
    was_started,
)
from tiphys.errors import AlreadyExistsError, ConflictError, NotFoundError, SpecError, TiphysError
from tiphys.ports.clock import Clock
from tiphys.ports.store import Reader, Transaction
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.base import Query
from tiphys.records.objects import ObjectKind, StoredObject, objects_of
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.backend import LocalBackend
from tiphys.services.objects import shown
from tiphys.services.stored_templates import StoredTemplates
from tiphys.services.workflows.submission import LABEL_CRON, workflow_from_cron
from tiphys.spec.library import CronWorkflow
from tiphys.spec.problems import Severity
from tiphys.spec.reading import read_document
from tiphys.spec.validate.lint import validate

_log = logging.getLogger(__name__)

#: Time between two looks at what has become of a schedule's workflows (Argo's cronSyncPeriod).
SYNC = timedelta(seconds=10)


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
            or now < watch.synchronized  # the clock was put back
        )

    def _look_at(self, stored: StoredObject, children: Sequence[WorkflowSummary], now: datetime) -> None:
        cron = cron_of(stored)
        watch = self._watch(stored, schedule_text(spec_of(cron)), now)
        changed = watch.version != stored.resource_version
        watch.version, watch.synchronized, watch.next = stored.resource_version, now, NEVER
        times = came = times_between(cron, watch.since, now, self._zone)
        missed = missed_run(cron, now, self._zone) if changed else None
        if missed is not None and missed != watch.in_vain:
            times = sorted({*came, missed})
        watch.since = max([watch.since, *came])
        watch.next = next_due(cron, watch.since, self._zone)
        children = [child for child in children if child.created_at >= stored.created_at]
        cron = self._reconcile(stored, children, now) or cron
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
        elif watch.since > now + ABSURD:
            watch.since = now
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
            if decision.by_policy:
                self._count_policy(stored, "Forbid")
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

        def claim(transaction: Transaction) -> None:
            present = self._locked(transaction, stored)
            cron = cron_of(present)
            if was_started(cron, start.scheduled, from_epoch(self._clock.now())):
                raise AlreadyExistsError(f"The run of {rfc3339(start.scheduled)} was started by another process.")
            self._write(transaction, present, started(sound(cron), None, start.scheduled))

        try:
            service = self._backend.workflows.in_namespace(stored.namespace)
            made = service.submit(workflow, SubmitOptions(strict=False, claim=claim))
            self._tell(stored, f"started {start.name}")
            self._backend.counts.add("cronworkflows_triggered_total", name=stored.name, namespace=stored.namespace)
        except AlreadyExistsError:
            self._tell(stored, f"{start.name} was started already")
        except TiphysError as error:
            return self._refuse(stored, SUBMISSION_ERROR, f"Failed to submit Workflow: {error.message}")
        self._change(stored, lambda cron: started(sound(cron), made, last_scheduled(cron) or start.scheduled))
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
            self._count_policy(stored, "Replace")
        except (NotFoundError, ConflictError):
            self._tell(stored, f"{name}, which was to be replaced, has ended")
        except TiphysError as error:
            message = f"run policy error: error stopping workflow {name}: {error.message}"
            return self._refuse(stored, SUBMISSION_ERROR, message)
        return True

    def _refuse(self, stored: StoredObject, condition: str, message: str) -> bool:
        _log.error("CronWorkflow %s/%s: %s", stored.namespace, stored.name, message)
        self._backend.counts.add("error_count", cause=f"CronWorkflow{condition}")
        self._change(stored, lambda cron: refused(cron, condition, message))
        return False

    def _count_policy(self, stored: StoredObject, policy: str) -> None:
        labels = {"name": stored.name, "namespace": stored.namespace, "concurrency_policy": policy}
        self._backend.counts.add("cronworkflows_concurrencypolicy_triggered", **labels)

    def _tell(self, stored: StoredObject, what: str) -> None:
        _log.info("CronWorkflow %s/%s: %s", stored.namespace, stored.name, what)

    def _children(self) -> Children:
        found: dict[tuple[str, str], list[WorkflowSummary]] = {}
        for row in self._backend.find(Query.of(WorkflowSummary, archived=False)):
            if LABEL_CRON in row.labels:
                found.setdefault((row.workspace, row.labels[LABEL_CRON]), []).append(row)
        return found

    def _reconcile(
        self, stored: StoredObject, children: Sequence[WorkflowSummary], now: datetime
    ) -> CronWorkflow | None:
        """Note what has become of its workflows; None if it is gone."""

        def change(cron: CronWorkflow, reader: Reader) -> CronWorkflow:
            # Read again: others may have started some since the children were looked up, and noted them.
            active = [str(one.get("uid")) for one in status_of(cron).active or ()]
            found = reader.get_many(WorkflowSummary, {*active, *(child.id for child in children)})
            return reconciled(cron, found.values(), now)

        return self._change_by(stored, change)

    def _change(self, stored: StoredObject, change: Callable[[CronWorkflow], CronWorkflow]) -> CronWorkflow | None:
        """Change status, labels and annotations of the object as it stands now; None if it is gone."""
        return self._change_by(stored, lambda cron, _: change(cron))

    def _change_by(
        self, stored: StoredObject, change: Callable[[CronWorkflow, Reader], CronWorkflow]
    ) -> CronWorkflow | None:
        """As `_change`: made of what the transaction reads, so that two processes do not count the same end twice."""
        with self._backend.store.reader() as reader:
            present = reader.get(StoredObject, stored.id)
            if present is None:
                return None
            cron = cron_of(present)
            if change(cron, reader) == cron:
                return cron
        with suppress(NotFoundError), self._backend.store.transaction() as transaction:
            present = self._locked(transaction, stored)
            cron = change(cron_of(present), transaction)
            self._write(transaction, present, cron)
            return cron
        return None

    def _locked(self, transaction: Transaction, stored: StoredObject) -> StoredObject:
        """The object as it stands now; others cannot change it before the transaction has ended.

        Raises:
            NotFoundError: it is gone.
        """
        transaction.update(StoredObject, stored.id, updated_at=from_epoch(self._clock.now()))
        present = transaction.get(StoredObject, stored.id)
        if present is None:
            raise NotFoundError(f"There is no CronWorkflow '{stored.name}'.")
        return present

    def _write(self, transaction: Transaction, present: StoredObject, cron: CronWorkflow) -> None:
        labels = (cron.metadata and cron.metadata.labels) or {}
        metadata = {**present.manifest["metadata"], "labels": labels, "annotations": annotations_of(cron)}
        changed = replace(
            present,
            labels=labels,
            manifest={**present.manifest, "metadata": metadata, "status": status_of(cron).to_json()},
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
