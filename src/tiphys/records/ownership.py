"""Which workspace a record belongs to: said by itself, or by the record that owns it.

One table for all who must keep workspaces apart: the database, which leaves out what is not asked for, and the
services, which refuse to refer to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Record
from tiphys.records.models import ModelLink, ModelVersion, RegisteredModel
from tiphys.records.objects import StoredObject
from tiphys.records.runs import Metadata, Pipeline, Run, StepRun
from tiphys.records.servers import ServerAddress
from tiphys.records.stacks import Component, Service, StackRecord
from tiphys.records.tags import TagLink, TagRecord

#: What all workspaces of a server share, also where it has a field of that name.
SHARED: frozenset[type[Record]] = frozenset({Component, StackRecord, Service, ServerAddress})

#: The kind of record behind each type of entity.
ENTITY_KINDS: Mapping[EntityType, type[Record]] = {
    EntityType.PIPELINE: Pipeline,
    EntityType.RUN: Run,
    EntityType.STEP_RUN: StepRun,
    EntityType.ARTIFACT: Artifact,
    EntityType.ARTIFACT_VERSION: ArtifactVersion,
    EntityType.MODEL: RegisteredModel,
    EntityType.MODEL_VERSION: ModelVersion,
    EntityType.SCHEDULE: StoredObject,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that holds the id of a record of `kind`, always or where `type_field` has the value `entity`."""

    field: str
    kind: type[Record]
    type_field: str = ""
    entity: str = ""


def _typed(field: str, type_field: str) -> tuple[Reference, ...]:
    return tuple(Reference(field, kind, type_field, entity.value) for entity, kind in ENTITY_KINDS.items())


#: Records without a workspace of their own → those that they belong to.
OWNERS: Mapping[type[Record], tuple[Reference, ...]] = {
    StepRun: (Reference("run_id", Run),),
    ArtifactUse: (Reference("step_run_id", StepRun),),
    Metadata: _typed("entity_id", "entity_type"),
    ModelLink: (Reference("model_version_id", ModelVersion),),
    TagLink: (Reference("tag_id", TagRecord),),
}
#: What else a record refers to; None refers to nothing.
REFERENCES: Mapping[type[Record], tuple[Reference, ...]] = {
    ArtifactVersion: (Reference("run_id", Run), Reference("producer_step_run_id", StepRun)),
    ArtifactUse: (Reference("artifact_version_id", ArtifactVersion),),
    Metadata: (Reference("step_run_id", StepRun),),
    ModelLink: _typed("target_id", "target_type"),
    TagLink: _typed("entity_id", "entity_type"),
}


def workspace_field(kind: type[Record]) -> str | None:
    """The field that names the workspace; None if an owner does, or nobody."""
    return next((name for name in ("workspace", "namespace") if name in kind.__dataclass_fields__), None)
