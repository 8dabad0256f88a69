"""The cores of this machine, shared out among those who decode on it.

A chunk of a recording whose GOPs can be shared out takes one core, and its scheduler sees to it that there are no more
chunks than cores. A recording whose GOPs cannot be shared out is one chunk: it may take all cores that are idle, and no
more of them, so that several such recordings do not come upon each other with all cores' threads.
Who has taken a core says so by a lock on a file, which ends with its process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class Cores:
    """The cores that somebody has taken.

    Parameters
    ----------
    folder : Path
        Where the locks lie: the same for all who share the cores.
    numbers : list of int
        The cores that there are to take.
    """

    def __init__(self, folder: Path, numbers: list[int]) -> None:
        self._folder = folder
        self._numbers = numbers
        self._taken: dict[int, FileLock] = {}

    def take(self, most: int) -> int:
        """Take cores that nobody has taken, up to so many in all.

        Returns
        -------
        int
            How many are taken now; 1 also where none was left, since whoever asks was given leave to work by somebody
            else.
        """
        for core in self._numbers:
            if len(self._taken) < most and core not in self._taken and (lock := self._lock(core)):
                self._taken[core] = lock
        return max(len(self._taken), 1)

    def keep(self, most: int) -> None:
        """Give all back but so many."""
        while len(self._taken) > most:
            self._taken.popitem()[1].release()

    def _lock(self, core: int) -> FileLock | None:
        lock = FileLock(self._folder / f"{core}.lock")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            # Where no lock can be had at all, one core has to do.
            return None
        return lock


@contextmanager
def sharing_cores(n_workers: int | None = None, folder: Path | None = None) -> Iterator[Cores]:
    """Share the cores with others, and give back what was taken of them at the end of the context.

    Parameters
    ----------
    n_workers : int, optional
        So many of the cores are meant for this; all that there are, if left out.
    folder : Path, optional
        Where the locks lie. A folder of this user's among the temporary files, if left out.

    Yields
    ------
    Cores
        None is taken yet.
    """
    cores = Cores(folder or Path(tempfile.gettempdir()) / f"facehog-cores-{_user()}", list_cores()[:n_workers])
    try:
        yield cores
    finally:
        cores.keep(0)


def list_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(list_cores())


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "of-this-user"
