"""Bring the tables of a catalogue to the version of this facehog: made anew, or upgraded with all that is in them."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .database import LOCK_TIMEOUT_S, Database, no_catalogue
from .disk import appearing
from .errors import CatalogueError
from .locks import hold
from .schema import REVISION, Base

log = logging.getLogger(__name__)

# Facehogs that knew no revisions numbered their tables in SQLite itself, and still look there.
_NUMBERED = ("0001", "0002", "0003")
# As Alembic would make it.
_VERSION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def make_ready(database: Database, *, create: bool = False) -> None:
    """See that the tables are those of this facehog.

    Parameters
    ----------
    database : Database
    create : bool, optional
        Whether they are made if there are none.

    Raises
    ------
    CatalogueError
        If there are none, the database holds something else, or was made by a newer facehog.
    """
    with database.connect() as connection:
        found = find_revision(connection)
        is_empty = not inspect(connection).get_table_names() if found is None else False
    if is_empty and not create:
        raise no_catalogue(database.name)
    if found is None and not is_empty:
        raise CatalogueError(
            database.name, "this is no catalogue of facehog", "Set `catalogue` to a database of its own."
        )
    if found is not None and found > REVISION:
        raise CatalogueError(
            database.name,
            f"this is a catalogue of version {int(found)}; this facehog reads version {int(REVISION)}",
            "Use the facehog that made it, or another file.",
        )
    if found != REVISION:
        _change(database)
    elif create and database.is_sqlite:
        _write_ahead(database)


def _write_ahead(database: Database) -> None:
    """See that readers do not keep writers waiting, nor writers readers: a backup that was put in place has it not."""
    with database.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal":
            return
    # While others use the file it cannot be changed, and waits for nobody: the next one to open it tries again.
    with hold(database.location, "creation"), suppress(CatalogueError), database.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(1000 * LOCK_TIMEOUT_S)}")


def find_revision(connection: Connection) -> str | None:
    """Return the revision of the tables; None if there are none of facehog."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)
    if connection.dialect.name != "sqlite":
        return None
    number = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
    return f"{number:04}" if number else None


def _change(database: Database) -> None:
    """Make or upgrade the tables, unless whoever had its turn before has done so."""
    if (path := database.path) is None:
        with database.rewrite() as session:
            _change_within(session)
        return
    with hold(str(path), "creation"):
        with database.connect() as connection:
            found = find_revision(connection)
            if found is None:
                # The one write that does not wait for its turn ("database is locked").
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        if found is not None and found != REVISION:
            _back_up(database, path, found)
        try:
            with database.rewrite() as session:
                _change_within(session)
        except IntegrityError as error:
            raise CatalogueError(
                path,
                f"what is in it cannot be brought to version {int(REVISION)}: {error.orig}",
                "It is as it was: use the facehog that made it, and mend the row.",
            ) from error


def _change_within(session: Session) -> None:
    connection = session.connection()
    found = find_revision(connection)
    if found is None:
        _copy_metadata().create_all(connection)
        connection.execute(text(_VERSION_TABLE))
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
    elif found != REVISION:
        _upgrade(connection, found)
    if connection.dialect.name == "sqlite":
        # For facehogs that look for no revision: they refuse what is newer than they are.
        connection.exec_driver_sql(f"PRAGMA user_version = {int(REVISION)}")


def _copy_metadata() -> MetaData:
    """Copy what the tables are: on a server SQLAlchemy adds some constraints later, and for ever after in no table."""
    copy = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.tables.values():
        table.to_metadata(copy)
    return copy


def _upgrade(connection: Connection, found: str) -> None:
    # Here and not above: Alembic takes longer to import than most questions to answer.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "facehog_core:migrations")
    config.attributes["connection"] = connection
    if found in _NUMBERED and not inspect(connection).has_table("alembic_version"):
        command.stamp(config, found)
    log.info("the catalogue's tables are of version %s and are brought to %s", found, REVISION)
    command.upgrade(config, "head")


def _back_up(database: Database, path: Path, found: str) -> None:
    """Copy the catalogue as it is before it is changed; other processes may be reading it."""
    copy = path.with_name(f"{path.name}.version-{int(found)}.{datetime.now():%Y%m%dT%H%M%S}.backup")
    copy_sqlite(database, copy)
    log.info("the catalogue as it was is kept in %s", copy)


def copy_sqlite(database: Database, copy: Path) -> None:
    """Copy a SQLite file as one state of it, whoever uses it; a file that is there is written over.

    Raises
    ------
    CatalogueError
        If it cannot be read, or another process keeps it to itself for too long.
    """
    until_s = time.monotonic() + LOCK_TIMEOUT_S

    def watch(status: int, _n_left: int, _n_all: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until_s:
            raise database.kept_too_long()

    with appearing(copy) as partial, database.connect() as connection:
        source: Any = connection.connection.driver_connection
        try:
            with closing(sqlite3.connect(partial)) as target:
                source.backup(target, progress=watch)
        except sqlite3.Error as error:
            fact = f"the catalogue cannot be copied there: {error}"
            raise CatalogueError(copy, fact, "Check both disks, and their room.") from error
