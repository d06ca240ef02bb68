"""Run the migrations on the connection of the caller."""

from __future__ import annotations

from alembic import context

from include.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
