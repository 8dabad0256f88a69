"""Keep the catalogue from harm, and hand it on: backups, restoring one, copies for others, and making it anew.

A backup is always a SQLite file, whatever database it is of: so one of a file is restored to a server, and back.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, select, text, update
from sqlalchemy.orm import Session

from .catalogue import Catalogue
from .database import Database
from .errors import CatalogueError, NoCatalogueError, StoreError
from .exporting import need
from .filter_values import FIELDS
from .migrate import copy_sqlite, find_revision, make_ready
from .provenance import RunRecord
from .schema import Base, File
from .sealed import read_record
from .verifications import read_history

EXPORTS = (".parquet", ".csv", ".db")
# Rows that are copied at once.
_BATCH = 2000
_FILES: Table = File.__table__  # type: ignore[assignment]


def back_up(url: str, target: Path) -> None:
    """Write all that is in a catalogue into a SQLite file, as one state of it, whoever uses it.

    Raises
    ------
    CatalogueError
        If there is something under that name already, or the catalogue cannot be read.
    """
    if target.exists():
        raise CatalogueError(target, "there is a file already", "Choose another name, or remove it.")
    # Made on a disk of this machine: SQLite does not write to a share.
    with tempfile.TemporaryDirectory() as folder, closing(Database(url)) as source:
        copy = Path(folder) / "copy.db"
        make_ready(source)
        if source.path:
            copy_sqlite(source.path, copy)
        else:
            with closing(Database(f"sqlite:///{copy}", create=True)) as made:
                make_ready(made, create=True)
                _copy(source, made)
        with closing(sqlite3.connect(copy)) as connection:
            # One file and no others beside it, which can be read where nothing may be written.
            connection.execute("PRAGMA journal_mode = DELETE")
        with _appearing(target) as partial:
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
        with Catalogue(url) as catalogue:
            is_empty = not catalogue.rows(columns=["path"], limit=1)
    except NoCatalogueError:
        return
    if not is_empty:
        raise CatalogueError(
            Database(url).name, "there is a catalogue already", "Rename it first: nothing is written over."
        )


def export_rows(catalogue: Catalogue, where: str, target: Path) -> int:
    """Write what is found, in all its fields, to a file for others: Parquet or CSV.

    Returns
    -------
    int
        Number of rows.
    """
    found = catalogue.find(where, columns=tuple(FIELDS))
    with _appearing(target) as partial:
        if target.suffix == ".csv":
            found.to_csv(partial, index=False)
        else:
            need("pyarrow")
            found.to_parquet(partial, index=False)
    return len(found)


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


def rebuild(stores: Path, url: str) -> Rebuilt:
    """Make a catalogue from what the stores say of their runs.

    What no store tells is not known to it: files that came to no result, and the steps before the last.

    Parameters
    ----------
    stores : Path
        Folder of all stores.
    url : str
        Where there is no catalogue yet.

    Raises
    ------
    CatalogueError
        If there is one already.
    """
    check_free(url)
    records, unread = [], []
    for store in sorted(stores.glob("*/*.zarr")):
        try:
            records.append(read_record(store))
        except (StoreError, OSError) as error:
            unread.append(str(error))
    with Catalogue(url, create=True) as catalogue:
        # A file has come to the last of its runs.
        for record in sorted(records, key=_when):
            catalogue.record(record)
            if record.store and (history := read_history(record.store)):
                catalogue.note_verifications(str(record.run_id), history)
    return Rebuilt(n_runs=len(records), unread=unread)


def _when(record: RunRecord) -> tuple[Any, str]:
    return record.changed_at, str(record.run_id)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Yield a path beside the target, which takes its name when all is written."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    yield partial
    partial.replace(target)


def _copy(source: Database, target: Database) -> None:
    """Copy all rows into tables that are empty."""
    with source.read() as reading, target.write() as writing:
        for table in _in_order():
            # Files and runs name each other: the runs of files come when they are there.
            columns = [column for column in table.columns if not (table is _FILES and column.name == "run_id")]
            for batch in reading.execute(select(*columns)).mappings().partitions(_BATCH):
                writing.execute(insert(table), [dict(row) for row in batch])
        came_to = reading.execute(select(_FILES.c.id, _FILES.c.run_id).where(_FILES.c.run_id.is_not(None)))
        for file_id, run_id in came_to:
            writing.execute(update(_FILES).where(_FILES.c.id == file_id).values(run_id=run_id))
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
