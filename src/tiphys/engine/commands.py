"""Commands: what is to be done. The controller writes them down, then carries them out."""

from __future__ import annotations

from dataclasses import dataclass

from tiphys.engine.model import Values


@dataclass(frozen=True, slots=True)
class Launch:
    """Ask a runner for one attempt of a leaf node (idempotent by `task_id`)."""

    task_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a task that was launched; its node is fulfilled already and what it reports is ignored."""

    task_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Send `TimerFired(key)` at `due` (epoch seconds). Derived from the nodes, so it need not be stored."""

    key: str
    due: float


@dataclass(frozen=True, slots=True)
class Lock:
    """A mutex or semaphore that a node or workflow needs."""

    #: As in Argo's status: `<namespace>/Mutex/<name>`, `<namespace>/ConfigMap/<name>/<key>`,
    #: `<namespace>/Database/<name>`.
    key: str
    #: How many may hold it; None where a ConfigMap or the database says.
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Acquire:
    """Take all of these locks at once, now or later; answered by `LocksGranted`. Idempotent by `holder`."""

    #: Id of the node; "" for the workflow itself.
    holder: str
    locks: tuple[Lock, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Give back, or no longer wait for, all locks of a holder."""

    holder: str


@dataclass(frozen=True, slots=True)
class Recall:
    """Look for memoized outputs; answered by `Recalled`."""

    node_id: str
    cache: str
    key: str
    #: Seconds; None is no bound.
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class Memorize:
    """Keep a node's outputs under a key."""

    node_id: str
    cache: str
    key: str
    outputs: Values


@dataclass(frozen=True, slots=True)
class FinishWorkflow:
    """The workflow is fulfilled; nothing will follow."""


Command = Launch | Cancel | SetTimer | Acquire | Release | Recall | Memorize | FinishWorkflow
