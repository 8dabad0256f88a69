"""Each run says what it read: a recording may have several streams."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Move the stream from recordings to their runs."""
    op.execute("ALTER TABLE runs ADD COLUMN stream JSON DEFAULT '{}' NOT NULL")
    op.execute("UPDATE runs SET stream = (SELECT stream FROM recordings WHERE recordings.digest = runs.digest)")
    for name in ("codec", "width", "height", "n_frames", "duration_s", "stream"):
        op.execute(f"ALTER TABLE recordings DROP COLUMN {name}")
