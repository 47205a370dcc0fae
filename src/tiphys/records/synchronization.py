"""Who holds which locks or waits for them, how many may hold one, and outputs that are remembered under a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class LockClaim(Record):
    """One lock that a node or workflow holds or waits for. All claims of a holder are granted at once."""

    #: As in Argo's status: `<namespace>/Mutex/<name>`, ….
    key: str
    workflow_uid: str
    #: Id of the node; empty for the workflow itself.
    holder: str
    #: Of the workflow: the larger ones go first, then the older workflows.
    priority: int = 0
    created_at: datetime
    granted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLimit(Record):
    """How many may hold a semaphore whose limit stands in the database; unique by key."""

    #: `<namespace>/Database/<name>`.
    key: str
    limit_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo(Record):
    """Outputs of a node, kept for those who ask for the same; unique by namespace, cache and key."""

    namespace: str = DEFAULT_WORKSPACE
    #: Of Argo the name of a ConfigMap.
    cache: str
    key: str
    node_id: str
    #: {parameters, artifacts, result, exit_code}.
    outputs: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime
