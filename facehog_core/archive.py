"""Keep the catalogue from harm, and hand it on: backups, restoring one, copies for others, and making it anew.

A backup is always a SQLite file, whatever database it is of: so one of a file is restored to a server, and back.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .catalogue import Catalogue, Identify
from .csv_rows import write_rows
from .database import Database
from .disk import appearing
from .errors import CatalogueError, NoCatalogueError, StoreError
from .exporting import need
from .fates import write_record
from .filter_values import FIELDS
from .migrate import copy_sqlite, find_revision, make_ready
from .provenance import RunRecord
from .rows import add_verifications
from .schema import Base, Fate, File
from .sealed import check_metadata, read_record
from .table import make_frame
from .verifications import read_history

EXPORTS = (".parquet", ".csv", ".db")
# Rows that are copied at once: whatever there is, no more are held.
_BY_BATCH = {"yield_per": 2000}
_FILES: Table = File.__table__  # type: ignore[assignment]


def back_up(url: str, target: Path, *, force: bool = False) -> None:
    """Write all that is in a catalogue into a SQLite file, as one state of it, whoever uses it.

    Parameters
    ----------
    url : str
    target : Path
    force : bool, optional
        Whether a file that is there is replaced.

    Raises
    ------
    CatalogueError
        If there is something under that name already, or the catalogue cannot be read.
    """
    if target.exists() and not force:
        raise CatalogueError(target, "there is a file already", "Choose another name, or remove it.")
    # Made on a disk of this machine: SQLite does not write to a share.
    with tempfile.TemporaryDirectory() as folder, closing(Database(url)) as source:
        copy = Path(folder) / "copy.db"
        make_ready(source)
        if source.path:
            copy_sqlite(source, copy)
        else:
            with closing(Database(f"sqlite:///{copy}", create=True)) as made:
                make_ready(made, create=True)
                _copy(source, made)
        with closing(sqlite3.connect(copy)) as connection:
            # One file and no others beside it, which can be read where nothing may be written.
            connection.execute("PRAGMA journal_mode = DELETE")
        with appearing(target) as partial:
            shutil.copyfile(copy, partial)


def restore(backup: Path, url: str) -> None:
    """Make a catalogue of a backup, also of one that an older facehog made.

    Raises
    ------
    CatalogueError
        If there is a catalogue already, or the backup is none.
    """
    check_free(url)
    with tempfile.TemporaryDirectory() as folder:
        # Worked on is a copy: the backup stays as it is, and may lie on a share.
        copy = Path(folder) / backup.name
        shutil.copyfile(backup, copy)
        with closing(Database(f"sqlite:///{copy}")) as source:
            with source.connect() as connection:
                if find_revision(connection) is None:
                    remedy = "Name a file of `facehog catalogue backup`."
                    raise CatalogueError(backup, "this is no backup of a catalogue", remedy)
            make_ready(source)
            Catalogue(url, create=True).close()
            with closing(Database(url)) as target:
                _copy(source, target)


def check_free(url: str) -> None:
    """Check that there is no catalogue yet, so that none is written over.

    Raises
    ------
    CatalogueError
        If there is one.
    """
    try:
        Catalogue(url).close()
    except NoCatalogueError:
        return
    with closing(Database(url)) as database, database.read() as session:
        _check_empty(session, database.name)


def export_rows(catalogue: Catalogue, where: str, target: Path) -> int:
    """Write what is found, in all its fields, to a file for others: Parquet or CSV.

    Returns
    -------
    int
        Number of rows.
    """
    columns = tuple(FIELDS)
    rows = catalogue.rows(where, columns=columns)
    with appearing(target) as partial:
        if target.suffix == ".csv":
            with partial.open("w", encoding="utf-8", newline="") as file:
                write_rows(file, columns, rows)
        else:
            need("pyarrow")
            make_frame(rows, columns).to_parquet(partial, index=False)
    return len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What came of making a catalogue from stores.

    Parameters
    ----------
    n_runs : int
    unread : list of str
        What could not be read, and why.
    """

    n_runs: int
    unread: list[str]


