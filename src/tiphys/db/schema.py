"""The tables, described once as plain data: columns, keys, indexes.

Statements, record conversion, a fresh SQLite file and SQLAlchemy's tables (for alembic) are all derived from this
description, and none of the first three needs SQLAlchemy: importing it costs more than a hundred steps do.

There are no foreign keys: artifact versions outlive the step runs that made them, and PostgreSQL would lock a parent
row for every row of a step. `session` removes a workflow's nodes and commands together with it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints

from tiphys.errors import InvariantError, UsageError
from tiphys.records.access import Account, ApiKey, RoleBinding, SigningKey
from tiphys.records.artifacts import Artifact, ArtifactUse, ArtifactVersion
from tiphys.records.base import Record
from tiphys.records.events import EventSubscription, EventSummary, ReceivedEvent, RunNotice, SeenSignature
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
from tiphys.records.workflows import WorkflowRemoval, WorkflowRequest, WorkflowRow, WorkflowSummary

#: All revisions of the schema, oldest first; the last is the one this code works with.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
HEAD = REVISIONS[-1]
#: Where the revision is kept. Not alembic's usual name: other programs may keep theirs in the same database.
VERSION_TABLE = "tiphys_schema_version"


class ColumnType(StrEnum):
    """What a column holds, and so how values are converted."""

    TEXT = "text"
    #: Text written by people or programs; characters that a database cannot hold are replaced instead of refused.
    FREE_TEXT = "free_text"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    #: Microseconds since the epoch, UTC.
    TIME = "time"
    #: Compact JSON.
    JSON = "json"
    ENUM = "enum"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    data_type: ColumnType
    nullable: bool = False
    #: Of ENUM: the enumeration whose values are stored.
    enum: type[StrEnum] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its keys and indexes."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ("id",)
    uniques: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    #: Indexes that leave out the rows whose first column is null.
    sparse_indexes: tuple[tuple[str, ...], ...] = ()
    #: The primary key is given by the database, ascending.
    serial: bool = False
    #: Rows are small, so SQLite keeps them inside the primary key's tree (one tree less to write). Wide ones would cost
    #: more there: only trees ordered by SQLite's own row number grow without their last pages being written anew.
    clustered: bool = False

    def unique_name(self, columns: tuple[str, ...]) -> str:
        """Name of a unique constraint."""
        return f"uq_{self.name}_{'_'.join(columns)}"

    def index_name(self, columns: tuple[str, ...]) -> str:
        """Name of an index."""
        return f"ix_{self.name}_{'_'.join(columns)}"

    @property
    def primary_key_name(self) -> str:
        """Name of the primary key constraint."""
        return f"pk_{self.name}"

    def key_columns(self, constraint: str) -> tuple[str, ...]:
        """Columns of a constraint by its name; empty if it is not one of this table's."""
        if constraint == self.primary_key_name:
            return self.primary_key
        return next((columns for columns in self.uniques if self.unique_name(columns) == constraint), ())


_SCALARS: dict[Any, ColumnType] = {
    str: ColumnType.TEXT,
    int: ColumnType.INTEGER,
    bool: ColumnType.BOOLEAN,
    datetime: ColumnType.TIME,
}
_FREE_TEXT = frozenset({"message", "description"})


def _column(kind: type[Record], name: str, hint: Any) -> Column:
    arguments = get_args(hint)
    nullable = hint is Any or NoneType in arguments
    if nullable and arguments:
        (hint,) = (argument for argument in arguments if argument is not NoneType)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Column(name, ColumnType.ENUM, nullable, hint)
    if hint in _SCALARS:
        free = hint is str and name in _FREE_TEXT
        return Column(name, ColumnType.FREE_TEXT if free else _SCALARS[hint], nullable)
    if hint is Any or getattr(hint, "__origin__", None) is not None:
        return Column(name, ColumnType.JSON, nullable)
    raise InvariantError(f"{kind.__name__}.{name}: no column type for {hint!r}.")


def _columns(kind: type[Record]) -> tuple[Column, ...]:
    hints = get_type_hints(kind)
    return tuple(_column(kind, field.name, hints[field.name]) for field in fields(kind))


