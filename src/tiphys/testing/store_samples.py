"""Records of all kinds as the store contract's tests make them: any, plain, or named."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from tiphys._util.ids import new_id
from tiphys.engine.model import Node, NodeType, Phase, Reason, Values
from tiphys.records.access import Account, ApiKey, RoleBinding, SigningKey
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import EntityType, Record
from tiphys.records.events import EventSubscription, ReceivedEvent, RunNotice, SeenSignature
from tiphys.records.logs import LogPart
from tiphys.records.metrics import MetricValue
from tiphys.records.models import ModelLink, ModelVersion, RegisteredModel
from tiphys.records.objects import StoredObject
from tiphys.records.queue import QueuedWorkflow
from tiphys.records.runs import Metadata, Pipeline, Run, StepRun
from tiphys.records.servers import KeptAnswer, ServerAddress
from tiphys.records.stacks import Component, Service, StackRecord
from tiphys.records.synchronization import LockClaim, LockLimit, Memo
from tiphys.records.tags import TagLink, TagRecord
from tiphys.records.workflows import WorkflowRemoval, WorkflowRequest, WorkflowRow

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, UTC)

KINDS: tuple[type[Record], ...] = (
    Pipeline,
    Run,
    StepRun,
    Metadata,
    Artifact,
    ArtifactVersion,
    ArtifactUse,
    RegisteredModel,
    ModelVersion,
    ModelLink,
    TagRecord,
    TagLink,
    Component,
    StackRecord,
    Service,
    StoredObject,
    LockClaim,
    LockLimit,
    Memo,
    MetricValue,
    QueuedWorkflow,
    WorkflowRemoval,
    WorkflowRequest,
    WorkflowRow,
    LogPart,
    ReceivedEvent,
    SeenSignature,
    EventSubscription,
    RunNotice,
    Account,
    RoleBinding,
    ApiKey,
    SigningKey,
    ServerAddress,
    KeptAnswer,
)

#: Kind and the fields that no two of its records share.
UNIQUE: tuple[tuple[type[Record], tuple[str, ...]], ...] = (
    (Pipeline, ("workspace", "name")),
    (Run, ("workspace", "name")),
    (StepRun, ("run_id", "name", "version")),
    (Metadata, ("entity_type", "entity_id", "key")),
    (Artifact, ("workspace", "name")),
    (StoredObject, ("kind", "namespace", "name")),
    (LockClaim, ("workflow_uid", "holder", "key")),
    (LockLimit, ("key",)),
    (QueuedWorkflow, ("workflow_uid",)),
    (Memo, ("namespace", "cache", "key")),
    (MetricValue, ("name", "key")),
    (ArtifactVersion, ("artifact_id", "version")),
    (RegisteredModel, ("workspace", "name")),
    (ModelVersion, ("model_id", "name")),
    (ModelVersion, ("model_id", "number")),
    (ModelLink, ("model_version_id", "target_type", "target_id")),
    (TagRecord, ("workspace", "name")),
    (TagLink, ("tag_id", "entity_type", "entity_id")),
    (Component, ("workspace", "type", "name")),
    (StackRecord, ("workspace", "name")),
    (ReceivedEvent, ("workspace", "discriminator", "delivery")),
    (SeenSignature, ("signature",)),
    (EventSubscription, ("workspace", "name")),
    (Account, ("name",)),
    (RoleBinding, ("account_id", "workspace")),
    (ApiKey, ("prefix",)),
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_OBJECT = st.dictionaries(st.text(max_size=5), _JSON, max_size=3)
_TIME = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 (hypothesis adds the time zones)
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    datetime: _TIME,
    Any: _JSON,
}


def _field_values(hint: Any) -> st.SearchStrategy[Any]:
    arguments = get_args(hint)
    if NoneType in arguments:
        (rest,) = (argument for argument in arguments if argument is not NoneType)
        return st.none() | _field_values(rest)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return _BY_TYPE.get(hint, _OBJECT)


def records_of(kind: type[Record]) -> st.SearchStrategy[Record]:
    """Any record of a kind, with a fresh id."""
    hints = get_type_hints(kind)
    values = {field.name: _field_values(hints[field.name]) for field in fields(kind) if field.name != "id"}
    return st.builds(kind, id=st.builds(new_id), **values)


_VALUES = st.builds(
    Values,
    parameters=st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3),
    artifacts=st.dictionaries(st.text(max_size=5), _OBJECT | st.lists(_OBJECT, max_size=3), max_size=3),
    result=st.none() | st.text(max_size=8),
    exit_code=st.none() | st.integers(-1, 255),
)
NODES = st.builds(
    Node,
    id=_TEXT,
    name=_TEXT,
    display_name=_TEXT,
    type=st.sampled_from(NodeType),
    phase=st.sampled_from(Phase),
    template=_TEXT,
    boundary_id=st.none() | _TEXT,
    task_name=_TEXT,
    attempt=st.integers(0, 100),
    parent_id=st.none() | st.text(max_size=8),
    message=st.text(max_size=8),
    reason=st.sampled_from(Reason),
    started_at=st.none() | _FLOAT,
    finished_at=st.none() | _FLOAT,
    inputs=st.none() | _VALUES,
    outputs=st.none() | _VALUES,
    hooked=st.booleans(),
)


def a_pipeline(name: str, **fields: Any) -> Pipeline:
    """A pipeline of that name."""
    return Pipeline(**{"id": new_id(), "name": name, "created_at": NOW, **fields})


def a_run(name: str, **fields: Any) -> Run:
    """A run of that name."""
    return Run(**{"id": new_id(), "name": name, "workflow_uid": new_id(), "created_at": NOW, **fields})


def an_artifact(name: str, **fields: Any) -> Artifact:
    """An artifact of that name."""
    return Artifact(**{"id": new_id(), "name": name, "created_at": NOW, **fields})


def a_metadata(key: str, value: Any, **fields: Any) -> Metadata:
    """Metadata of one run."""
    base = {"id": new_id(), "entity_type": EntityType.RUN, "entity_id": "r", "created_at": NOW}
    return Metadata(**{**base, "key": key, "value": value, **fields})


def a_workflow(uid: str, **fields: Any) -> WorkflowRow:
    """A workflow that waits."""
    return WorkflowRow(**{"id": uid, "name": "wf", "manifest": "{}", "created_at": NOW, **fields})


def a_node(name: str, **fields: Any) -> Node:
    """A running node whose id is that of its name."""
    base = {"id": f"id-{name}", "name": name, "display_name": name, "type": NodeType.PLUGIN, "phase": Phase.RUNNING}
    return Node(**{**base, "template": "t", **fields})


def sample(kind: type[Record]) -> Record:
    """A record of a kind with plain values; two of them differ in the id only."""
    hints = get_type_hints(kind)
    simple: dict[Any, Any] = {str: "x", int: 1, bool: False, datetime: NOW, Any: None}
    values: dict[str, Any] = {
        name: None if NoneType in get_args(hint) else next(iter(hint)) if _is_enum(hint) else simple.get(hint, {})
        for name, hint in hints.items()
    }
    return kind(**{**values, "id": new_id()})


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)
