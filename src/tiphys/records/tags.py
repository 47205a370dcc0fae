"""Tags and what they are put on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tiphys.records.base import DEFAULT_WORKSPACE, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecord(Record):
    """A tag; unique by workspace and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    color: str = "purple"
    #: At most one run of a pipeline (or one artifact version of an artifact) has it: the newest takes it over.
    exclusive: bool = False
    #: A run's tag is put on its outputs too.
    cascade: bool = False
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TagLink(Record):
    """A tag on an entity; unique by tag and entity."""

    tag_id: str
    #: The tag's name.
    tag_name: str
    entity_type: str
    entity_id: str
    created_at: datetime
