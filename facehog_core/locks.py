"""Locks that vanish with the process that holds them.

They answer two questions: who may work on this file now, and is whoever said so still alive. They lie beside
the catalogue, on a local disk, because that is where every flow runs that writes to it; those of a catalogue on a
server are kept there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash
from filelock import FileLock, Timeout

from . import server_locks
from .path_text import as_text


def _is_on_server(catalogue: str) -> bool:
    return catalogue.startswith("postgresql:")


def _folder(catalogue: str) -> Path:
    return Path(f"{catalogue}.locks")


def _file(catalogue: str, name: str) -> Path:
    # A digest: names of recordings may hold what file names of locks may not.
    return _folder(catalogue) / f"{xxhash.xxh3_64_hexdigest(as_text(name).encode())}.lock"


@contextmanager
def hold(catalogue: str, name: str, patience_s: float | None = None) -> Iterator[None]:
    """Wait until nobody else works on something, and keep it for the time of the context.

    Parameters
    ----------
    catalogue : str
        File of the catalogue, or its URL on a server.
    name : str
        A recording's path, or a run's name.
    patience_s : float, optional
        How long it is waited for, in seconds; as long as it takes if left out.

    Raises
    ------
    TimeoutError
        If somebody works on it for longer.
    """
    if _is_on_server(catalogue):
        with server_locks.hold(catalogue, name, patience_s):
            yield
        return
    _folder(catalogue).mkdir(parents=True, exist_ok=True)
    with FileLock(_file(catalogue, name), timeout=-1 if patience_s is None else patience_s):
        yield


def is_held(catalogue: str, name: str) -> bool:
    """Say whether a living process works on something."""
    if _is_on_server(catalogue):
        return server_locks.is_held(catalogue, name)
    file = _file(catalogue, name)
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True


def remove_idle(catalogue: str) -> int:
    """Remove the files of locks that nobody holds: one for each recording and run adds up over the years.

    Parameters
    ----------
    catalogue : str
        File of the catalogue.

    Returns
    -------
    int
        How many were removed.
    """
    n_removed = 0
    for file in _folder(catalogue).glob("*.lock"):
        # Removed by who holds it: whoever waits for it sees that its file has gone, and makes a new one. Windows
        # removes no file that is open, and so only one that nobody waits for.
        with suppress(Timeout, OSError), FileLock(file, timeout=0) as lock:
            if os.name == "nt":
                lock.release()
            file.unlink()
            n_removed += 1
    return n_removed
