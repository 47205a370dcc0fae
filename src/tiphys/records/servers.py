"""What servers on one database know of each other, and of what they have answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tiphys.records.base import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress(Record):
    """Where a server is reached by others on its database. Its id is the server's name as `WorkflowRow.owner`."""

    #: `https://host:port`.
    url: str
    #: The certificate that it shows (PEM); empty for plain HTTP.
    certificate: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer(Record):
    """What was answered to a write. Its id is a digest of the write's name and of who made it."""

    status: int
    media_type: str
    body: str
    created_at: datetime
