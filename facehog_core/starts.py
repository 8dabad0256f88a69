"""Work that may end its own process: noted on the disk when it begins, so that its ends can be counted.

A decoder that crashes takes its process with it, and nobody is left to say so. Whoever starts the work again would
crash as well, for ever. So each start leaves a note, which is taken back when the work ends in order, by an
exception too. What began some times and never ended is refused.

A worker that is killed from outside looks the same. The notes of an earlier run say nothing, therefore: a run
forgets them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock

import xxhash

from .disk import write_durably
from .errors import CrashError
from .path_text import as_text

# Ends without a word after which the work is not begun again. Dask's own limit is the same by default.
MOST_STARTS = 3
# A process that dies takes all of its threads with it, and each leaves a note. So what has left one before is done one
# at a time: of those, only the one at fault is there each time.
_ONE_SUSPECT = Lock()


@contextmanager
def noting_start(note: Path, path: str, what: str) -> Iterator[None]:
    """Count a start of work, and forget it if the work ends in order.

    Parameters
    ----------
    note : Path
        The file that counts; its folder is made where it is missing, but not the folder around that.
    path : str
        The recording, for the error.
    what : str
        What is done to it: "describing frames 0-250".

    Raises
    ------
    CrashError
        If the work was begun `MOST_STARTS` times and never ended.
    FileNotFoundError
        If the folder around the note's is gone.
    OSError
        If the disk fails.
    """
    note.parent.mkdir(exist_ok=True)
    with _ONE_SUSPECT if _count(note) else nullcontext():
        if (n_starts := _count(note)) >= MOST_STARTS:
            fact = f"{what} ended the worker's process {n_starts} times, without a word"
            remedy = (
                "The decoder crashes on it, or memory does not suffice. "
                "Copy it again from the rig, or mend it with FFmpeg."
            )
            raise CrashError(path, fact, remedy)
        write_durably(note, str(n_starts + 1))
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def note_of_probe(store: Path, path: Path) -> Path:
    """Return where a start of probing a recording is noted: it has no folder of its own yet."""
    return store / f".probing-{xxhash.xxh3_128_hexdigest(as_text(path).encode())}"


def _count(note: Path) -> int:
    try:
        return int(note.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0
