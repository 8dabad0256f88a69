"""The tables of the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

VERSION = 3
# What turns the tables of a version into those of the next.
UPGRADES = {
    1: (
        "ALTER TABLE runs ADD COLUMN warnings JSON DEFAULT '[]' NOT NULL",
        "ALTER TABLE outputs ADD COLUMN n_dropped BIGINT",
        "ALTER TABLE outputs ADD COLUMN timing JSON DEFAULT '{}' NOT NULL",
    ),
    2: (
        "ALTER TABLE runs ADD COLUMN stream JSON DEFAULT '{}' NOT NULL",
        "UPDATE runs SET stream = (SELECT stream FROM recordings WHERE recordings.digest = runs.digest)",
        *(
            f"ALTER TABLE recordings DROP COLUMN {name}"
            for name in ("codec", "width", "height", "n_frames", "duration_s", "stream")
        ),
    ),
}


class Fate(StrEnum):
    """What became of a file: it is exactly one of these at every moment."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to the file by itself."""
        return self not in (Fate.WAITING, Fate.QUEUED, Fate.RUNNING)


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take the zone off."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Put the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """Maps the types that the tables use."""

    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[Any]: JSON, int: BigInteger}  # noqa: RUF012


_FATES = ", ".join(f"'{fate}'" for fate in Fate)


class Recording(Base):
    """A recording's content, whatever files hold it."""

    __tablename__ = "recordings"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    size_bytes: Mapped[int]
    runs: Mapped[list[Run]] = relationship(back_populates="recording")


class Run(Base):
    """A recipe on a recording's content. Attempts share a row: their story is in the events of the file."""

    __tablename__ = "runs"
    __table_args__ = (CheckConstraint(f"state IN ({_FATES})", name="state_is_a_fate"),)

    run_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("recordings.digest"), index=True)
    path: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    changed_at: Mapped[datetime]
    attempt: Mapped[int]
    recipe: Mapped[dict[str, Any]]
    software: Mapped[dict[str, Any]]
    host: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    flow_run_id: Mapped[str | None]
    warnings: Mapped[list[Any]] = mapped_column(server_default="[]")
    # Of the recording, as this run read it: a file may have several streams. Empty where it could not be read.
    stream: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    recording: Mapped[Recording] = relationship(back_populates="runs")
    output: Mapped[Output | None] = relationship(back_populates="run", cascade="all, delete-orphan")


class Output(Base):
    """The store that a finished run left."""

    __tablename__ = "outputs"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), primary_key=True)
    store: Mapped[str]
    size_bytes: Mapped[int]
    n_frames: Mapped[int]
    n_corrupt: Mapped[int]
    # Null where frames are not timed by a clock, or the store was made before they were counted.
    n_dropped: Mapped[int | None]
    grey: Mapped[list[Any]]
    arrays: Mapped[dict[str, Any]]
    timing: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    run: Mapped[Run] = relationship(back_populates="output")


class File(Base):
    """A path that was ever seen in an inbox or given by hand, and its fate."""

    __tablename__ = "files"
    __table_args__ = (CheckConstraint(f"state IN ({_FATES})", name="state_is_a_fate"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    size_bytes: Mapped[int]
    mtime_ns: Mapped[int]
    # Windows has inodes beyond the 63 bits of SQLite's integers.
    inode: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    first_seen_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    attempt: Mapped[int]
    flow_run_id: Mapped[str | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.run_id"), index=True)
    # A waiting file whose run was given back is not taken up earlier.
    not_before: Mapped[datetime | None]
    run: Mapped[Run | None] = relationship()
    events: Mapped[list[Event]] = relationship(back_populates="file")


class Event(Base):
    """A step in a file's story."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    file_id: Mapped[int] = mapped_column(Integer, ForeignKey("files.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str]
    file: Mapped[File] = relationship(back_populates="events")
