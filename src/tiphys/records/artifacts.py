"""Artifacts and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from tiphys.records.base import DEFAULT_WORKSPACE, Record


class ArtifactType(StrEnum):
    """ZenML's kinds of artifacts."""

    DATA = "DataArtifact"
    DATA_ANALYSIS = "DataAnalysisArtifact"
    MODEL = "ModelArtifact"
    SERVICE = "ServiceArtifact"
    BASE = "BaseArtifact"


class SaveType(StrEnum):
    """How a version came to be."""

    STEP_OUTPUT = "step_output"
    MANUAL = "manual"
    PREEXISTING = "preexisting"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Record):
    """A name under which versions are kept; unique by workspace and name."""

    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: False of `pipeline::step::output`.
    has_custom_name: bool = True
    #: The highest number given to a version.
    last_number: int = 0
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactVersion(Record):
    """One version: who made it, and the digest under which its data is stored."""

    artifact_id: str
    #: The artifact's name (names do not change).
    name: str
    workspace: str = DEFAULT_WORKSPACE
    #: Text; a number unless it was given.
    version: str
    #: `version` as a number where it is one.
    number: int | None = None
    type: ArtifactType = ArtifactType.DATA
    #: `sha256:…` over the stored files.
    digest: str
    #: Bytes of the stored files.
    size: int = 0
    uri: str
    #: Name of the artifact store component that holds it.
    store: str = "default"
    #: `module:Class` of the materializer.
    materializer: str
    #: `module.qualname` of the value's type.
    data_type: str
    save_type: SaveType = SaveType.STEP_OUTPUT
    #: {name: {type: html|image|csv|markdown|json, digest}}
    visualizations: Mapping[str, Any] = field(default_factory=dict)
    producer_step_run_id: str | None = None
    run_id: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUse(Record):
    """A step run's input or output."""

    step_run_id: str
    artifact_version_id: str
    direction: str  # "in" | "out"
    #: Name of the parameter or output.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """An artifact version as it travels between nodes, runners and caches."""

    version_id: str
    #: Name of the artifact.
    name: str
    digest: str
    materializer: str
    data_type: str
    type: str = ArtifactType.DATA.value
    size: int = 0
    #: Not set while the version is not yet recorded.
    version: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: getattr(self, name) for name in _REF_FIELDS}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ArtifactRef:
        """Read what `to_json` wrote."""
        return ArtifactRef(**data)


_REF_FIELDS = tuple(each.name for each in fields(ArtifactRef))
