"""Runs are put in order by a figure, and found by their version or machine, without a look at all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_FIGURES = ("n_frames", "n_corrupt", "n_dropped", "brightness", "saturated", "focus", "moved")


def upgrade() -> None:
    """Add the indexes."""
    for name in _FIGURES:
        where = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_runs_{name}", "runs", [name], sqlite_where=where, postgresql_where=where)
    for name in ("software_id", "host_id"):
        op.create_index(f"ix_runs_{name}", "runs", [name])
