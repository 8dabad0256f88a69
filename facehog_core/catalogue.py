"""The catalogue: which files were seen, what became of each, and what was made of it by what.

Tasks on Dask workers never open it: what they find out comes back to the flow in receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from .causes import Cause
from .choices import identify
from .comparison import find_comparable
from .database import Database
from .errors import CatalogueError
from .files import FileRecord, Glance, glance_at, make_cause
from .filters import Filter, check_field, parse_filter, read_sort
from .migrate import make_ready
from .names import Identity
from .path_text import as_text, from_text
from .provenance import RunRecord, now
from .queries import Question, begins_with, find_records, find_rows
from .rows import add_verifications, find_session, history_of, identity_of, read_record, write_run
from .schema import Event, Fate, File, Parameters, Run, Sitting
from .source import Signature
from .story import FileEvent, StoryEvent, tell_events, tell_run, tell_story
from .verifications import Verification

if TYPE_CHECKING:
    import pandas
    import xarray

# Takes a path and what is known already.
Identify: TypeAlias = Callable[[Path, Identity | None], Identity]

#: What is told of what is found, if nothing else is asked for.
COLUMNS = ("state", "name", "subject", "date", "run", "frames", "corrupt", "warnings", "changed", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What came of reading anew who was recorded.

    Parameters
    ----------
    n_changed : int
        Files of which something else is known now.
    n_left : int
        Files that keep what is known of them, since they are not there.
    """

    n_changed: int
    n_left: int


