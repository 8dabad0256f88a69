"""The database of the catalogue: a SQLite file of this machine, or PostgreSQL for more than one machine.

Every write is one short transaction that takes its turn at the beginning: at any moment one process writes and the
others wait; readers see the state before or after, and the same one for as long as they look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.orm import Session

from .errors import CatalogueError, NoCatalogueError
from .filesystems import is_network, name_filesystem

# How long a process waits for another one's write, seconds. A write takes milliseconds.
LOCK_TIMEOUT_S = 60
SQLITE, POSTGRESQL = "sqlite", "postgresql"
# Any number will do that nothing else in the database takes: "facehog" in ASCII.
_TURN = int.from_bytes(b"facehog", "big")
_WRITE_IT_AS = "Write it as sqlite:///catalogue.db, or postgresql://user@host/name."


class Database:
    """Where the catalogue's tables are.

    Parameters
    ----------
    url : str
        ``sqlite:////absolute/path/catalogue.db`` or ``postgresql://user:password@host:port/name``.
    create : bool, optional
        Whether a SQLite file is made if it is not there.

    Raises
    ------
    CatalogueError
        If the URL is none of these, the file is not there, or lives on a network file system, where SQLite's locks
        cannot be trusted.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self.url = _read_url(url)
        if path := self.path:
            _check_file(path, create=create)
        self._engine = _make_engine(self.url)
        self._listener: Connection | None = None
        self._listening = Lock()

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.get_backend_name() == SQLITE

    @property
    def path(self) -> Path | None:
        """The file, of SQLite."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @property
    def name(self) -> str:
        """What it is called in messages: without a password."""
        return str(self.path or _name_server(self.url))

    @property
    def location(self) -> str:
        """What its locks are named after: the file, or the whole URL of a server."""
        if self.path:
            return str(self.path)
        return self.url.set(drivername=POSTGRESQL).render_as_string(hide_password=False)

    def close(self) -> None:
        """Let go of the connections."""
        if self._listener:
            self._listener.close()
        self._engine.dispose()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield a connection without a transaction; what the database says of itself becomes an error in words."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._explain(error) from error

    def stamp(self) -> str:
        """Return a text that is another one whenever anybody has written since; asking costs next to nothing."""
        # With those transactions that had begun and not ended: numbers are given at the beginning, in another order.
        question = "PRAGMA data_version" if self.is_sqlite else "SELECT pg_current_snapshot()::text"
        with self._listening:
            try:
                if self._listener is None:
                    # One of its own: of what the same connection writes SQLite does not tell.
                    self._listener = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                return str(self._listener.exec_driver_sql(question).scalar_one())
            except DBAPIError as error:
                self._listener = None
                raise self._explain(error) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database, whatever is written meanwhile."""
        with self.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with self._within(connection, "DEFERRED") as session:
                yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session that alone may write; what it wrote is kept if the context ends well."""
        with self.connect() as connection, self._within(connection, "IMMEDIATE") as session:
            if not self.is_sqlite:
                session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
                session.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"))
            yield session

    @contextmanager
    def rewrite(self) -> Iterator[Session]:
        """Yield a session as `write` does, in which tables may be made anew that others name.

        Raises
        ------
        CatalogueError
            If rows name others in the end that are not there: nothing is kept then.
        """
        if not self.is_sqlite:
            with self.write() as session:
                yield session
            return
        with self.connect() as connection:
            # Within a transaction SQLite would not take it.
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            try:
                with self._within(connection, "IMMEDIATE") as session:
                    yield session
                    if lost := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                        fact = f"{len(lost)} rows of {lost[0][0]} or other tables name rows that are not there"
                        raise CatalogueError(self.name, fact, "It is as it was: `facehog catalogue restore` a backup.")
            finally:
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    @contextmanager
    def _within(self, connection: Connection, mode: str) -> Iterator[Session]:
        if self.is_sqlite:
            # Python's driver would begin later, with the first change, and then may be told that it is too late.
            connection.exec_driver_sql(f"BEGIN {mode}")
        with Session(connection, autoflush=False) as session, session.begin():
            yield session
        connection.commit()

    def kept_too_long(self) -> CatalogueError:
        """Return what is said when another process does not come to an end."""
        fact = f"another process has kept the catalogue to itself for more than {LOCK_TIMEOUT_S} s"
        return CatalogueError(self.name, fact, "Try again; see `facehog doctor` if it stays so.")

    def _explain(self, error: DBAPIError) -> CatalogueError:
        # A server's words may have several lines.
        said = " ".join(str(error.orig).split()) or type(error.orig).__name__
        if "locked" in said or "lock timeout" in said:
            return self.kept_too_long()
        if self.is_sqlite:
            remedy = "Check its disk, its folder and their rights; if it is broken, rename it and `restore` a backup."
        else:
            remedy = "Check the server, its disk, and the URL."
        return CatalogueError(self.name, f"the catalogue cannot be used: {said}", remedy)


def _read_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # Not as it stands there: a password may be in it.
        raise CatalogueError("catalogue", "this is no database URL", _WRITE_IT_AS) from error
    match parsed.get_backend_name(), parsed.database:
        case "sqlite", str(name) if name and name != ":memory:":
            return parsed
        case "postgresql", str(name) if name:
            return parsed.set(drivername="postgresql+psycopg")
    raise CatalogueError("catalogue", f"{parsed} is neither a SQLite file nor a database of PostgreSQL", _WRITE_IT_AS)


def _name_server(url: URL) -> str:
    """Name a database on a server for people."""
    named = url.host or url.query.get("host", "")
    host = named if isinstance(named, str) else ", ".join(named)
    # A socket is named by its folder.
    return f"PostgreSQL catalogue {url.database} on {'this machine' if '/' in host or not host else host}"


def no_catalogue(name: str) -> NoCatalogueError:
    """Return what is said where there is none yet."""
    return NoCatalogueError(
        name,
        "there is no catalogue yet",
        "`facehog up` and `facehog process` make it when they first run; if they did, ask in the folder of "
        "facehog.toml, or name that: --config FILE.",
    )


def _check_file(path: Path, *, create: bool) -> None:
    if not create and not path.exists():
        raise no_catalogue(str(path))
    if is_network(kind := name_filesystem(path)):
        raise CatalogueError(
            path,
            f"it would live on a network file system ({kind}), where SQLite's locks cannot be trusted",
            "Set `catalogue` to a folder on a disk of this machine.",
        )


def _make_engine(url: URL) -> Engine:
    if url.get_backend_name() == SQLITE:
        engine = create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S})
        event.listen(engine, "connect", _set_up_connection)
        return engine
    try:
        engine = create_engine(url, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise CatalogueError(
            _name_server(url), "there is no driver for PostgreSQL", "Install it: pip install 'facehog[postgresql]'."
        ) from error
    event.listen(engine, "connect", _set_up_session)
    return engine


def _set_up_session(connection: Any, _record: object) -> None:
    # To compile a question, or to have others help with it, takes a server longer than to answer it.
    connection.execute("SET jit = off")
    connection.execute("SET max_parallel_workers_per_gather = 0")
    # Of the time that reading a page in order takes: it thinks of disks that turn, and of nothing in memory.
    connection.execute("SET random_page_cost = 1.1")
    connection.commit()


def _set_up_connection(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # What was recorded is on the disk when the call returns, also after a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    # KiB: what is read to find something in years of runs is read once.
    connection.execute("PRAGMA cache_size = -65536")
