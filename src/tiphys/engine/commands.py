"""Commands: what is to be done. The controller writes them down, then carries them out."""

from __future__ import annotations

from dataclasses import dataclass


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
class FinishWorkflow:
    """The workflow is fulfilled; nothing will follow."""


Command = Launch | Cancel | SetTimer | FinishWorkflow
