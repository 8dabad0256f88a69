"""The cores of this machine, shared out among those who decode on it.

A chunk of a recording whose GOPs can be shared out takes one core, and its scheduler sees to it that there are no more
chunks than cores. A recording whose GOPs cannot be shared out is one chunk: it may take all cores that are idle when
it begins, and no more of them, so that several such recordings do not come upon each other with all cores' threads.
Who has taken a core says so by a lock on a file, which ends with its process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def taking_cores(most: int, folder: Path | None = None) -> Iterator[int]:
    """Take cores that nobody has taken, for the time of the context.

    Parameters
    ----------
    most : int
        How many are of use.
    folder : Path, optional
        Where the locks lie: the same for all who share the cores. One of this user's among the temporary files, if
        left out.

    Yields
    ------
    int
        How many were taken; 1 also where none is left, since the caller was given leave to work by somebody else.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"facehog-cores-{_user()}"
    with ExitStack() as taken:
        n_taken = 0
        for core in list_cores():
            if n_taken < most and _take(folder, core, taken):
                n_taken += 1
        yield max(n_taken, 1)


def _take(folder: Path, core: int, taken: ExitStack) -> bool:
    lock = FileLock(folder / f"{core}.lock")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        taken.enter_context(lock.acquire(timeout=0))
    except (Timeout, OSError):
        # Where no lock can be had at all, one core has to do.
        return False
    return True


def list_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(list_cores())


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "of-this-user"
