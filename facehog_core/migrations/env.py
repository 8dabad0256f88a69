"""Runs migrations on the connection that `facehog_core.migrate` has: in its transaction, all or nothing."""

from __future__ import annotations

from alembic import context

from facehog_core.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
