"""What lists of many workflows need: their labels each by itself, when they ended, and what was removed."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: Workflows whose labels are copied at once.
CHUNK = 1000


def upgrade() -> None:
    op.create_index("ix_workflows_finished_at_id", "workflows", ["finished_at", "id"])
    op.create_table(
        "workflow_removals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("phase", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_removals"),
    )
    op.create_index("ix_workflow_removals_removed_at", "workflow_removals", ["removed_at"])
    op.create_table(
        "workflow_labels",
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("workflow_uid", "key", name="pk_workflow_labels"),
        sqlite_with_rowid=False,
    )
    columns = ["key", "value", "workspace", "workflow_uid"]
    op.create_index("ix_workflow_labels_key_value_workspace_workflow_uid", "workflow_labels", columns)
    _copy_labels()


def downgrade() -> None:
    op.drop_table("workflow_labels")
    op.drop_table("workflow_removals")
    op.drop_index("ix_workflows_finished_at_id", "workflows")


def _copy_labels() -> None:
    workflows = sa.table("workflows", sa.column("id"), sa.column("workspace"), sa.column("labels"))
    names = ("workflow_uid", "key", "value", "workspace")
    labels = sa.table("workflow_labels", *(sa.column(name) for name in names))
    last = ""
    while True:
        rows = op.get_bind().execute(
            sa.select(workflows).where(workflows.c.id > last).order_by(workflows.c.id).limit(CHUNK)
        )
        found = rows.all()
        if not found:
            return
        last = found[-1].id
        op.bulk_insert(
            labels,
            [
                dict(zip(names, (row.id, key, value, row.workspace), strict=True))
                for row in found
                for key, value in json.loads(row.labels).items()
            ],
        )
