"""Which parts of logs are in an artifact store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "log_parts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("log", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("times", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_parts"),
    )
    op.create_index("ix_log_parts_workflow_uid_id", "log_parts", ["workflow_uid", "id"])


def downgrade() -> None:
    op.drop_table("log_parts")
