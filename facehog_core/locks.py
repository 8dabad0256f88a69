"""Locks between the processes of one machine that vanish with the process that holds them.

They answer two questions: who may work on this file now, and is whoever said so still alive. They lie beside
the catalogue, on a local disk, because that is where every flow runs that writes to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash
from filelock import FileLock, Timeout


def _lock(catalogue: str, name: str) -> FileLock:
    folder = Path(f"{catalogue}.locks")
    folder.mkdir(parents=True, exist_ok=True)
    # A digest: names of recordings may hold what file names of locks may not.
    return FileLock(folder / f"{xxhash.xxh3_64_hexdigest(name.encode())}.lock")


@contextmanager
def hold(catalogue: str, name: str) -> Iterator[None]:
    """Wait until nobody else works on something, and keep it for the time of the context.

    Parameters
    ----------
    catalogue : str
        File of the catalogue.
    name : str
        A recording's path, or a run's name.
    """
    with _lock(catalogue, name):
        yield


def is_held(catalogue: str, name: str) -> bool:
    """Say whether a living process works on something."""
    lock = _lock(catalogue, name)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
