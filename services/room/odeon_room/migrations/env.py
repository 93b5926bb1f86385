"""Alembic's entry: runs on the connection that odeon_runtime.sql hands over."""

from alembic import context
from odeon_room.adapters.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
