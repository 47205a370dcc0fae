"""Argo's objects, locks, memories, metrics and requests; labels, priority and archive of workflows.

Files of development versions say that they are at 0001 and have some or all of this: what is there is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: New columns of workflows, with what older rows get.
DEFAULTS = {"labels": "'{}'", "priority": "0", "archived": "false"}


def upgrade() -> None:
    found = set(sa.inspect(op.get_bind()).get_table_names())
    for table, create in TABLES.items():
        if table not in found:
            create()
    columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("workflows")]
    if not set(DEFAULTS) <= set(columns):
        _renew_workflows(columns)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_index("ix_workflows_workspace_id", "workflows")
    for column in DEFAULTS:
        op.drop_column("workflows", column)


def _renew_workflows(columns: list[str]) -> None:
    """Make the table anew, so that its columns stand in the same order as in a new database."""
    for index in sa.inspect(op.get_bind()).get_indexes("workflows"):
        op.drop_index(str(index["name"]), "workflows")
    op.rename_table("workflows", "workflows_before")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("pk_workflows", "workflows_before")
    _create_workflows()
    missing = [name for name in DEFAULTS if name not in columns]
    into = ", ".join([*columns, *missing])
    values = ", ".join([*columns, *(DEFAULTS[name] for name in missing)])
    op.execute(f"INSERT INTO workflows ({into}) SELECT {values} FROM workflows_before")
    op.drop_table("workflows_before")


def _create_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("phase", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("shutdown", TEXT, nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("runner", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("started_epoch", sa.Double(), nullable=True),
        sa.Column("finished_epoch", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
    )
    op.create_index("ix_workflows_workspace_name", "workflows", ["workspace", "name"])
    op.create_index("ix_workflows_workspace_id", "workflows", ["workspace", "id"])
    op.create_index("ix_workflows_phase_id", "workflows", ["phase", "id"])
    op.create_index("ix_workflows_owner", "workflows", ["owner"])


def _create_objects() -> None:
    op.create_table(
        "objects",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("namespace", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("resource_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_objects"),
        sa.UniqueConstraint("kind", "namespace", "name", name="uq_objects_kind_namespace_name"),
    )


def _create_requests() -> None:
    op.create_table(
        "workflow_requests",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("phase", TEXT, nullable=True),
        sa.Column("message", TEXT, nullable=True),
        sa.Column("outputs", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_requests"),
    )
    op.create_index("ix_workflow_requests_workflow_uid_id", "workflow_requests", ["workflow_uid", "id"])


def _create_lock_claims() -> None:
    op.create_table(
        "lock_claims",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lock_claims"),
        sa.UniqueConstraint("workflow_uid", "holder", "key", name="uq_lock_claims_workflow_uid_holder_key"),
    )
    op.create_index("ix_lock_claims_key_granted", "lock_claims", ["key", "granted"])


def _create_lock_limits() -> None:
    op.create_table(
        "lock_limits",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("limit_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lock_limits"),
        sa.UniqueConstraint("key", name="uq_lock_limits_key"),
    )


def _create_memos() -> None:
    op.create_table(
        "memos",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("namespace", TEXT, nullable=False),
        sa.Column("cache", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("outputs", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_memos"),
        sa.UniqueConstraint("namespace", "cache", "key", name="uq_memos_namespace_cache_key"),
    )


def _create_metrics() -> None:
    op.create_table(
        "metric_values",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metric_values"),
        sa.UniqueConstraint("name", "key", name="uq_metric_values_name_key"),
    )
    grows = sa.text("workflow_uid IS NOT NULL")
    op.create_index(
        "ix_metric_values_workflow_uid",
        "metric_values",
        ["workflow_uid"],
        sqlite_where=grows,
        postgresql_where=grows,
    )


TABLES: dict[str, Callable[[], None]] = {
    "objects": _create_objects,
    "workflow_requests": _create_requests,
    "lock_claims": _create_lock_claims,
    "lock_limits": _create_lock_limits,
    "memos": _create_memos,
    "metric_values": _create_metrics,
}
