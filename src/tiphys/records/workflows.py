"""The stored form of a workflow that the engine carries out, and what others ask of it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tiphys.records.base import DEFAULT_WORKSPACE, Record

#: Annotation of a workflow that is shown: the runner that carries out its leaves.
RUNNER_ANNOTATION = "tiphys.dev/runner"
#: Phases of workflows that have not ended.
UNFINISHED = ("Pending", "Running")
#: The runners that carry pods out, of which a submission may choose one.
POD_RUNNERS = ("sandbox", "process", "container")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSummary(Record):
    """What lists show of a workflow; its id is the workflow's uid. A view of `WorkflowRow`, only to be read."""

    name: str
    #: The namespace of Argo's API.
    workspace: str = DEFAULT_WORKSPACE
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Larger ones go first where something is scarce.
    priority: int = 0
    phase: str = "Pending"
    message: str = ""
    shutdown: str = ""
    suspended: bool = False
    #: Whether it stands in the archive alone: finished, and its name is free again.
    archived: bool = False
    #: Name of the runner that carries out its leaves.
    runner: str = "inline"
    #: Name of the pipeline that it is a run of.
    pipeline: str | None = None
    #: Who works on it: `<host>:<pid>:<start of the process>`; empty when finished.
    owner: str = ""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRow(WorkflowSummary):
    """One workflow, whole. Nodes and the outbox stand in rows of their own."""

    #: The submitted object as JSON, with its defaults merged.
    manifest: str
    #: A shutdown strategy that another process asks the owner for; empty when there is none.
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRemoval(Record):
    """A workflow that is in no list any more, as it was deleted or is archived: kept a while, to be told."""

    workflow_uid: str
    name: str
    workspace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str
    created_at: datetime
    removed_at: datetime

    @staticmethod
    def of(row: WorkflowSummary, *, id: str, now: datetime) -> WorkflowRemoval:
        """The note that a workflow is removed now."""
        return WorkflowRemoval(
            id=id,
            workflow_uid=row.id,
            name=row.name,
            workspace=row.workspace,
            labels=row.labels,
            phase=row.phase,
            created_at=row.created_at,
            removed_at=now,
        )


class WorkflowOperation(StrEnum):
    """What can be asked of a workflow that is being carried out: events of the engine."""

    #: Start nothing new.
    SUSPEND = "suspend"
    #: Go on.
    RESUME = "resume"
    #: Change one Suspend node that waits.
    SET = "set"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRequest(Record):
    """A wish for a running workflow. Its owner grants it and removes the row, both in one transaction.

    Wishes of one workflow are granted in the order of their ids.
    """

    workflow_uid: str
    operation: WorkflowOperation
    #: Of SET: the node, and what it is given.
    node_id: str = ""
    phase: str | None = None
    message: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime
