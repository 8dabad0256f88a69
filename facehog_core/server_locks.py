"""Locks between the processes of all machines that share a catalogue: the server of PostgreSQL keeps them.

Each is held by a connection of its own, and vanishes with it, however its process ends. Of a machine that ends without
a word (power, network) the server hears by asking it again and again, which its system answers, and not the process:
one that is slow, or stopped, keeps its lock. So nobody has to compare the clocks of two machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import xxhash

from .errors import CatalogueError
from .path_text import as_text

# The server asks after so many seconds of silence, and again after each of so many more; a machine that has not
# answered so often is gone. Linux waits for two hours by itself.
KEEPALIVES = {"idle": 15, "interval": 15, "count": 4}


@contextmanager
def _connect(url: str) -> Iterator[Any]:
    import psycopg

    try:
        connection = psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError as error:
        name = psycopg.conninfo.conninfo_to_dict(url).get("dbname", "PostgreSQL")
        raise CatalogueError(
            str(name), f"the server cannot be reached: {error}", "Check that it is up, and the URL."
        ) from error
    try:
        for name, value in KEEPALIVES.items():
            connection.execute(f"SET tcp_keepalives_{name} = {value}")
        yield connection
    finally:
        # Not as a context of psycopg's: that fails where the server was restarted, and the lock is gone anyway.
        connection.close()


def _key(name: str) -> int:
    # As a signed number: the server has no others.
    return int.from_bytes(xxhash.xxh3_64_digest(as_text(name).encode()), "big", signed=True)


@contextmanager
def hold(url: str, name: str, patience_s: float | None = None) -> Iterator[None]:
    """Wait until nobody else works on something, and keep it for the time of the context."""
    from psycopg.errors import LockNotAvailable

    with _connect(url) as connection:
        if patience_s is not None:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(1000 * patience_s)}ms"])
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [_key(name)])
        except LockNotAvailable as error:
            raise TimeoutError(f"{name} is held for longer than {patience_s:g} s") from error
        yield


def is_held(url: str, name: str) -> bool:
    """Say whether a living process works on something."""
    with _connect(url) as connection:
        is_free: bool = connection.execute("SELECT pg_try_advisory_lock(%s)", [_key(name)]).fetchone()[0]
        return not is_free
