"""The tables as they were first made, without Alembic: here the way begins."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: no catalogue is older."""
