"""Events that came in and wait for their bindings, and news of runs that wait for those who subscribed to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


class EventState(StrEnum):
    """What has become of something in a queue."""

    QUEUED = "queued"
    DONE = "done"
    #: Given up, or done with errors: a person is to look at it.
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary(Record):
    """What lists show of an event that was sent to a workspace. A view of `ReceivedEvent`, only to be read."""

    workspace: str = DEFAULT_WORKSPACE
    discriminator: str = ""
    #: What its sender calls this delivery, so that one that is sent again is known; else the id.
    delivery: str
    #: The webhook client whose signature it bore; empty for others.
    sender: str = ""
    state: EventState = EventState.QUEUED
    #: How often somebody began to carry it out.
    attempts: int = 0
    #: Who carries it out: `<host>:<pid>:<start of the process>`; empty if nobody does.
    owner: str = ""
    #: When somebody may take it, and once it has ended, when it may be removed.
    due_at: datetime
    #: Name of a binding that was met → {"workflow": name, "uid": uid} or {"error": text}.
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    #: Why the last attempt failed.
    message: str = ""
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent(EventSummary):
    """An event, whole; unique by workspace, discriminator and delivery."""

    payload: Any
    #: Headers that begin with `x-`, and attributes of CloudEvents as `ce-…`: lists of texts by lower-case name.
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSignature(Record):
    """A signature that holds for some minutes and was used: it is taken once. Unique by itself."""

    signature: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSubscription(Record):
    """Where news of a workspace's runs are posted; unique by workspace and name."""

    workspace: str = DEFAULT_WORKSPACE
    name: str
    url: str
    #: Key of the signatures, as text.
    secret: str
    #: Beginnings of the types that are wanted; all if there is none.
    types: Sequence[str] = ()
    #: Who posts its news now, and until when nobody else does.
    owner: str = ""
    due_at: datetime
    #: Why the last post failed; empty after one that did not.
    message: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNotice(Record):
    """One piece of news for one subscription; removed when it was posted. Those of a run are posted in this order."""

    subscription_id: str
    workflow_uid: str
    #: The CloudEvent's id: the same if the same news is written twice.
    event_id: str
    type: str
    source: str
    subject: str
    happened_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    state: EventState = EventState.QUEUED
    attempts: int = 0
    #: When it may be tried, and of a dead one, when it may be removed.
    due_at: datetime
    message: str = ""
