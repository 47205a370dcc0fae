"""Run by alembic for each command, with the connection that `upgrade` hands over. The transaction is the caller's."""

from __future__ import annotations

from alembic import context

from tiphys.db.schema import VERSION_TABLE
from tiphys.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    # SQLite changes a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
