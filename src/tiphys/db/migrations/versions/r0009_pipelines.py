"""Which workflows are runs of pipelines: rules of retention are not about those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("workflows", sa.Column("pipeline", TEXT, nullable=True))
    of_run = "SELECT pipeline_name FROM runs WHERE runs.workflow_uid = workflows.id"
    op.execute(f"UPDATE workflows SET pipeline = ({of_run})")


def downgrade() -> None:
    op.drop_column("workflows", "pipeline")