#: The table of each kind of record. Every look-up that the product does has an index that starts with its fields, but
#: those that come with deleting: each step pays for an index by a page in the write-ahead log.
RECORD_TABLES: dict[type[Record], Table] = {
    Pipeline: Table(name="pipelines", columns=_columns(Pipeline), uniques=(("workspace", "name"),)),
    Run: Table(
        name="runs",
        columns=_columns(Run),
        uniques=(("workspace", "name"),),
        indexes=(
            ("pipeline_id", "created_at", "id"),
            ("pipeline_id", "id"),
            ("pipeline_name", "id"),
            ("status", "id"),
            ("workflow_uid",),
            ("model_version_id",),
        ),
    ),
    StepRun: Table(
        name="step_runs",
        columns=_columns(StepRun),
        uniques=(("run_id", "name", "version"),),
        sparse_indexes=(("cache_key", "id"),),
    ),
    Metadata: Table(name="metadata", columns=_columns(Metadata), uniques=(("entity_type", "entity_id", "key"),)),
    Artifact: Table(name="artifacts", columns=_columns(Artifact), uniques=(("workspace", "name"),), clustered=True),
    ArtifactVersion: Table(
        name="artifact_versions",
        columns=_columns(ArtifactVersion),
        uniques=(("artifact_id", "version"),),
        indexes=(("run_id",),),
    ),
    # The same version may be used twice under one name (a list that holds it twice), so nothing else is unique here.
    # They are asked for by their step run; who deletes a version looks through the table.
    ArtifactUse: Table(
        name="artifact_uses",
        columns=_columns(ArtifactUse),
        primary_key=("step_run_id", "id"),
        indexes=(("artifact_version_id",),),
        clustered=True,
    ),
    RegisteredModel: Table(name="models", columns=_columns(RegisteredModel), uniques=(("workspace", "name"),)),
    ModelVersion: Table(
        name="model_versions",
        columns=_columns(ModelVersion),
        uniques=(("model_id", "name"), ("model_id", "number")),
        indexes=(("model_id", "stage"),),
    ),
    ModelLink: Table(
        name="model_links",
        columns=_columns(ModelLink),
        uniques=(("model_version_id", "target_type", "target_id"),),
        indexes=(("target_id",),),
        clustered=True,
    ),
    TagRecord: Table(name="tags", columns=_columns(TagRecord), uniques=(("workspace", "name"),)),
    TagLink: Table(
        name="tag_links",
        columns=_columns(TagLink),
        uniques=(("tag_id", "entity_type", "entity_id"),),
        indexes=(("entity_id",), ("tag_name", "entity_type")),
        clustered=True,
    ),
    Component: Table(name="components", columns=_columns(Component), uniques=(("workspace", "type", "name"),)),
    StackRecord: Table(name="stacks", columns=_columns(StackRecord), uniques=(("workspace", "name"),)),
    Service: Table(name="services", columns=_columns(Service), indexes=(("workspace", "name"), ("run_id",))),
    StoredObject: Table(name="objects", columns=_columns(StoredObject), uniques=(("kind", "namespace", "name"),)),
    WorkflowRow: Table(
        name="workflows",
        # The engine's own clock readings, beside the record's times: microseconds would not give them back exactly.
        columns=(
            *_columns(WorkflowRow),
            Column("started_epoch", ColumnType.REAL, True),
            Column("finished_epoch", ColumnType.REAL, True),
        ),
        indexes=(("workspace", "name"), ("workspace", "id"), ("phase", "id"), ("owner",), ("finished_at", "id")),
    ),
    WorkflowRemoval: Table(name="workflow_removals", columns=_columns(WorkflowRemoval), indexes=(("removed_at",),)),
    LogPart: Table(name="log_parts", columns=_columns(LogPart), indexes=(("workflow_uid", "id"),)),
    LockClaim: Table(
        name="lock_claims",
        columns=_columns(LockClaim),
        uniques=(("workflow_uid", "holder", "key"),),
        indexes=(("key", "granted"),),
    ),
    LockLimit: Table(name="lock_limits", columns=_columns(LockLimit), uniques=(("key",),)),
    Memo: Table(name="memos", columns=_columns(Memo), uniques=(("namespace", "cache", "key"),)),
    MetricValue: Table(
        name="metric_values",
        columns=_columns(MetricValue),
        uniques=(("name", "key"),),
        sparse_indexes=(("workflow_uid",),),
    ),
    WorkflowRequest: Table(
        name="workflow_requests", columns=_columns(WorkflowRequest), indexes=(("workflow_uid", "id"),)
    ),
    QueuedWorkflow: Table(name="workflow_queue", columns=_columns(QueuedWorkflow), uniques=(("workflow_uid",),)),
    ReceivedEvent: Table(
        name="received_events",
        columns=_columns(ReceivedEvent),
        uniques=(("workspace", "discriminator", "delivery"),),
        indexes=(("state", "due_at"), ("workspace", "id")),
    ),
    SeenSignature: Table(name="seen_signatures", columns=_columns(SeenSignature), uniques=(("signature",),)),
    EventSubscription: Table(
        name="event_subscriptions", columns=_columns(EventSubscription), uniques=(("workspace", "name"),)
    ),
    RunNotice: Table(name="run_notices", columns=_columns(RunNotice), indexes=(("subscription_id", "state", "id"),)),
    Account: Table(name="accounts", columns=_columns(Account), uniques=(("name",),)),
    RoleBinding: Table(name="role_bindings", columns=_columns(RoleBinding), uniques=(("account_id", "workspace"),)),
    ApiKey: Table(name="api_keys", columns=_columns(ApiKey), uniques=(("prefix",),), indexes=(("account_id",),)),
    SigningKey: Table(name="signing_keys", columns=_columns(SigningKey)),
    ServerAddress: Table(name="server_addresses", columns=_columns(ServerAddress)),
    KeptAnswer: Table(name="kept_answers", columns=_columns(KeptAnswer), indexes=(("created_at",),)),
}
#: Kinds of records that are read from another kind's table, without its wide columns.
VIEWS: dict[type[Record], Table] = {
    WorkflowSummary: RECORD_TABLES[WorkflowRow],
    EventSummary: RECORD_TABLES[ReceivedEvent],
}

