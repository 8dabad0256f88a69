"""The tables of the catalogue.

Rows that are searched are narrow: what is only shown (`recipe`, stream, arrays, shards) is kept beside them, and what
many runs share (parameters, software, host) once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from .path_text import showable

#: The revision that these tables have; `facehog_core.migrations` leads to it from each earlier one.
REVISION = "0007"


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


class Text(TypeDecorator[str]):
    """Text; where it names a file, no name on a disk is too odd for it."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Choose how text is compared."""
        # As SQLite, PostgreSQL is to do so byte by byte: the same answers, and its indexes then serve beginnings, too.
        return dialect.type_descriptor(String(collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Take what no database takes for text."""
        return None if value is None else showable(value)


TEXT = Text()


class Base(DeclarativeBase):
    """Maps the types that the tables use, and names what constrains them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: Moment,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        int: BigInteger,
        str: TEXT,
    }


#: The columns of runs that say how they went and how good their frames are.
FIGURES = ("n_frames", "n_corrupt", "n_dropped", "n_warnings", "brightness", "saturated", "focus", "moved")
_FATES = ", ".join(f"'{fate}'" for fate in Fate)


def _key() -> Mapped[int]:
    return mapped_column(Integer, primary_key=True)


def _at_least_0(*names: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{name} >= 0", name=f"{name}_is_at_least_0") for name in names]


def _where_known(name: str) -> Index:
    where = text(f"{name} IS NOT NULL")
    return Index(f"ix_runs_{name}", name, sqlite_where=where, postgresql_where=where)


def _checked(name: str, condition: str) -> Mapped[Any]:
    """Return a column under a condition of its own: so it can be added to a table that is there."""
    return mapped_column(CheckConstraint(condition, name=name))


class Subject(Base):
    """A mouse."""

    __tablename__ = "subjects"
    __table_args__ = (CheckConstraint("name <> ''", name="name_is_given"),)

    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column(unique=True)


class Sitting(Base):
    """A session: the recordings of one subject on one day, as far as either is known."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("subject_id IS NOT NULL OR date IS NOT NULL", name="something_is_known"),
        UniqueConstraint("subject_id", "date"),
        # Null equals nothing, so these two are said apart.
        *(
            Index(
                f"uq_sessions_{given}_alone", given, unique=True, sqlite_where=text(said), postgresql_where=text(said)
            )
            for given, said in (("subject_id", "date IS NULL"), ("date", "subject_id IS NULL"))
        ),
    )

    id: Mapped[int] = _key()
    subject_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("subjects.id"))
    date: Mapped[date | None]
    subject: Mapped[Subject | None] = relationship()


class File(Base):
    """A path that was ever seen in an inbox or given by hand, and its fate."""

    __tablename__ = "files"
    __table_args__ = (
        CheckConstraint(f"state IN ({_FATES})", name="state_is_a_fate"),
        *_at_least_0("size_bytes", "attempt"),
        CheckConstraint("state NOT IN ('finished', 'duplicate') OR run_id IS NOT NULL", name="what_is_done_has_a_run"),
        CheckConstraint("not_before IS NULL OR state = 'waiting'", name="only_what_waits_rests"),
        Index(None, "state", "changed_at"),
        # Whether a file tells of a run is asked for each of them, and answered by this alone.
        Index(None, "run_id", "state"),
    )

    id: Mapped[int] = _key()
    path: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(index=True)
    session_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("sessions.id"), index=True)
    plane: Mapped[str | None]
    camera: Mapped[str | None]
    size_bytes: Mapped[int] = mapped_column(index=True)
    mtime_ns: Mapped[int]
    # Windows has inodes beyond the 63 bits of SQLite's integers.
    inode: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str]
    # Null in a catalogue that was made from the stores: they do not say it.
    first_seen_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(index=True)
    attempt: Mapped[int]
    flow_run_id: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("runs.id"))
    # What its state hangs on, where something else than the file may change that: `facehog_core.causes`.
    cause: Mapped[str | None]
    cause_about: Mapped[str | None] = _checked("cause_is_about_something", "cause_about IS NULL OR cause IS NOT NULL")
    # A waiting file whose run was given back is not taken up earlier.
    not_before: Mapped[datetime | None]
    session: Mapped[Sitting | None] = relationship()
    run: Mapped[Run | None] = relationship(foreign_keys=run_id, post_update=True)


class Event(Base):
    """A step in a file's story, and in that of the run which it had come to by then."""

    __tablename__ = "events"
    __table_args__ = (CheckConstraint(f"state IN ({_FATES})", name="state_is_a_fate"),)

    id: Mapped[int] = _key()
    file_id: Mapped[int] = mapped_column(Integer, ForeignKey("files.id"), index=True)
    run_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("runs.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str]
    file: Mapped[File] = relationship()
    run: Mapped[Run | None] = relationship()


class Recording(Base):
    """A recording's content, whatever files hold it."""

    __tablename__ = "recordings"
    __table_args__ = (*_at_least_0("size_bytes"),)

    id: Mapped[int] = _key()
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    size_bytes: Mapped[int]


class Parameters(Base):
    """What is done to a recording, as it was written down; `digest` is that in the names of runs."""

    __tablename__ = "parameters"

    id: Mapped[int] = _key()
    content: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str] = mapped_column(index=True)
    # x,y,width,height; null for the whole frame.
    crop: Mapped[str | None] = mapped_column(index=True)
    grey: Mapped[str]
    recipe: Mapped[dict[str, Any]]


class Software(Base):
    """The versions of everything that shapes a stored number."""

    __tablename__ = "software"

    id: Mapped[int] = _key()
    content: Mapped[str] = mapped_column(unique=True)
    facehog: Mapped[str | None]
    versions: Mapped[dict[str, Any]]


class Host(Base):
    """A machine, and what ran there without a say in the numbers."""

    __tablename__ = "hosts"

    id: Mapped[int] = _key()
    content: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    facts: Mapped[dict[str, Any]]


class Run(Base):
    """A recipe on a recording's content. Attempts share a row: their story is in the events of the file."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(f"state IN ({_FATES})", name="state_is_a_fate"),
        CheckConstraint("state <> 'finished' OR n_frames IS NOT NULL", name="what_is_finished_has_frames"),
        CheckConstraint("state <> 'finished' OR finished_at IS NOT NULL", name="what_is_finished_has_ended"),
        CheckConstraint("finished_at >= started_at", name="none_ends_before_it_starts"),
        CheckConstraint("verdict IN ('sound', 'wrong')", name="verdict_is_sound_or_wrong"),
        CheckConstraint("n_corrupt <= n_frames", name="no_more_are_corrupt_than_there_are"),
        *_at_least_0("attempt", "n_frames", "n_corrupt", "n_dropped", "n_warnings"),
        Index(None, "state", "changed_at"),
        # What runs are found by from among all of them: it is read in place of rows that are ten times as wide.
        Index("ix_runs_figures", "parameters_id", *FIGURES),
        # By which they are put in order. SQLite would follow one of what is always known where it is of no use.
        *(_where_known(name) for name in FIGURES if name != "n_warnings"),
        _where_known("wrong_since"),
        # Most that were never verified never finished.
        Index(None, "verified_at", "state"),
    )

    id: Mapped[int] = _key()
    run_id: Mapped[str] = mapped_column(unique=True)
    # The one that it read: others may hold the same bytes.
    file_id: Mapped[int] = mapped_column(Integer, ForeignKey("files.id"), index=True)
    recording_id: Mapped[int] = mapped_column(Integer, ForeignKey("recordings.id"), index=True)
    parameters_id: Mapped[int] = mapped_column(Integer, ForeignKey("parameters.id"))
    software_id: Mapped[int] = mapped_column(Integer, ForeignKey("software.id"), index=True)
    host_id: Mapped[int] = mapped_column(Integer, ForeignKey("hosts.id"), index=True)
    state: Mapped[str]
    reason: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(index=True)
    attempt: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    flow_run_id: Mapped[str | None]
    n_frames: Mapped[int | None]
    n_corrupt: Mapped[int | None]
    # Null where frames are not timed by a clock, or the store was made before they were counted.
    n_dropped: Mapped[int | None]
    # As many as there are rows of them: whoever lists a thousand runs is not to count them anew.
    n_warnings: Mapped[int]
    # Of the stream that it read; null where it could not be read.
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_s: Mapped[float | None]
    # Medians of what was seen of its frames: `facehog_core.quality`.
    brightness: Mapped[float | None] = _checked("brightness_is_a_level", "brightness BETWEEN 0 AND 255")
    saturated: Mapped[float | None] = _checked("saturated_is_a_share", "saturated BETWEEN 0 AND 1")
    focus: Mapped[float | None] = _checked("focus_is_at_least_0", "focus >= 0")
    moved: Mapped[float | None] = _checked("moved_is_at_least_0", "moved >= 0")
    # What its verifications come to since its store was made: whoever looks for those that are due reads no histories.
    verified_at: Mapped[datetime | None]
    verdict: Mapped[str | None] = _checked("verdict_is_of_a_time", "(verdict IS NULL) = (verified_at IS NULL)")
    wrong_since: Mapped[datetime | None] = _checked(
        "what_is_wrong_is_so_since_a_time", "(wrong_since IS NULL) = (verdict IS NULL OR verdict = 'sound')"
    )
    file: Mapped[File] = relationship(foreign_keys=file_id)
    recording: Mapped[Recording] = relationship()
    parameters: Mapped[Parameters] = relationship()
    software: Mapped[Software] = relationship()
    host: Mapped[Host] = relationship()
    details: Mapped[Details] = relationship(cascade="all, delete-orphan")
    output: Mapped[Output | None] = relationship(cascade="all, delete-orphan")
    warnings: Mapped[list[RunWarning]] = relationship(cascade="all, delete-orphan", order_by="RunWarning.number")
    verifications: Mapped[list[RunVerification]] = relationship(
        cascade="all, delete-orphan", order_by="RunVerification.at"
    )


class Details(Base):
    """What a run read of its recording: a file may have several streams. Empty where it could not be read."""

    __tablename__ = "details"

    run_id: Mapped[int] = mapped_column(Integer, ForeignKey("runs.id"), primary_key=True)
    stream: Mapped[dict[str, Any]]


class Output(Base):
    """The store that a finished run left."""

    __tablename__ = "outputs"
    __table_args__ = (*_at_least_0("size_bytes"),)

    run_id: Mapped[int] = mapped_column(Integer, ForeignKey("runs.id"), primary_key=True)
    store: Mapped[str]
    size_bytes: Mapped[int]
    grey: Mapped[list[Any]]
    arrays: Mapped[dict[str, Any]]
    timing: Mapped[dict[str, Any]]
    shards: Mapped[list[Any]]
    # All of the figures; null where nobody has looked.
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class RunWarning(Base):
    """What whoever uses the results of a run must know."""

    __tablename__ = "warnings"

    run_id: Mapped[int] = mapped_column(Integer, ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str]


class RunVerification(Base):
    """A look at the store of a run: what is written beside the store, too."""

    __tablename__ = "verifications"
    __table_args__ = (UniqueConstraint("run_id", "at"),)

    id: Mapped[int] = _key()
    run_id: Mapped[int] = mapped_column(Integer, ForeignKey("runs.id"))
    at: Mapped[datetime]
    is_deep: Mapped[bool]
    # What was found of the recording.
    source: Mapped[str]
    # A sentence each; none where all was as it was written.
    problems: Mapped[list[Any]]
