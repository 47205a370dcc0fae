"""Events: what happened. The machine is told of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
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
    #: Of a container set: container → (phase, message, exit code).
    containers: Mapping[str, tuple[Phase, str, int | None]] = field(default_factory=dict)
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
class TaskReady:
    """A daemon's task is ready: those who wait for it may go on."""

    task_id: str
    #: Where it can be reached: never empty.
    ip: str


@dataclass(frozen=True, slots=True)
class TaskProgressed:
    """A task tells how far it is."""

    task_id: str
    #: "n/m"; "" says nothing new.
    progress: str = ""
    #: For people; "" says nothing new.
    message: str = ""


@dataclass(frozen=True, slots=True)
class LocksGranted:
    """What `Acquire` asked for is held; a second grant is ignored."""

    holder: str
    #: Why it can never be held, if so.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LocksAwaited:
    """What `Acquire` asked for is held by others."""

    holder: str
    #: For people: which lock, and how many hold it.
    message: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """What `Recall` found."""

    node_id: str
    #: None if nothing was found.
    outputs: Values | None = None
    #: Why the cache cannot be used, if so.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SuspendRequested:
    """Start nothing new."""


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Go on."""

    #: Ids of the Suspend nodes that go on; None for all of them and the workflow.
    nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NodeSet:
    """A Suspend node that waits is given a phase, a message, or values that were to be supplied."""

    node_id: str
    phase: Phase | None = None
    message: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


Event = (
    WorkflowStarted
    | TaskFinished
    | TaskReady
    | TaskProgressed
    | TimerFired
    | LocksGranted
    | LocksAwaited
    | Recalled
    | ShutdownRequested
    | SuspendRequested
    | ResumeRequested
    | NodeSet
)