NODES = Table(
    name="nodes",
    columns=(
        # Ascends in the order of first writing.
        Column("seq", ColumnType.INTEGER),
        Column("workflow_uid", ColumnType.TEXT),
        Column("id", ColumnType.TEXT),
        Column("name", ColumnType.TEXT),
        Column("type", ColumnType.TEXT),
        Column("phase", ColumnType.TEXT),
        Column("display_name", ColumnType.TEXT),
        Column("template", ColumnType.TEXT),
        Column("boundary_id", ColumnType.TEXT, True),
        Column("task_name", ColumnType.TEXT),
        Column("started_at", ColumnType.REAL, True),
        Column("finished_at", ColumnType.REAL, True),
        Column("data", ColumnType.JSON),
    ),
    primary_key=("seq",),
    uniques=(("workflow_uid", "id"),),
    serial=True,
)

OUTBOX = Table(
    name="outbox",
    columns=(
        Column("workflow_uid", ColumnType.TEXT),
        Column("task_id", ColumnType.TEXT),
        Column("command", ColumnType.TEXT),
        Column("node_id", ColumnType.TEXT),
        # Ascends in the order of writing.
        Column("seq", ColumnType.INTEGER),
    ),
    primary_key=("workflow_uid", "task_id", "command"),
    clustered=True,
)

#: Who carries workflows out, and until when that holds; all its times are the database's own.
LEASES = Table(
    name="leases",
    columns=(
        # As `WorkflowRow.owner`.
        Column("owner", ColumnType.TEXT),
        Column("place", ColumnType.TEXT),
        Column("serving", ColumnType.BOOLEAN),
        Column("beat", ColumnType.INTEGER),
        Column("expires_at", ColumnType.TIME),
    ),
    primary_key=("owner",),
)

#: The labels of workflows once more, each by itself, so that selectors are answered by an index.
LABELS = Table(
    name="workflow_labels",
    columns=(
        Column("workflow_uid", ColumnType.TEXT),
        Column("key", ColumnType.TEXT),
        Column("value", ColumnType.TEXT),
        Column("workspace", ColumnType.TEXT),
    ),
    primary_key=("workflow_uid", "key"),
    indexes=(("key", "value", "workspace", "workflow_uid"),),
    clustered=True,
)

ALL_TABLES: tuple[Table, ...] = (*RECORD_TABLES.values(), NODES, OUTBOX, LEASES, LABELS)


def table_of(kind: type[Record]) -> Table:
    """The table that keeps records of `kind`."""
    table = RECORD_TABLES.get(kind) or VIEWS.get(kind)
    if table is None:
        raise UsageError(f"{kind.__name__} is not a kind of record that is stored.")
    return table
