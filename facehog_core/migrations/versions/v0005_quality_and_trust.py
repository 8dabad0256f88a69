"""Runs say how good their frames are, and when their stores were verified; files what their fate hangs on."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_FIGURES = {
    "brightness": ("brightness_is_a_level", "brightness BETWEEN 0 AND 255"),
    "saturated": ("saturated_is_a_share", "saturated BETWEEN 0 AND 1"),
    "focus": ("focus_is_at_least_0", "focus >= 0"),
    "moved": ("moved_is_at_least_0", "moved >= 0"),
}
_COUNTS = ("n_frames", "n_corrupt", "n_dropped", "n_warnings")
_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add what nothing is known of in runs that were before. Histories are read when a store is verified again."""
    op.add_column("files", sa.Column("cause", _TEXT))
    about = sa.CheckConstraint("cause_about IS NULL OR cause IS NOT NULL", name="cause_is_about_something")
    op.add_column("files", sa.Column("cause_about", _TEXT, about))
    _note_causes()
    for name, (said, condition) in _FIGURES.items():
        _add(sa.Column(name, sa.Float(), sa.CheckConstraint(condition, name=said)))
    _add(sa.Column("verified_at", sa.DateTime()))
    time = sa.CheckConstraint("(verdict IS NULL) = (verified_at IS NULL)", name="verdict_is_of_a_time")
    _add(sa.Column("verdict", _TEXT, time))
    since = "(wrong_since IS NULL) = (verdict IS NULL OR verdict = 'sound')"
    said = "what_is_wrong_is_so_since_a_time"
    _add(sa.Column("wrong_since", sa.DateTime(), sa.CheckConstraint(since, name=said)))
    op.create_index("ix_runs_verified_at", "runs", ["verified_at"])
    known = sa.text("wrong_since IS NOT NULL")
    op.create_index("ix_runs_wrong_since", "runs", ["wrong_since"], sqlite_where=known, postgresql_where=known)
    op.drop_index("ix_runs_parameters_id", "runs")
    op.create_index("ix_runs_figures", "runs", ["parameters_id", *_COUNTS, *_FIGURES])
    op.add_column("outputs", sa.Column("quality", sa.JSON()))
    op.create_table(
        "verifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("is_deep", sa.Boolean(), nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verifications"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_verifications_run_id"),
        sa.UniqueConstraint("run_id", "at", name="uq_verifications_run_id_at"),
    )


def _add(column: sa.Column[Any]) -> None:
    op.add_column("runs", column)


# Until then a fate hung on how its reason was worded.
_BY_WORDS = (
    ("vanished", "is not seen in the inbox any more;"),
    ("unread", "cannot be looked at, and is looked at again: "),
    ("sidecar", "what is to be done to it cannot be read: "),
)
_MANIFEST = re.compile(r"[^:]*\.facehog\.(?:toml|json): it says (.*?), and ")
_TIMESTAMPS = re.compile(
    r"(.*?): .*(?:Mend the file, or `timestamps` |Choose one by `column` of `timestamps`|Give the column)"
)


def _note_causes() -> None:
    """Note what fates hang on."""
    connection = op.get_bind()
    files = sa.table("files", *map(sa.column, ("id", "state", "reason", "cause", "cause_about")))
    waiting_or_refused = files.c.state.in_(["waiting", "quarantined", "failed"])
    for number, reason in connection.execute(sa.select(files.c.id, files.c.reason).where(waiting_or_refused)).all():
        cause, about = _read_reason(reason)
        if cause:
            noted = sa.update(files).where(files.c.id == number).values(cause=cause, cause_about=about)
            connection.execute(noted)


def _read_reason(reason: str) -> tuple[str | None, str | None]:
    for cause, beginning in _BY_WORDS:
        if reason.startswith(beginning):
            return cause, None
    for cause, pattern in (("manifest", _MANIFEST), ("timestamps", _TIMESTAMPS)):
        if match := pattern.match(reason):
            return cause, match.group(1)
    return None, None
