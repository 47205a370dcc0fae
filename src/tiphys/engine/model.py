"""What the engine knows of a workflow: nodes, their inputs and outputs, phases.

Names and meanings are Argo's (NodeStatus, NodePhase, NodeType of its workflow_types.go); times are seconds since the
epoch. A `Node` is the engine's only persistent unit: everything else the machine holds is derived from the
specification and the nodes, so that a stored workflow can be taken up at any instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Annotation of a workflow that was retried as a whole: how often. Its tasks must not be taken for those before.
ROUND = "tiphys.dev/round"


class Phase(StrEnum):
    """Phase of a node (and, without Skipped and Omitted, of a workflow)."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    ERROR = "Error"
    OMITTED = "Omitted"

    @property
    def fulfilled(self) -> bool:
        """Whether nothing more will happen to the node."""
        return self not in (Phase.PENDING, Phase.RUNNING)

    @property
    def failed(self) -> bool:
        """Failed or Error."""
        return self in (Phase.FAILED, Phase.ERROR)


class NodeType(StrEnum):
    """What a node stands for."""

    POD = "Pod"
    CONTAINER = "Container"
    STEPS = "Steps"
    STEP_GROUP = "StepGroup"
    DAG = "DAG"
    TASK_GROUP = "TaskGroup"
    RETRY = "Retry"
    SKIPPED = "Skipped"
    SUSPEND = "Suspend"
    HTTP = "HTTP"
    PLUGIN = "Plugin"


class Reason(StrEnum):
    """Why a node is fulfilled, where the phase alone does not tell."""

    NONE = ""
    #: A cached result was used; the body was not executed.
    CACHED = "Cached"
    #: Stopped from outside or because another step failed.
    STOPPED = "Stopped"
    #: A deadline passed.
    TIMED_OUT = "TimedOut"
    #: The outputs of an earlier node with the same key were taken over.
    MEMOIZED = "Memoized"


#: An artifact as the engine passes it on: JSON it does not look into (see `records.artifacts.ArtifactRef`). Of a loop
#: it is the list of its children's, in their order.
ArtifactValue = Mapping[str, Any] | list[Any]


@dataclass(slots=True)
class Values:
    """Inputs or outputs of a node."""

    #: Name → text, as in Argo. Of a Python step: the value's JSON.
    parameters: dict[str, str] = field(default_factory=dict)
    #: Name → artifact.
    artifacts: dict[str, ArtifactValue] = field(default_factory=dict)
    #: Standard output of a script, one trailing newline trimmed.
    result: str | None = None
    exit_code: int | None = None


@dataclass(slots=True)
class Node:
    """One execution unit with a status. Retries put a Retry node over one child for each attempt."""

    #: `<workflow>-<FNV-1a of name>`; the root's is the workflow's name.
    id: str
    #: Full path: `wf`, `wf.task`, `wf.task(0)`, `wf.task(0:item)`.
    name: str
    #: Last part of the path, for people.
    display_name: str
    type: NodeType
    phase: Phase
    template: str
    #: Id of the DAG or Steps node this node was started by; None for the root.
    boundary_id: str | None = None
    #: Name of the DAG task or step that this node carries out; "" for the root.
    task_name: str = ""
    #: Zero-based number of the attempt, for children of a Retry node; 0 elsewhere.
    attempt: int = 0
    #: The Retry or TaskGroup node over this one.
    parent_id: str | None = None
    message: str = ""
    reason: Reason = Reason.NONE
    #: When work was first asked for, and when it ended; epoch seconds.
    started_at: float | None = None
    finished_at: float | None = None
    inputs: Values | None = None
    outputs: Values | None = None
    #: Belongs to an exit handler: a stopped workflow still runs it.
    hooked: bool = False
    #: Name of the lifecycle hook that this node carries out ("exit" of an exit handler); `parent_id` is its owner.
    hook: str = ""
    #: A daemon that is ready: those who wait for it go on while it runs.
    daemoned: bool = False
    #: Address of a daemon; kept after its end, it tells that it had been ready.
    ip: str = ""
    #: "n/m", as the task itself tells.
    progress: str = ""
    #: Of a memoized node: {hit, key, cacheName}.
    memo: Mapping[str, Any] | None = None
    #: Why it waits for a lock, while it does.
    waiting: str = ""


@dataclass(slots=True)
class WorkflowState:
    """Status of the whole workflow, beside its nodes."""

    uid: str
    name: str
    phase: Phase = Phase.PENDING
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    #: "", "Stop" (exit handlers still run) or "Terminate" (they do not).
    shutdown: str = ""
    #: Nothing new is started until it is resumed.
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class LeafTask:
    """One attempt of one leaf node, fully resolved: what the controller hands to a runner."""

    #: `<workflow uid>/<node id>/<attempt>`.
    id: str
    workflow_uid: str
    node_id: str
    #: The task's name in its template, with the loop's index and item where there is one.
    name: str
    #: Zero-based.
    attempt: int
    #: Of a Python step the object under `plugin.tiphys`; of another leaf its whole template (with inputs, outputs and
    #: their paths) as JSON, the tags replaced.
    body: Mapping[str, Any]
    inputs: Values
    #: Whether the engine would not try again if this attempt failed.
    last_attempt: bool = True
    #: Epoch seconds after which the engine cancels the task, if any.
    deadline: float | None = None
