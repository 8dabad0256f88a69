"""Runs have warnings, and their frames times."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what nothing is known of in runs that were before."""
    op.execute("ALTER TABLE runs ADD COLUMN warnings JSON DEFAULT '[]' NOT NULL")
    op.execute("ALTER TABLE outputs ADD COLUMN n_dropped BIGINT")
    op.execute("ALTER TABLE outputs ADD COLUMN timing JSON DEFAULT '{}' NOT NULL")
