"""Leases of those who carry workflows out, and the queue of workflows that wait for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    found = set(sa.inspect(op.get_bind()).get_table_names())
    # A file of a development version may say that it is older than it is.
    if "workflow_queue" not in found:
        _create_queue()
    if "leases" not in found:
        _create_leases()


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("workflow_queue")


def _create_queue() -> None:
    op.create_table(
        "workflow_queue",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("pipeline", TEXT, nullable=True),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_queue"),
        sa.UniqueConstraint("workflow_uid", name="uq_workflow_queue_workflow_uid"),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("place", TEXT, nullable=False),
        sa.Column("serving", sa.Boolean(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_leases"),
    )
