"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = (
    "pipelines",
    "runs",
    "step_runs",
    "metadata",
    "artifacts",
    "artifact_versions",
    "artifact_uses",
    "models",
    "model_versions",
    "model_links",
    "tags",
    "tag_links",
    "components",
    "stacks",
    "services",
    "workflows",
    "nodes",
    "outbox",
)


def upgrade() -> None:
    _create_runs()
    _create_artifacts()
    _create_models()
    _create_tags()
    _create_stacks()
    _create_workflows()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_runs() -> None:
    op.create_table(
        "pipelines",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipelines"),
        sa.UniqueConstraint("workspace", "name", name="uq_pipelines_workspace_name"),
    )
    op.create_table(
        "runs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("pipeline_id", TEXT, nullable=True),
        sa.Column("pipeline_name", TEXT, nullable=True),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("stack", TEXT, nullable=False),
        sa.Column("spec_digest", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("config", TEXT, nullable=False),
        sa.Column("model_version_id", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("workspace", "name", name="uq_runs_workspace_name"),
    )
    op.create_index("ix_runs_pipeline_id_created_at_id", "runs", ["pipeline_id", "created_at", "id"])
    op.create_index("ix_runs_pipeline_id_id", "runs", ["pipeline_id", "id"])
    op.create_index("ix_runs_pipeline_name_id", "runs", ["pipeline_name", "id"])
    op.create_index("ix_runs_status_id", "runs", ["status", "id"])
    op.create_index("ix_runs_workflow_uid", "runs", ["workflow_uid"])
    op.create_index("ix_runs_model_version_id", "runs", ["model_version_id"])
    op.create_table(
        "step_runs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("code_digest", TEXT, nullable=False),
        sa.Column("cache_key", TEXT, nullable=True),
        sa.Column("cache_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("cache_parts", TEXT, nullable=False),
        sa.Column("original_step_run_id", TEXT, nullable=True),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("outputs", TEXT, nullable=False),
        sa.Column("exception", TEXT, nullable=True),
        sa.Column("log_digest", TEXT, nullable=True),
        sa.Column("hook_errors", TEXT, nullable=False),
        sa.Column("model_version_id", TEXT, nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_step_runs"),
        sa.UniqueConstraint("run_id", "name", "version", name="uq_step_runs_run_id_name_version"),
    )
    has_key = sa.text('"cache_key" IS NOT NULL')
    op.create_index(
        "ix_step_runs_cache_key_id", "step_runs", ["cache_key", "id"], sqlite_where=has_key, postgresql_where=has_key
    )
    op.create_table(
        "metadata",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("entity_type", TEXT, nullable=False),
        sa.Column("entity_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=True),
        sa.Column("step_run_id", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metadata"),
        sa.UniqueConstraint("entity_type", "entity_id", "key", name="uq_metadata_entity_type_entity_id_key"),
    )


def _create_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("has_custom_name", sa.Boolean(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("workspace", "name", name="uq_artifacts_workspace_name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "artifact_versions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("artifact_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("uri", TEXT, nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("materializer", TEXT, nullable=False),
        sa.Column("data_type", TEXT, nullable=False),
        sa.Column("save_type", TEXT, nullable=False),
        sa.Column("visualizations", TEXT, nullable=False),
        sa.Column("producer_step_run_id", TEXT, nullable=True),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifact_versions"),
        sa.UniqueConstraint("artifact_id", "version", name="uq_artifact_versions_artifact_id_version"),
    )
    op.create_index("ix_artifact_versions_run_id", "artifact_versions", ["run_id"])
    op.create_table(
        "artifact_uses",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("step_run_id", TEXT, nullable=False),
        sa.Column("artifact_version_id", TEXT, nullable=False),
        sa.Column("direction", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("step_run_id", "id", name="pk_artifact_uses"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_artifact_uses_artifact_version_id", "artifact_uses", ["artifact_version_id"])


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("card", TEXT, nullable=False),
        sa.Column("save_models_to_registry", sa.Boolean(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("workspace", "name", name="uq_models_workspace_name"),
    )
    op.create_table(
        "model_versions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("model_name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_versions"),
        sa.UniqueConstraint("model_id", "name", name="uq_model_versions_model_id_name"),
        sa.UniqueConstraint("model_id", "number", name="uq_model_versions_model_id_number"),
    )
    op.create_index("ix_model_versions_model_id_stage", "model_versions", ["model_id", "stage"])
    op.create_table(
        "model_links",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("model_version_id", TEXT, nullable=False),
        sa.Column("target_type", TEXT, nullable=False),
        sa.Column("target_id", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_links"),
        sa.UniqueConstraint(
            "model_version_id", "target_type", "target_id", name="uq_model_links_model_version_id_target_type_target_id"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_model_links_target_id", "model_links", ["target_id"])


def _create_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("color", TEXT, nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("cascade", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("workspace", "name", name="uq_tags_workspace_name"),
    )
    op.create_table(
        "tag_links",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tag_id", TEXT, nullable=False),
        sa.Column("tag_name", TEXT, nullable=False),
        sa.Column("entity_type", TEXT, nullable=False),
        sa.Column("entity_id", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tag_links"),
        sa.UniqueConstraint("tag_id", "entity_type", "entity_id", name="uq_tag_links_tag_id_entity_type_entity_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_links_entity_id", "tag_links", ["entity_id"])
    op.create_index("ix_tag_links_tag_name_entity_type", "tag_links", ["tag_name", "entity_type"])


def _create_stacks() -> None:
    op.create_table(
        "components",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("flavor", TEXT, nullable=False),
        sa.Column("configuration", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_components"),
        sa.UniqueConstraint("workspace", "type", "name", name="uq_components_workspace_type_name"),
    )
    op.create_table(
        "stacks",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("components", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stacks"),
        sa.UniqueConstraint("workspace", "name", name="uq_stacks_workspace_name"),
    )
    op.create_table(
        "services",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("flavor", TEXT, nullable=False),
        sa.Column("pipeline_name", TEXT, nullable=False),
        sa.Column("step_name", TEXT, nullable=False),
        sa.Column("model_name", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
    )
    op.create_index("ix_services_workspace_name", "services", ["workspace", "name"])
    op.create_index("ix_services_run_id", "services", ["run_id"])


def _create_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("workspace", TEXT, nullable=False),
        sa.Column("manifest", TEXT, nullable=False),
        sa.Column("phase", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("shutdown", TEXT, nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("runner", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("started_epoch", sa.Double(), nullable=True),
        sa.Column("finished_epoch", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
    )
    op.create_index("ix_workflows_workspace_name", "workflows", ["workspace", "name"])
    op.create_index("ix_workflows_phase_id", "workflows", ["phase", "id"])
    op.create_index("ix_workflows_owner", "workflows", ["owner"])
    op.create_table(
        "nodes",
        sa.Column("seq", SERIAL, nullable=False, autoincrement=True),
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("phase", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("template", TEXT, nullable=False),
        sa.Column("boundary_id", TEXT, nullable=True),
        sa.Column("task_name", TEXT, nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("data", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_nodes"),
        sa.UniqueConstraint("workflow_uid", "id", name="uq_nodes_workflow_uid_id"),
    )
    op.create_table(
        "outbox",
        sa.Column("workflow_uid", TEXT, nullable=False),
        sa.Column("task_id", TEXT, nullable=False),
        sa.Column("command", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_uid", "task_id", "command", name="pk_outbox"),
        sqlite_with_rowid=False,
    )
