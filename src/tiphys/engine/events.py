"""Events: what happened. The machine is told of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.model import Phase, Reason, Values


@dataclass(frozen=True, slots=True)
class WorkflowStarted:
    """The workflow was submitted; its entry point may start."""


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A runner (or the cache) carried out one attempt of one leaf node."""

    #: `<workflow uid>/<node id>/<attempt>`; a second report of one task is ignored.
    task_id: str
    #: Succeeded, Failed (the work said no) or Error (it could not be carried out).
    phase: Phase
    message: str = ""
    outputs: Values | None = None
    reason: Reason = Reason.NONE
    #: False forbids another attempt whatever the retry strategy says (KeyboardInterrupt, a filtered exception).
    retryable: bool = True
    #: What the recorder is to write down beside the node; the machine does not look into it.
    details: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set has passed; a timer that no longer matters is ignored."""

    key: str


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """Start nothing new.

    A stronger strategy may follow a weaker one: "Drain" lets what runs end by itself, "Stop" ends it; after both the
    exit handler runs. "Terminate" ends that too, or does not run it.
    """

    strategy: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class SuspendRequested:
    """Start nothing new."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Go on."""


Event = WorkflowStarted | TaskFinished | TimerFired | ShutdownRequested | SuspendRequested | ResumeRequested
