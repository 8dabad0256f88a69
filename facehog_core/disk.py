"""Files that outlive a power cut, and whose fault it is when the system cannot read or write one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from .errors import DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Not regular: a named pipe, say (see `facehog_core.source.open_file`).
_LIES_WITH_THE_FILE = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG)
# What is left free of a disk, and of a small one.
RESERVE_BYTES, RESERVE_SHARE = 200 * 10**6, 0.02
GOES_ON = "Make room, and it goes on from what is done."


def lies_with_the_file(error: OSError) -> bool:
    """Say whether a file cannot be read for what it is (a folder, its rights, its name), so that time mends nothing."""
    return error.errno in _LIES_WITH_THE_FILE


def write_durably(path: Path, content: str | bytes, *, within: Path | None = None) -> None:
    """Write a file such that a crash leaves the old one or the new one, whoever else writes it too.

    Parameters
    ----------
    path : Path
    content : str or bytes
        Text is written as UTF-8.
    within : Path, optional
        The folder in which it is written before it is moved to its place, on the same disk; its own if left out.
    """
    with appearing(path, within=within) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def appearing(target: Path, *, within: Path | None = None, suffix: str = "") -> Iterator[Path]:
    """Yield a path to write to, which takes the place of a file when all is written and has reached the disk.

    A crash leaves the old file or the new one, whoever else writes it too; after an error the old one stays.

    Parameters
    ----------
    target : Path
    within : Path, optional
        The folder of what is written, on the same disk; the target's own if left out.
    suffix : str, optional
        What the name of it ends in.
    """
    # A name of its own: a writer that was given up may still be at work on the same file.
    unfinished = (within or target.parent) / f"{target.name}.{uuid4().hex}{suffix}"
    try:
        yield unfinished
        flush(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    flush(target.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows keeps a folder's entries by its own journal and cannot open one to flush it.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(path: Path) -> None:
    """Wait until a folder has reached the disk with all that is in it."""
    for found in path.rglob("*"):
        flush(found)
    flush(path)


def measure_room(path: Path) -> int:
    """Return how many bytes may be written to the disk of a path, which need not exist; below 0 if it is full.

    A part of each disk is left free, for what else is on it: the catalogue, above all.
    """
    usage = shutil.disk_usage(find_existing(path))
    return usage.free - min(RESERVE_BYTES, round(RESERVE_SHARE * usage.total))


def find_existing(place: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(found for found in (place, *place.parents) if found.exists() or found == found.parent)


def check_room(path: Path, n_bytes: int = 0, promised_bytes: int = 0) -> None:
    """Check that a disk has room.

    Parameters
    ----------
    path : Path
        Where is to be written; it need not exist.
    n_bytes : int, optional
        How much.
    promised_bytes : int, optional
        How much of the room others are about to take.

    Raises
    ------
    DiskFullError
        If there is less.
    """
    room_bytes = measure_room(path) - promised_bytes
    if room_bytes >= n_bytes:
        return
    fact = f"about {n_bytes / 1e9:.1f} GB are needed, and there is room for {max(0, room_bytes) / 1e9:.1f} GB"
    fact += f" beside the {promised_bytes / 1e9:.1f} GB that other runs go on to take" if promised_bytes else ""
    raise DiskFullError(path, fact if n_bytes else "the disk is full", GOES_ON)


@contextmanager
def telling_full_disk(path: Path) -> Iterator[None]:
    """Turn the system's word for a full disk into one that says what to do.

    Raises
    ------
    DiskFullError
        If what is done within the context finds no space, or there is next to none before.
    """
    check_room(path)
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFullError(path, f"the disk is full ({error.strerror})", GOES_ON) from error
