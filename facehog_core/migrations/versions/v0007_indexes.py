"""Runs are put in order by a figure, files by size, and runs found by version, machine or verification, by indexes."""

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
    op.drop_index("ix_runs_verified_at", "runs")
    op.create_index("ix_runs_verified_at_state", "runs", ["verified_at", "state"])
    op.create_index("ix_files_size_bytes", "files", ["size_bytes"])
