"""Events that came in, signatures that were used, subscriptions, and news that wait to be posted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TABLES = ("received_events", "seen_signatures", "event_subscriptions", "run_notices")


def upgrade() -> None:
    _create_events()
    op.create_table(
        "seen_signatures",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("signature", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_seen_signatures"),
        sa.UniqueConstraint("signature", name="uq_seen_signatures_signature"),
    )
    op.create_table(
        "event_subscriptions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("types", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_subscriptions"),
        sa.UniqueConstraint("workspace", "name", name="uq_event_subscriptions_workspace_name"),
    )
    _create_notices()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_events() -> None:
    op.create_table(
        "received_events",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("discriminator", TEXT, nullable=False),
        sa.Column("delivery", TEXT, nullable=False),
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("outcomes", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("payload", TEXT, nullable=True),
        sa.Column("metadata", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_received_events"),
        sa.UniqueConstraint(
            "workspace", "discriminator", "delivery", name="uq_received_events_workspace_discriminator_delivery"
        ),
    )
    op.create_index("ix_received_events_state_due_at", "received_events", ["state", "due_at"])
    op.create_index("ix_received_events_workspace_id", "received_events", ["workspace", "id"])


def _create_notices() -> None:
    op.create_table(
        "run_notices",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("subscription_id", TEXT, nullable=False),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_notices"),
    )
    op.create_index("ix_run_notices_subscription_id_state_id", "run_notices", ["subscription_id", "state", "id"])
