"""Locks between the processes of all machines that share a catalogue: the server of PostgreSQL keeps them.

Each is held by a connection of its own, and vanishes with it, however its process ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import xxhash

from .errors import CatalogueError

# A machine that lost its power says nothing. Its locks are to be free after a minute or so, not after two hours.
_NOTICE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


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
    with connection:
        connection.execute(_NOTICE)
        yield connection


def _key(name: str) -> int:
    # As a signed number: the server has no others.
    return int.from_bytes(xxhash.xxh3_64_digest(name.encode()), "big", signed=True)


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