def rebuild(stores: Path, url: str, identify: Identify | None = None) -> Rebuilt:
    """Make a catalogue from what the stores say of their runs: all of it, or nothing.

    What no store tells is not known to it: files that came to no result, duplicates, and the steps before the last.

    Parameters
    ----------
    stores : Path
        Folder of all stores.
    url : str
        Where there is no catalogue yet.
    identify : callable, optional
        As of `Catalogue`: who was recorded may have been corrected after a store was made.

    Raises
    ------
    CatalogueError
        If there is one already.
    """
    check_free(url)
    n_runs = 0
    unread: list[str] = []
    in_order = _put_in_order(stores, unread)
    Catalogue(url, create=True).close()
    with closing(Database(url)) as database, database.write() as session:
        _check_empty(session, database.name)
        for record in _read_records(in_order, unread):
            try:
                with session.begin_nested():
                    # A file has come to the last of its runs, and that says what holds for it.
                    run = write_record(session, record, tells_of_file=True)
                    add_verifications(run, read_history(record.store) if record.store else ())
                n_runs += 1
            except IntegrityError as error:
                unread.append(f"{record.store}: {error.orig}")
            session.expunge_all()
    with Catalogue(url, identify=identify) as catalogue:
        catalogue.identify_all()
    return Rebuilt(n_runs=n_runs, unread=unread)


def _put_in_order(stores: Path, unread: list[str]) -> list[Path]:
    """Return the stores that are whole in what they say of themselves, those that were finished first first."""
    found = []
    for store in stores.glob("*/*.zarr"):
        try:
            found.append((str(check_metadata(store)["finished_at"]), store))
        except (StoreError, OSError) as error:
            unread.append(str(error))
    return [store for _, store in sorted(found)]


def _read_records(stores: Iterable[Path], unread: list[str]) -> Iterator[RunRecord]:
    for store in stores:
        try:
            yield read_record(store)
        except (StoreError, OSError) as error:
            unread.append(str(error))


def _check_empty(session: Session, name: str) -> None:
    if session.scalar(select(File.id).limit(1)) is not None:
        raise CatalogueError(name, "there is a catalogue already", "Rename it first: nothing is written over.")


def _copy(source: Database, target: Database) -> None:
    """Copy all rows into tables that are empty."""
    with source.read() as reading, target.write() as writing:
        _check_empty(writing, target.name)
        for table in _in_order():
            # Files and runs name each other: files wait until the runs are there to which they have come.
            waiting = {"run_id": None, "state": Fate.WAITING} if table is _FILES else {}
            for batch in reading.execute(select(table), execution_options=_BY_BATCH).mappings().partitions():
                writing.execute(insert(table), [{**row, **waiting} for row in batch])
        came_to = select(_FILES.c.id.label("file"), _FILES.c.run_id, _FILES.c.state)
        is_it = _FILES.c.id == bindparam("file")
        for batch in reading.execute(came_to, execution_options=_BY_BATCH).mappings().partitions():
            writing.execute(
                update(_FILES).where(is_it).values(run_id=bindparam("run_id"), state=bindparam("state")),
                [dict(row) for row in batch],
            )
        if not target.is_sqlite:
            _count_on(writing)


def _in_order() -> Iterable[Table]:
    """Return the tables, each after those that its rows name."""
    names = (
        *("subjects", "sessions", "files", "recordings", "parameters", "software", "hosts", "runs", "events"),
        *("details", "outputs", "warnings", "verifications"),
    )
    return [Base.metadata.tables[name] for name in names]


def _count_on(session: Session) -> None:
    """Let a server number new rows after those that were copied."""
    for table in _in_order():
        if "id" in table.columns:
            counter = f"pg_get_serial_sequence('{table.name}', 'id')"
            session.execute(
                text(f"SELECT setval({counter}, (SELECT coalesce(max(id), 0) + 1 FROM {table.name}), false)")
            )
