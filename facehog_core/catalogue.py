"""The catalogue: which files were seen, what became of each, and what was made of it by what.

Tasks on Dask workers never open it: what they find out comes back to the flow in receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import false, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from .causes import Cause
from .choices import identify
from .comparison import find_comparable
from .conditions import begins_with
from .database import Database
from .errors import CatalogueError
from .fates import (
    add_file,
    come_to_run,
    find_file,
    identify_file,
    is_as_seen,
    note_look,
    path_of,
    tell_file,
    turn_file,
    write_record,
)
from .files import FileRecord, Glance, glance_at, is_below
from .filters import Filter, any_of, check_field, in_any_case, parse_filter, read_sort
from .migrate import make_ready
from .names import Identity
from .path_text import as_text, from_text
from .provenance import RunRecord, now
from .queries import Question, find_records, find_rows
from .rows import add_verifications, history_of, identity_of, read_record
from .run_paths import locate_store
from .schema import Event, Fate, File, Parameters, Run, Sitting
from .source import Signature
from .story import FileEvent, FileStory, StoryEvent, tell_events, tell_run, tell_story
from .verifications import Verification

if TYPE_CHECKING:
    import pandas
    import xarray

# Of runs that begin alike so many are named, the newest first.
_N_NAMED = 5
# Texts that are looked for in the other case.
_MOST_HINTS = 5
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
    stores : Path, optional
        Folder of all stores: `run` and `open_session` find those there that were moved into it since they were made.

    Notes
    -----
    One that an older facehog made is brought to this version, with all that is in it.

    Raises
    ------
    CatalogueError
        If it is not there, cannot be opened, is no catalogue, was made by a newer facehog, or lives on a network
        file system, where SQLite's locks cannot be trusted.
    """

    def __init__(
        self, url: str, *, create: bool = False, identify: Identify | None = None, stores: Path | None = None
    ) -> None:
        self._identify = identify
        self._stores = stores
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
            file = find_file(session, path)
            if only_from is not None and not is_as_seen(file, only_from):
                return False
            moment = now()
            if file is None:
                file = add_file(session, path, moment)
            # Of a run that has ended nothing more happens.
            run = file.run if file.run and file.run.state == Fate.RUNNING else None
            if run:
                # The run of a file that does not run does not run either, though it could not say so itself.
                run.state, run.reason, run.changed_at = state, reason, moment
            looks_different = signature is not None and note_look(file, signature)
            if forget_run or looks_different:
                file.run = None
            file.attempt = file.attempt if attempt is None else attempt
            file.flow_run_id = flow_run_id or file.flow_run_id
            if run_id is not None:
                run = session.scalars(select(Run).where(Run.run_id == run_id)).one()
                come_to_run(session, file, run)
            if step := turn_file(session, file, state, reason, moment, cause):
                step.run = run
            file.not_before = not_before
            if identity:
                identify_file(session, file, identity)
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
            changed = [row for row in rows if found.get(path_of(row), identity_of(row)) != identity_of(row)]
            for row in changed:
                identify_file(session, row, found[path_of(row)])
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
            if file := find_file(session, path):
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
            return {path_of(file): tell_file(file, run_id) for file, run_id in rows}

    def glance(self, under: Path) -> dict[str, Glance]:
        """Return the files below a folder by their paths as texts, those that were seen first first."""
        with self._database.read() as session:
            return glance_at(session, under)

    def stamp(self) -> str:
        """Return a text that is another one whenever anybody has written since; asking costs next to nothing."""
        return self._database.stamp()

    def count(self, state: Fate, since: datetime | None = None, under: Iterable[Path] | None = None) -> int:
        """Return how many files are in a state: all, or those that came to it since a moment, or lie below folders."""
        counted = select(func.count()).select_from(File).where(File.state == state)
        if since is not None:
            counted = counted.where(File.changed_at >= since)
        if under is not None:
            counted = counted.where(or_(false(), *map(is_below, under)))
        with self._database.read() as session:
            return session.scalar(counted) or 0

    def count_wrong(self) -> int:
        """Return how many finished runs were found wrong, in store or recording, when they were last verified."""
        counted = select(func.count()).select_from(Run).where(Run.wrong_since.is_not(None), Run.state == Fate.FINISHED)
        with self._database.read() as session:
            return session.scalar(counted) or 0

    def oldest(self, state: Fate) -> tuple[Path, StoryEvent] | None:
        """Return the file that has been in a state for longest, and since when and why; None if there is none."""
        query = select(File).where(File.state == state).order_by(File.changed_at, File.id).limit(1)
        with self._database.read() as session:
            found = session.scalar(query)
            told = found and StoryEvent(at=found.changed_at, state=state, reason=found.reason)
            return (path_of(found), told) if found and told else None

    def file(self, path: Path) -> FileRecord | None:
        """Return what is known of one path, or None."""
        with self._database.read() as session:
            found = find_file(session, path)
            return tell_file(found, found.run.run_id if found.run else None) if found else None

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

    def whole_story(self, path: Path) -> FileStory | None:
        """Return the story of one path, and what else is told with it, of one moment; None if it was never seen."""
        with self._database.read() as session:
            found = find_file(session, path)
            if found is None:
                return None
            warnings = [warning.text for warning in found.run.warnings] if found.run else []
            return FileStory(seen_at=found.first_seen_at, steps=tell_story(session, path), warnings=warnings)

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

    def other_cases(self, where: Filter) -> list[str]:
        """Return what there is that a filter misses by lower and upper case alone: such as ``subject=CSE020``."""
        found = []
        # A regular expression is called for each row that there is: not for each of a long list.
        for each in in_any_case(where)[:_MOST_HINTS]:
            (asked,) = each.values
            if not self.rows(any_of(each.field, asked.text), columns=[each.field], limit=1):
                found += [f"{each.field}={text}" for (text,) in self.rows(each, columns=[each.field], limit=1)]
        return found

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
            found = self._find_run(session, run_id)
            record = read_record(found.file, found, is_turn_of_file=False)
        return self.locate(record)

    def run_with_history(self, run_id: str) -> tuple[RunRecord, list[StoryEvent], list[Verification]]:
        """Return one run as `run` does, what became of it, and its verifications, oldest first: of one moment."""
        with self._database.read() as session:
            found = self._find_run(session, run_id)
            record = read_record(found.file, found, is_turn_of_file=False)
            steps, looks = tell_run(session, found.run_id), history_of(found)
        return self.locate(record), steps, looks

    def locate(self, record: RunRecord) -> RunRecord:
        """Return the record of a run with its store where that is now."""
        return replace(record, store=locate_store(record.store, self._stores)) if record.store else record

    def _find_run(self, session: Session, run_id: str) -> Run:
        begins = begins_with(Run.run_id, run_id)
        found = session.scalars(select(Run).where(begins).limit(2)).all()
        if len(found) == 1:
            return found[0]
        run_id = run_id or '""'
        if not found:
            raise CatalogueError(run_id, "no run begins so", "See `facehog find` for the runs that there are.")
        told = select(Run.run_id, File.name).join(Run.file).where(begins).order_by(Run.changed_at.desc(), Run.id.desc())
        named = [f"{name} ({from_text(file)})" for name, file in session.execute(told.limit(_N_NAMED))]
        n_found = session.scalar(select(func.count()).select_from(Run).where(begins)) or 0
        more = ", ..." if n_found > len(named) else ""
        raise CatalogueError(
            run_id, f"{n_found} runs begin so: {', '.join(named)}{more}", "Give more letters of the one that is meant."
        )

    def knows_run(self, run_id: str) -> bool:
        """Say whether the catalogue has a row of the run."""
        with self._database.read() as session:
            return session.scalar(select(Run.id).where(Run.run_id == run_id)) is not None


def _read(where: str | Filter) -> Filter:
    return parse_filter(where) if isinstance(where, str) else where


def _can_be_seen(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True
