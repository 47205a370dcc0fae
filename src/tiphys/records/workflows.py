"""The stored form of a workflow that the engine carries out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tiphys.records.base import DEFAULT_WORKSPACE, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRow(Record):
    """One workflow; its id is the workflow's uid. Nodes and the outbox stand in rows of their own."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: The submitted object as JSON, with its defaults merged.
    manifest: str
    phase: str = "Pending"
    message: str = ""
    shutdown: str = ""
    suspended: bool = False
    #: Name of the runner that carries out its leaves.
    runner: str = "inline"
    #: Who works on it: `<host>:<pid>:<start of the process>`; empty when finished.
    owner: str = ""
    #: A shutdown strategy that another process asks the owner for; empty when there is none.
    request: str = ""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