class Catalogue:
    """The catalogue at a URL of SQLAlchemy's form.

    Parameters
    ----------
    url : str
        ``sqlite:////absolute/path/catalogue.db``.
    create : bool, optional
        Whether to make it if it is not there.
    identify : callable, optional
        Says of a path, and of what is known already, who was recorded and when: when it is new, looks different, or
        is queued. If left out, only of one that is new, by the file beside it or the default pattern of names.

    Notes
    -----
    One that an older facehog made is brought to this version, with all that is in it.

    Raises
    ------
    CatalogueError
        If it is not there, cannot be opened, is no catalogue, was made by a newer facehog, or lives on a network
        file system, where SQLite's locks cannot be trusted.
    """

    def __init__(self, url: str, *, create: bool = False, identify: Identify | None = None) -> None:
        self._identify = identify
        self._database = Database(url, create=create)
        if create and (path := self._database.path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Otherwise SQLite makes it, such that a group may not write it whatever the umask says.
            path.touch()
        try:
            make_ready(self._database, create=create)
        except BaseException:
            self._database.close()
            raise

    @property
    def location(self) -> str:
        """Where the catalogue is: what locks are named after. It holds the password of a server."""
        return self._database.location

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

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
        identity: Identity | None = None,
        cause: Cause | None = None,
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
        identity : Identity, optional
            Who was recorded and when. Whoever must not wait for a share asks `identify_queued` before.
        cause : Cause, optional
            What the state hangs on, if that may change by itself.
        only_from : FileRecord or "unseen", optional
            Do nothing unless the file is still in this state, by the same flow run, or is still not known:
            whoever looked and then decided must not overwrite what another process found out in between.

        Returns
        -------
        bool
            Whether it was recorded.
        """
        identity = identity or self._identify_news(path, state, signature)
        with self._database.write() as session:
            file = _find_file(session, path)
            if only_from is not None and not _is_as_seen(file, only_from):
                return False
            moment = now()
            if file is None:
                file = File(path=as_text(path), name=as_text(path.name), first_seen_at=moment, attempt=0)
                session.add(file)
            # Of a run that has ended nothing more happens.
            run = file.run if file.run and file.run.state == Fate.RUNNING else None
            if run:
                # The run of a file that does not run does not run either, though it could not say so itself.
                run.state, run.reason, run.changed_at = state, reason, moment
            looks_different = signature is not None and _look(file, signature)
            if forget_run or looks_different:
                file.run = None
            file.attempt = file.attempt if attempt is None else attempt
            file.flow_run_id = flow_run_id or file.flow_run_id
            if run_id is not None:
                run = file.run = session.scalars(select(Run).where(Run.run_id == run_id)).one()
            if step := _turn(session, file, state, reason, moment, cause):
                step.run = run
            file.not_before = not_before
            if identity:
                _identify_file(session, file, identity)
            return True

    def _identify_news(self, path: Path, state: Fate, signature: Signature | None) -> Identity | None:
        """Say who was recorded if that is to be noted: before the turn to write, since a share may take its time."""
        known = self.file(path)
        if known is None:
            return (self._identify or identify)(path, None)
        is_news = state is Fate.QUEUED or signature not in (None, known.signature)
        return self._identify(path, known.identity) if self._identify and is_news else None

    def identify_queued(self, file: FileRecord) -> Identity | None:
        """Say who was recorded, as it is noted of a file that is queued; None if nobody told how."""
        return self._identify(file.path, file.identity) if self._identify else None

    def identify_all(self) -> Identified:
        """Read anew, for every file that was ever seen, who was recorded and when.

        Of a recording that is not there, on a share that is away, say, only its name could be read: it keeps what is
        known of it.
        """
        files, nobody = self.files(), Identity()
        left = {path for path, file in files.items() if file.identity != nobody and not _can_be_seen(path)}
        found = {
            path: (self._identify or identify)(path, None if file.identity == nobody else file.identity)
            for path, file in files.items()
            if path not in left
        }
        with self._database.write() as session:
            rows = session.scalars(select(File).options(joinedload(File.session).joinedload(Sitting.subject)))
            changed = [row for row in rows if found.get(_path_of(row), identity_of(row)) != identity_of(row)]
            for row in changed:
                _identify_file(session, row, found[_path_of(row)])
        return Identified(n_changed=len(changed), n_left=len(left))

    def record(self, record: RunRecord, cause: Cause | None = None) -> None:
        """Record a run as it stands now, with its recording, its output and the fate of the file it reads.

        Parameters
        ----------
        record : RunRecord
            Needs `run_id`, `digest` and `started_at`.
        cause : Cause, optional
            What the state hangs on, if that may change by itself.
        """
        with self._database.write() as session:
            write_record(session, record, cause=cause)

    def note_verifications(self, run_id: str, found: Iterable[Verification]) -> None:
        """Note when the store of a run was verified, and what was found; what is noted already stays as it is."""
        with self._database.write() as session:
            add_verifications(session.scalars(select(Run).where(Run.run_id == run_id)).one(), found)

    def remark(self, path: Path, text: str) -> None:
        """Add to a file's story what leaves it in its state; nothing, if it was never seen."""
        with self._database.write() as session:
            if file := _find_file(session, path):
                session.add(Event(file=file, run=file.run, at=now(), state=file.state, reason=text))

    def renumber(self, inodes: Mapping[str, int]) -> None:
        """Note new inodes of files that are what they were: their file system was mounted anew."""
        with self._database.write() as session:
            for path, inode in inodes.items():
                session.execute(update(File).where(File.path == as_text(path)).values(inode=str(inode)))

    # -- what everybody asks ------------------------------------------------------------------------------

    def files(self) -> dict[Path, FileRecord]:
        """Return every file that was ever seen."""
        with self._database.read() as session:
            known = joinedload(File.session).joinedload(Sitting.subject)
            rows = session.execute(select(File, Run.run_id).outerjoin(File.run).options(known))
            return {_path_of(file): _file_record(file, run_id) for file, run_id in rows}

    def glance(self, under: Path) -> dict[str, Glance]:
        """Return the files below a folder by their paths as texts, those that were seen first first."""
        with self._database.read() as session:
            return glance_at(session, under)

    def stamp(self) -> str:
        """Return a text that is another one whenever anybody has written since; asking costs next to nothing."""
        return self._database.stamp()

    def count(self, state: Fate, since: datetime | None = None) -> int:
        """Return how many files are in a state; all of them, or those that came to it since a moment."""
        counted = select(func.count()).select_from(File).where(File.state == state)
        with self._database.read() as session:
            return session.scalar(counted if since is None else counted.where(File.changed_at >= since)) or 0

    def oldest(self, state: Fate) -> tuple[Path, StoryEvent] | None:
        """Return the file that has been in a state for longest, and since when and why; None if there is none."""
        query = select(File).where(File.state == state).order_by(File.changed_at, File.id).limit(1)
        with self._database.read() as session:
            found = session.scalar(query)
            told = found and StoryEvent(at=found.changed_at, state=state, reason=found.reason)
            return (_path_of(found), told) if found and told else None

    def file(self, path: Path) -> FileRecord | None:
        """Return what is known of one path, or None."""
        with self._database.read() as session:
            found = _find_file(session, path)
            return _file_record(found, found.run.run_id if found.run else None) if found else None

    def story(self, path: Path) -> list[StoryEvent]:
        """Return the story of one path, oldest first; empty if it was never seen."""
        with self._database.read() as session:
            return tell_story(session, path)

    def events_after(self, number: int, states: Collection[Fate]) -> list[FileEvent]:
        """Return the steps of all files into some states that came after a step, oldest first."""
        with self._database.read() as session:
            return tell_events(session, number, states)

    def last_event(self) -> int:
        """Return the number of the last step of any file; 0 if there is none."""
        with self._database.read() as session:
            return session.scalar(select(func.max(Event.id))) or 0

    def history(self, run_id: str) -> list[StoryEvent]:
        """Return what became of one run, oldest first; empty if nothing was noted."""
        with self._database.read() as session:
            return tell_run(session, run_id)

    def verifications(self, run_id: str) -> list[Verification]:
        """Return when the store of a run was verified, and what was found, oldest first; empty if it never was."""
        with self._database.read() as session:
            found = session.scalar(select(Run).where(Run.run_id == run_id))
            return history_of(found) if found else []

    def find(
        self,
        where: str | Filter = "",
        *,
        sort: str = "-changed",
        columns: Sequence[str] = COLUMNS,
        limit: int | None = None,
    ) -> pandas.DataFrame:
        """Find files and runs: a row for each file with the run that it came to, and for each earlier run of it.

        Parameters
        ----------
        where : str, optional
            A filter, such as ``subject=CSE020 and date>=2021-11 and corrupt<1%``: `facehog_core.filters`.
        sort : str, optional
            Fields by commas, with a ``-`` before those of which the greatest comes first; by default the newest does.
        columns : sequence of str, optional
            The fields that are told, by the names of `facehog_core.filter_values.FIELDS`.
        limit : int, optional
            How many rows at most.

        Returns
        -------
        pandas.DataFrame
            Times are in UTC; what is not known is missing.

        Raises
        ------
        FilterError
            If the filter, or a field, cannot be understood.
        """
        from .table import make_frame

        return make_frame(self.rows(where, sort=sort, columns=columns, limit=limit), columns)

    def rows(
        self,
        where: str | Filter = "",
        *,
        sort: str = "-changed",
        columns: Sequence[str] = COLUMNS,
        limit: int | None = None,
    ) -> list[tuple[Any, ...]]:
        """Find files and runs as `find` does, and return the columns as plain tuples."""
        at = 0
        for name in columns:
            check_field(name, ",".join(columns), at)
            at += len(name) + 1
        question = Question(where=_read(where), sort=read_sort(sort), limit=limit)
        with self._database.read() as session:
            return find_rows(session, question, columns)

    def records(self, where: str | Filter = "", *, sort: str = "-changed", limit: int | None = None) -> list[RunRecord]:
        """Find files and runs as `find` does, and return all that is known of each."""
        with self._database.read() as session:
            return find_records(session, Question(where=_read(where), sort=read_sort(sort), limit=limit))

    def open_session(self, run_id: str) -> xarray.Dataset:
        """Open the store of a finished run, named by the beginning of its name.

        Raises
        ------
        CatalogueError
            If there is no such run, or it has no store.
        StoreError
            If the store is gone.
        """
        from .session import open_session

        record = self.run(run_id)
        if record.store is None:
            raise CatalogueError(run_id, f"the run is {record.state} and has no store", "See `facehog show`.")
        return open_session(record.store)

    def comparable_with(self, run_id: str) -> Filter:
        """Return a filter for the finished runs that may be compared with one."""
        record = self.run(run_id)
        with self._database.read() as session:
            known = session.execute(select(Parameters.digest, Parameters.recipe)).all()
        return find_comparable(record, [(digest, recipe) for digest, recipe in known])

    def run(self, run_id: str) -> RunRecord:
        """Return one run by its name or the beginning of it.

        Raises
        ------
        CatalogueError
            If there is none, or more than one.
        """
        with self._database.read() as session:
            found = session.scalars(select(Run).where(begins_with(Run.run_id, run_id))).all()
            if len(found) == 1:
                return read_record(found[0].file, found[0], is_turn_of_file=False)
        raise CatalogueError(
            self._database.name,
            f"{'no run' if not found else f'{len(found)} runs'} of the catalogue "
            f"{'begins' if not found else 'begin'} with {run_id!r}",
            "See `facehog find` for the runs that there are.",
        )

    def knows_run(self, run_id: str) -> bool:
        """Say whether the catalogue has a row of the run."""
        with self._database.read() as session:
            return session.scalar(select(Run.id).where(Run.run_id == run_id)) is not None


def write_record(
    session: Session, record: RunRecord, cause: Cause | None = None, *, tells_of_file: bool = False
) -> Run:
    """Write a run as it stands, with the fate of the file that it reads.

    Parameters
    ----------
    session : Session
    record : RunRecord
    cause : Cause, optional
        What the state hangs on, if that may change by itself.
    tells_of_file : bool, optional
        Whether it is all that is known of the file, also of one that has a row: where nobody looks at files.
    """
    known = _find_file(session, record.path)
    file = known or File(path=as_text(record.path), name=as_text(record.path.name), first_seen_at=record.changed_at)
    if known is None or tells_of_file:
        file.size_bytes, file.mtime_ns, file.inode = record.size_bytes, record.stream.get("mtime_ns", 0), "0"
        file.attempt, file.flow_run_id = record.attempt, record.flow_run_id
    # What was made long ago is news of its file nevertheless: a story does not run backwards.
    is_old = known is not None and known.changed_at > record.changed_at
    step = _turn(session, file, Fate(record.state), record.reason, now() if is_old else record.changed_at, cause)
    if known is None or tells_of_file:
        _identify_file(session, file, record.identity)
    file.run = write_run(session, record, file)
    if step:
        step.run = file.run
    return file.run


def _read(where: str | Filter) -> Filter:
    return parse_filter(where) if isinstance(where, str) else where


def _can_be_seen(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _find_file(session: Session, path: Path) -> File | None:
    return session.scalar(select(File).where(File.path == as_text(path)))


def _path_of(file: File) -> Path:
    return Path(from_text(file.path))


def _is_as_seen(file: File | None, seen: FileRecord | Literal["unseen"]) -> bool:
    if file is None or seen == "unseen":
        return file is None and seen == "unseen"
    return (file.state, file.flow_run_id) == (seen.state, seen.flow_run_id)


def _look(file: File, signature: Signature) -> bool:
    """Note what a file looks like, and say whether that is news."""
    is_news = file.size_bytes is None or not _signature_of(file).is_like(signature)
    file.size_bytes, file.mtime_ns, file.inode = signature.size_bytes, signature.mtime_ns, str(signature.inode)
    return is_news


def _signature_of(file: File) -> Signature:
    return Signature(size_bytes=file.size_bytes, mtime_ns=file.mtime_ns, inode=int(file.inode))


def _identify_file(session: Session, file: File, identity: Identity) -> None:
    file.session = find_session(session, identity)
    file.plane, file.camera = identity.plane, identity.camera


def _turn(
    session: Session, file: File, state: Fate, reason: str, moment: datetime, cause: Cause | None
) -> Event | None:
    """Put a file into a state, and add the step to its story unless nothing is new."""
    is_news = (file.state, file.reason) != (state, reason)
    file.state, file.reason, file.changed_at, file.not_before = state, reason, moment, None
    file.cause, file.cause_about = (cause.kind, cause.about or None) if cause else (None, None)
    if not is_news:
        return None
    step = Event(file=file, at=moment, state=state, reason=reason)
    session.add(step)
    return step


def _file_record(file: File, run_id: str | None) -> FileRecord:
    return FileRecord(
        path=_path_of(file),
        signature=_signature_of(file),
        state=Fate(file.state),
        reason=file.reason,
        attempt=file.attempt,
        flow_run_id=file.flow_run_id,
        run_id=run_id,
        not_before=file.not_before,
        identity=identity_of(file),
        cause=make_cause(file.cause, file.cause_about),
    )
