"""Carries out events that wait: what an event starts is stored together with its end, so once.

A dispatcher takes events for a while (`LEASE`); if it dies meanwhile another one takes them. Whoever comes late finds
that the event is not its own any more, and keeps nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tiphys._util.times import from_epoch
from tiphys.errors import StoreError, TiphysError
from tiphys.ports.clock import Clock
from tiphys.ports.store import Store, Transaction
from tiphys.ports.workflows import Manifest, SubmitOptions
from tiphys.records.base import Query, Where
from tiphys.records.events import EventState, EventSummary, ReceivedEvent, SeenSignature
from tiphys.records.objects import ObjectKind, StoredObject, objects_of
from tiphys.records.workflows import WorkflowSummary
from tiphys.services.events.matching import is_met, workflow_of
from tiphys.services.events.service import RETENTION, SIGNATURES_KEPT
from tiphys.services.workflows.service import WorkflowService

_log = logging.getLogger("tiphys.controller.events")

#: How long an event belongs to who took it.
LEASE = timedelta(minutes=1)
#: After so many attempts an event is given up: its processes died, or the database refused it.
MOST_ATTEMPTS = 8
#: Events that are taken at once.
_BATCH = 20
#: Characters of a message that are kept.
_LONGEST = 1000


class _LostError(Exception):
    """The event belongs to somebody else by now; nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done for one event."""

    #: Binding → workflow.
    workflows: Mapping[str, Manifest]
    #: Binding → what went wrong.
    errors: Mapping[str, str]


class Dispatcher:
    """Takes events of all workspaces that are due.

    Args:
        store: The database.
        workflows: Submits.
        clock: The time.
        owner: Name of this process.
        is_alive: Whether the process of that name still runs.
        runner: What carries submitted workflows out; None for the default.
    """

    def __init__(
        self,
        store: Store,
        workflows: WorkflowService,
        *,
        clock: Clock,
        owner: str,
        is_alive: Callable[[str], bool],
        runner: str | None = None,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._clock = clock
        self._owner = owner
        self._is_alive = is_alive
        self._options = SubmitOptions(runner=runner, strict=False)
        #: Events whose transaction failed when the database was gone: it may have been kept, or not.
        self._unsure: list[tuple[ReceivedEvent, str]] = []

    def dispatch(self) -> int:
        """Carry out events that are due, some of them; returns how many were taken."""
        unsure, self._unsure = self._unsure, []
        for event, message in unsure:
            self._put_back(event, message)
        taken = self._take()
        for event in taken:
            self._carry_out(event)
        return len(taken)

    def clean(self) -> None:
        """Free events of processes that died, and remove what was kept long enough."""
        now = self._now()
        with self._store.reader() as reader:
            held = reader.find(
                Query(EventSummary, (Where("state", EventState.QUEUED), Where("due_at", now, "gt"), _OWNED))
            )
        dead = [one for one in held if not self._is_alive(one.owner)]
        with self._store.transaction() as transaction:
            for event in dead:
                mine = Query.of(ReceivedEvent, id=event.id, state=EventState.QUEUED, owner=event.owner)
                transaction.update_found(mine, owner="", due_at=now)
            for state in (EventState.DONE, EventState.DEAD):
                over = (Where("state", state), Where("due_at", now, "lt"))
                transaction.delete_found(Query(ReceivedEvent, over))
            transaction.delete_found(Query(SeenSignature, (Where("created_at", now - SIGNATURES_KEPT, "lt"),)))

    def _take(self) -> list[ReceivedEvent]:
        now = self._now()
        due = (Where("state", EventState.QUEUED), Where("due_at", now, "le"))
        with self._store.reader() as reader:
            found = reader.find(Query(ReceivedEvent, due, order="due_at", limit=_BATCH))
        if not found:
            return []
        with self._store.transaction() as transaction:
            return [event for event in found if self._claim(transaction, event, now)]

    def _claim(self, transaction: Transaction, event: ReceivedEvent, now: datetime) -> bool:
        as_it_was = Query.of(
            ReceivedEvent, id=event.id, state=EventState.QUEUED, due_at=event.due_at, attempts=event.attempts
        )
        if event.attempts >= MOST_ATTEMPTS:
            message = f"Given up after {event.attempts} attempts: {event.message or 'its process died each time'}"
            given_up = _ended(EventState.DEAD, now, message=message)
            if transaction.update_found(as_it_was, **given_up):
                _log.error("event %s: given up after %d attempts", event.id, event.attempts)
            return False
        changes = {"owner": self._owner, "attempts": event.attempts + 1, "due_at": now + LEASE}
        return transaction.update_found(as_it_was, **changes) == 1

    def _carry_out(self, event: ReceivedEvent) -> None:
        try:
            self._submit(event, self._plan(event))
        except _LostError:
            _log.info("event %s: another process has taken it", event.id)
        except StoreError as error:
            self._put_back(event, error.message)
        except Exception as error:  # noqa: BLE001  # a defect that one event shows must not keep all others waiting
            _log.exception("event %s failed", event.id)
            self._put_back(event, f"{type(error).__name__}: {error}")

    def _plan(self, event: ReceivedEvent) -> _Plan:
        """What the event starts; evaluated outside of the transaction, as expressions may take their time."""
        workflows: dict[str, Manifest] = {}
        errors: dict[str, str] = {}
        now = self._now()
        with self._store.reader() as reader:
            for binding in self._bindings(reader.find(_bindings_of(event.workspace)), event):
                try:
                    if is_met(binding, event):
                        workflows[binding.name] = workflow_of(reader, binding, event, now)
                except StoreError:
                    raise
                except TiphysError as error:
                    errors[binding.name] = _told(event, binding.name, error)
        return _Plan(workflows, errors)

    def _bindings(self, found: Sequence[StoredObject], event: ReceivedEvent) -> list[StoredObject]:
        """Those that have not submitted a workflow for this event yet."""
        submitted = {name for name, outcome in event.outcomes.items() if "workflow" in outcome}
        return [one for one in found if one.name not in submitted]

    def _submit(self, event: ReceivedEvent, plan: _Plan) -> None:
        """Store the workflows and the event's end together, then have the workflows started."""
        service = self._workflows.in_namespace(event.workspace)
        outcomes: dict[str, Any] = {name: one for name, one in event.outcomes.items() if "workflow" in one}
        outcomes |= {name: {"error": text} for name, text in plan.errors.items()}
        rows: list[WorkflowSummary] = []
        with self._store.transaction() as transaction:
            if not transaction.update_found(self._mine(event), message=""):
                raise _LostError
            for name, manifest in plan.workflows.items():
                try:
                    row = service.submit_within(transaction, manifest, self._options)
                except StoreError:
                    raise
                except TiphysError as error:
                    outcomes[name] = {"error": _told(event, name, error)}
                else:
                    outcomes[name] = {"workflow": row.name, "uid": row.id}
                    rows.append(row)
            failed = any("error" in one for one in outcomes.values())
            changes = _ended(EventState.DEAD if failed else EventState.DONE, self._now())
            transaction.update(ReceivedEvent, event.id, outcomes=outcomes, **changes)
        service.start(rows)
        uids = {row.id for row in rows}
        for name, outcome in outcomes.items():
            if outcome.get("uid") in uids:
                _log.info("event %s: %s submitted the workflow %s", event.id, name, outcome["workflow"])

    def _put_back(self, event: ReceivedEvent, message: str) -> None:
        """Have it taken again after a pause that grows, unless all was kept after all.

        Workflows that were kept then are this process's, which begins with what it finds that nobody did.
        """
        pause = timedelta(seconds=2**event.attempts)
        try:
            with self._store.transaction() as transaction:
                changes = {"owner": "", "due_at": self._now() + pause, "message": message[:_LONGEST]}
                transaction.update_found(self._mine(event), **changes)
        except StoreError as error:
            _log.warning("event %s: looking again later what has become of it: %s", event.id, error.message)
            self._unsure.append((event, message))
            return
        _log.warning("event %s: %s", event.id, message)

    def _mine(self, event: ReceivedEvent) -> Query[ReceivedEvent]:
        """The event, as long as it is the one that this process took."""
        return Query.of(
            ReceivedEvent, id=event.id, state=EventState.QUEUED, owner=self._owner, attempts=event.attempts + 1
        )

    def _now(self) -> datetime:
        return from_epoch(self._clock.now())


_OWNED = Where("owner", "", "ne")


def _bindings_of(workspace: str) -> Query[StoredObject]:
    return objects_of(ObjectKind.WORKFLOW_EVENT_BINDING, namespace=workspace)


def _ended(state: EventState, now: datetime, *, message: str = "") -> dict[str, Any]:
    """The fields of an event that has ended."""
    return {
        "state": state,
        "owner": "",
        "due_at": now + RETENTION,
        "message": message[:_LONGEST],
        "finished_at": now,
    }


def _told(event: ReceivedEvent, binding: str, error: TiphysError) -> str:
    text = f"{error.message} {error.hint}" if error.hint else error.message
    shown = text[:_LONGEST]
    # As a literal: one line, whatever the sender has written into the event.
    _log.error("event %s: the WorkflowEventBinding %s failed: %r", event.id, binding, shown)
    return shown
