"""Parts of logs that are in an artifact store already, while the rest is being written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart(Record):
    """Some bytes of one log, which end with a line if they are not its last ones."""

    workspace: str = DEFAULT_WORKSPACE
    workflow_uid: str
    #: Which of the workflow's logs: name of the file that it is written to.
    log: str
    #: Tells the files of that name apart: an attempt whose machine died is begun anew on another one.
    origin: str
    #: First byte, and number of bytes.
    start: int
    size: int
    #: Artifact store, and the tree in it, which has the bytes as one file.
    store: str
    digest: str
    #: {"sizes": […], "times": […]}: to which size the log had grown at which epoch seconds, where its lines do not
    #: tell their times.
    times: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime
