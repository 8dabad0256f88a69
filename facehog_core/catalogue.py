"""The catalogue: which files were seen, what became of each, and what was made of it by what.

Every write is one short transaction that takes SQLite's write lock at its beginning, so at any moment one
process writes and the others wait their turn; readers see the state before or after. Tasks on Dask workers
never open it: what they find out comes back to the flow in receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session, joinedload

from .errors import CatalogueError
from .filesystems import is_network, name_filesystem
from .locks import hold
from .provenance import RunRecord, now
from .schema import UPGRADES, VERSION, Base, Event, Fate, File, Output, Recording, Run
from .source import Signature

# How long a process waits for another one's write, seconds. A write takes milliseconds.
LOCK_TIMEOUT_S = 60
# What a run's row and its record have in common.
RUN_COLUMNS = (
    "state",
    "reason",
    "changed_at",
    "attempt",
    "recipe",
    "software",
    "host",
    "started_at",
    "finished_at",
    "flow_run_id",
    "warnings",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What the catalogue knows of a path.

    Parameters
    ----------
    path : Path
    signature : Signature
        Size, time and inode when it was last looked at.
    state : Fate
    reason : str
    attempt : int
        How often a run was asked for.
    flow_run_id : str or None
        The latest of these, by Prefect's name.
    run_id : str or None
        The run that it came to.
    not_before : datetime or None
        When a waiting file may be taken up again (UTC), if its run was given back.
    """

    path: Path
    signature: Signature
    state: Fate
    reason: str
    attempt: int
    flow_run_id: str | None
    run_id: str | None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEvent:
    """A step in a file's story: since when it was in which state, and why."""

    at: datetime
    state: Fate
    reason: str


class Catalogue:
    """The catalogue at a URL of SQLAlchemy's form.

    Parameters
    ----------
    url : str
        ``sqlite:////absolute/path/catalogue.db``.
    create : bool, optional
        Whether to make it if it is not there.

    Notes
    -----
    One that an older facehog made is brought to this version, with all that is in it.

    Raises
    ------
    CatalogueError
        If it is not there, cannot be opened, is no catalogue, was made by a newer facehog, or lives on a network
        file system, where SQLite's locks cannot be trusted.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self._engine = _make_engine(url, create=create)
        try:
            if create:
                self._create()
            self._upgrade()
            self._check()
        except (DatabaseError, OSError) as error:
            raise CatalogueError(
                self.location,
                f"the catalogue cannot be opened: {getattr(error, 'orig', error)}",
                "Check the folder and its rights.",
            ) from error

    def _create(self) -> None:
        Path(self.location).parent.mkdir(parents=True, exist_ok=True)
        # Turning to WAL is the one write that does not wait for its turn ("database is locked").
        with hold(self.location, "creation"):
            if self._read_version() == 0 and self._is_empty():
                with self._engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                with self._begin("IMMEDIATE") as session:
                    Base.metadata.create_all(session.connection())
                    session.execute(text(f"PRAGMA user_version = {VERSION}"))

    def _upgrade(self) -> None:
        if self._read_version() not in UPGRADES:
            return
        with hold(self.location, "creation"), self._begin("IMMEDIATE") as session:
            # Looked at again: whoever held the lock before may have done it.
            found = int(session.scalar(text("PRAGMA user_version")) or 0)
            for version in range(found, VERSION):
                for statement in UPGRADES[version]:
                    session.execute(text(statement))
            session.execute(text(f"PRAGMA user_version = {VERSION}"))

    def _check(self) -> None:
        found = self._read_version()
        if found == 0:
            raise CatalogueError(
                self.location, "this is no catalogue of facehog", "Set `catalogue` to a file of its own."
            )
        if found != VERSION:
            raise CatalogueError(
                self.location,
                f"this is a catalogue of version {found}; this facehog reads version {VERSION}",
                "Use the facehog that made it, or another file.",
            )

    def _read_version(self) -> int:
        with self._begin() as session:
            return int(session.scalar(text("PRAGMA user_version")) or 0)

    def _is_empty(self) -> bool:
        with self._begin() as session:
            return not session.scalar(text("SELECT count(*) FROM sqlite_master"))

    @property
    def location(self) -> str:
        """Where the catalogue is, for messages."""
        return self._engine.url.database or str(self._engine.url)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- what the sensor and the flow write ---------------------------------------------------------------

    def set_fate(
        self,
        path: Path,
        state: Fate,
        reason: str,
        *,
        signature: Signature | None = None,
        attempt: int | None = None,
        flow_run_id: str | None = None,
        run_id: str | None = None,
        not_before: datetime | None = None,
        forget_run: bool = False,
        only_from: FileRecord | Literal["unseen"] | None = None,
    ) -> bool:
        """Record what becomes of a file, and add it to the file's story.

        Parameters
        ----------
        path : Path
        state : Fate
        reason : str
            Why, in words.
        signature : Signature, optional
            What the file looks like now; needed the first time that a path is named.
        attempt : int, optional
        flow_run_id, run_id : str, optional
        not_before : datetime, optional
            When a waiting file may be taken up again, at the earliest.
        forget_run : bool, optional
            The run that it came to does not count any more; nor does it where the file looks different.
        only_from : FileRecord or "unseen", optional
            Do nothing unless the file is still in this state, by the same flow run, or is still not known:
            whoever looked and then decided must not overwrite what another process found out in between.

        Returns
        -------
        bool
            Whether it was recorded.
        """
        with self._begin("IMMEDIATE") as session:
            file = session.scalar(select(File).where(File.path == str(path)))
            if only_from is not None and not _is_as_seen(file, only_from):
                return False
            moment = now()
            if file is None:
                file = File(path=str(path), first_seen_at=moment, attempt=0)
                session.add(file)
            elif file.run and file.run.state == Fate.RUNNING:
                # The run of a file that does not run does not run either, though it could not say so itself.
                file.run.state, file.run.reason, file.run.changed_at = state, reason, moment
            looks_different = signature is not None and _look(file, signature)
            if forget_run or looks_different:
                file.run_id = None
            file.attempt = file.attempt if attempt is None else attempt
            file.flow_run_id = flow_run_id or file.flow_run_id
            file.run_id = run_id or file.run_id
            _turn(file, state, reason, moment)
            file.not_before = not_before
            return True

    def record(self, record: RunRecord) -> None:
        """Record a run as it stands now, with its recording, its output and the fate of the file it reads.

        Parameters
        ----------
        record : RunRecord
            Needs `run_id`, `digest` and `started_at`.
        """
        with self._begin("IMMEDIATE") as session:
            if session.get(Recording, record.digest) is None:
                session.add(Recording(digest=record.digest, name=record.path.name, size_bytes=record.size_bytes))
            session.flush()
            run = session.get(Run, record.run_id) or Run(run_id=record.run_id, digest=record.digest, stream={})
            session.add(run)
            for name in RUN_COLUMNS:
                setattr(run, name, getattr(record, name))
            # A run that failed before it read anything keeps what was read of the recording before.
            run.stream = record.stream or run.stream
            run.path = str(record.path)
            run.output = _output(record)
            session.flush()
            file = session.scalar(select(File).where(File.path == run.path)) or _file_of(record)
            session.add(file)
            file.run_id = record.run_id
            _turn(file, Fate(record.state), record.reason, record.changed_at)

    # -- what everybody asks ------------------------------------------------------------------------------

    def files(self) -> dict[Path, FileRecord]:
        """Return every file that was ever seen."""
        with self._begin() as session:
            return {Path(file.path): _file_record(file) for file in session.scalars(select(File))}

    def file(self, path: Path) -> FileRecord | None:
        """Return what is known of one path, or None."""
        with self._begin() as session:
            found = session.scalar(select(File).where(File.path == str(path)))
            return _file_record(found) if found else None

    def story(self, path: Path) -> list[StoryEvent]:
        """Return the story of one path, oldest first; empty if it was never seen."""
        query = select(Event).join(File).where(File.path == str(path)).order_by(Event.id)
        with self._begin() as session:
            return [
                StoryEvent(at=step.at, state=Fate(step.state), reason=step.reason) for step in session.scalars(query)
            ]

    def find(self, filters: Mapping[str, str] | None = None) -> list[RunRecord]:
        """Find files and runs.

        Parameters
        ----------
        filters : mapping of str to str, optional
            All must hold. ``state`` (several by commas), ``name`` and ``path`` (with ``*``, ``?`` and ``[...]``),
            ``run`` and ``digest`` (their beginning), ``since`` and ``until`` (of the last change; ``2026-11-21``,
            a whole day, or ``2026-11-21T08:00``; UTC), ``warnings`` (``yes`` or ``no``).

        Returns
        -------
        list of RunRecord
            One for each file with the run that it came to, and one for each earlier run of it; newest first.

        Raises
        ------
        CatalogueError
            If a filter is not known or its value cannot be read.
        """
        with self._begin() as session:
            files = select(File).outerjoin(File.run).where(*_conditions(File, filters or {}))
            files = files.options(joinedload(File.run).joinedload(Run.recording)).options(
                joinedload(File.run).joinedload(Run.output)
            )
            runs = select(Run).where(*_conditions(Run, filters or {})).where(~_is_current(Run))
            runs = runs.options(joinedload(Run.recording), joinedload(Run.output))
            found = [_run_record(file, file.run) for file in session.scalars(files)]
            found += [_run_record(None, run) for run in session.scalars(runs)]
        return sorted(found, key=lambda record: record.changed_at, reverse=True)

    def run(self, run_id: str) -> RunRecord:
        """Return one run by its name or the beginning of it.

        Raises
        ------
        CatalogueError
            If there is none, or more than one.
        """
        with self._begin() as session:
            found = session.scalars(select(Run).where(Run.run_id.startswith(run_id, autoescape=True))).all()
            if len(found) == 1:
                return _run_record(None, found[0])
        raise CatalogueError(
            self.location,
            f"{'no run' if not found else f'{len(found)} runs'} of the catalogue "
            f"{'begins' if not found else 'begin'} with {run_id!r}",
            "See `facehog find` for the runs that there are.",
        )

    def knows_run(self, run_id: str) -> bool:
        """Say whether the catalogue has a row of the run."""
        with self._begin() as session:
            return session.get(Run, run_id) is not None

    @contextmanager
    def _begin(self, mode: str = "DEFERRED") -> Iterator[Session]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"BEGIN {mode}")
            with Session(connection) as session, session.begin():
                yield session
            connection.commit()


def _make_engine(url: str, *, create: bool) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise CatalogueError(url, "this is no database URL", "Write it as sqlite:///catalogue.db.") from error
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise CatalogueError(url, "the catalogue must be a SQLite file", "Write it as sqlite:///catalogue.db.")
    path = Path(str(parsed.database))
    if not create and not path.exists():
        raise CatalogueError(
            path,
            "there is no catalogue yet",
            "`facehog up` and `facehog process` make it when they first run.",
        )
    if is_network(kind := name_filesystem(path)):
        raise CatalogueError(
            path,
            f"it would live on a network file system ({kind}), where SQLite's locks cannot be trusted",
            "Set `catalogue` to a folder on a disk of this machine.",
        )
    engine = create_engine(parsed, connect_args={"timeout": LOCK_TIMEOUT_S})
    event.listen(engine, "connect", _set_up_connection)
    return engine


def _set_up_connection(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # What was recorded is on the disk when the call returns, also after a power cut.
    connection.execute("PRAGMA synchronous = FULL")


def _is_as_seen(file: File | None, seen: FileRecord | Literal["unseen"]) -> bool:
    if file is None or seen == "unseen":
        return file is None and seen == "unseen"
    return (file.state, file.flow_run_id) == (seen.state, seen.flow_run_id)


def _look(file: File, signature: Signature) -> bool:
    """Note what a file looks like, and say whether that is news."""
    before = file.size_bytes, file.mtime_ns, file.inode
    file.size_bytes, file.mtime_ns, file.inode = signature.size_bytes, signature.mtime_ns, str(signature.inode)
    return before != (file.size_bytes, file.mtime_ns, file.inode)


def _file_of(record: RunRecord) -> File:
    """Make the row of a file that is known from its store alone."""
    return File(
        path=str(record.path),
        size_bytes=record.size_bytes,
        mtime_ns=record.stream.get("mtime_ns", 0),
        inode="0",
        first_seen_at=record.changed_at,
        attempt=record.attempt,
        flow_run_id=record.flow_run_id,
    )


def _turn(file: File, state: Fate, reason: str, moment: datetime) -> None:
    """Put a file into a state, and add the step to its story unless nothing is new."""
    if (file.state, file.reason) != (state, reason):
        file.events.append(Event(at=moment, state=state, reason=reason))
    file.state, file.reason, file.changed_at, file.not_before = state, reason, moment, None


def _output(record: RunRecord) -> Output | None:
    if record.store is None:
        return None
    return Output(
        run_id=record.run_id,
        store=str(record.store),
        size_bytes=record.store_size_bytes,
        n_frames=record.n_frames,
        n_corrupt=record.n_corrupt,
        n_dropped=record.n_dropped,
        grey=record.grey,
        arrays=record.arrays,
        timing=record.timing,
    )


def _is_current(run: type[Run]) -> ColumnElement[bool]:
    return select(File.id).where(File.run_id == run.run_id).exists()


def _conditions(table: type[File] | type[Run], filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [_condition(table, name, value) for name, value in filters.items()]


def _condition(table: type[File] | type[Run], name: str, value: str) -> ColumnElement[bool]:
    match name:
        case "state":
            return table.state.in_([_read_fate(part) for part in value.split(",")])
        case "path":
            return table.path.op("GLOB")(value)
        case "name":
            return _name(table).op("GLOB")(value)
        case "run":
            return table.run_id.startswith(value, autoescape=True)
        case "digest":
            return Run.digest.startswith(value, autoescape=True)
        case "since":
            return table.changed_at >= _read_moment(name, value, of_day=time.min)
        case "until":
            return table.changed_at <= _read_moment(name, value, of_day=time.max)
        case "warnings":
            # A file that no run has taken up has none.
            return (func.coalesce(func.json_array_length(Run.warnings), 0) > 0) == _read_yes_or_no(name, value)
    raise CatalogueError(
        name, f"there is no filter {name!r}", "Choose from state, name, path, run, digest, since, until, warnings."
    )


def _name(table: type[File] | type[Run]) -> ColumnElement[str]:
    """Return the last part of a path: SQLite has no function for it, and ``*`` would match folders too."""
    folder = func.rtrim(table.path, func.replace(table.path, os.sep, ""))
    return func.substr(table.path, func.length(folder) + 1)


def _read_fate(text: str) -> Fate:
    try:
        return Fate(text.strip())
    except ValueError as error:
        raise CatalogueError("state", f"there is no state {text!r}", f"Choose from {', '.join(Fate)}.") from error


def _read_yes_or_no(name: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise CatalogueError(name, f"{text!r} is neither yes nor no", f"Write it as {name}=yes or {name}=no.")
    return text == "yes"


def _read_moment(name: str, text: str, of_day: time) -> datetime:
    """Read a moment; of a day alone it is the beginning or the end."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CatalogueError(
            name, f"{text!r} is no date", "Write it as 2026-11-21 or 2026-11-21T08:00 (UTC)."
        ) from error
    if _is_day(text):
        moment = datetime.combine(moment, of_day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _file_record(file: File) -> FileRecord:
    return FileRecord(
        path=Path(file.path),
        signature=Signature(size_bytes=file.size_bytes, mtime_ns=file.mtime_ns, inode=int(file.inode)),
        state=Fate(file.state),
        reason=file.reason,
        attempt=file.attempt,
        flow_run_id=file.flow_run_id,
        run_id=file.run_id,
        not_before=file.not_before,
    )


def _run_record(file: File | None, run: Run | None) -> RunRecord:
    """Join what is known: the file's own fate comes before that of the run which it came to."""
    told = file or run
    assert told is not None
    output = run.output if run else None
    return RunRecord(
        path=Path(told.path),
        state=told.state,
        reason=told.reason,
        changed_at=told.changed_at,
        size_bytes=file.size_bytes if file else run.recording.size_bytes if run else 0,
        run_id=run.run_id if run else None,
        digest=run.digest if run else None,
        stream=run.stream if run else {},
        recipe=run.recipe if run else {},
        software=run.software if run else {},
        host=run.host if run else {},
        attempt=told.attempt,
        started_at=run.started_at if run else None,
        finished_at=run.finished_at if run else None,
        n_frames=output.n_frames if output else None,
        n_corrupt=output.n_corrupt if output else None,
        n_dropped=output.n_dropped if output else None,
        grey=output.grey if output else [],
        store=Path(output.store) if output else None,
        store_size_bytes=output.size_bytes if output else None,
        arrays=output.arrays if output else {},
        timing=output.timing if output else {},
        warnings=run.warnings if run else [],
        flow_run_id=told.flow_run_id,
    )
