"""What lies in an inbox, and when a file may be taken up.

Nothing here knows who looks, or how a run is asked for. A file is settled when its size, time and inode have
stood still for a while by our own clock: the clock of a share may be wrong, and events of a share may never
come.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

log = logging.getLogger(__name__)

# Names that copying programs give to what they have not finished (rsync, browsers, WinSCP, editors).
TEMPORARY = ("*.part", "*.partial", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "*~", ".*", "~*")

# How the name of the file ends that says what is to be done to the recording beside it.
SIDECAR = ".facehog.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What tells a file from what stood under its name before, without reading it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Signature:
        """Look at a file."""
        found = Path(path).stat()
        return cls(size_bytes=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


@dataclass(slots=True)
class Looks:
    """Remembers since when each file has looked as it does.

    Parameters
    ----------
    settle_s : float
        How long a file must stand still, in seconds.
    """

    settle_s: float
    _since: dict[Path, tuple[object, float]] = field(default_factory=dict)

    def is_settled(self, path: Path, signature: object, at_s: float) -> bool:
        """Take a look into account, and say whether the file has stood still for long enough.

        Parameters
        ----------
        path : Path
        signature : Signature
            What it looks like now; anything that is equal as long as nothing changes.
        at_s : float
            Now, by a monotonic clock in seconds.
        """
        before = self._since.get(path)
        if before is None or before[0] != signature:
            self._since[path] = signature, at_s
            return self.settle_s <= 0
        return at_s - before[1] >= self.settle_s

    def forget_all_but(self, paths: Iterable[Path]) -> None:
        """Forget files that are gone, so that the memory does not grow for ever."""
        kept = set(paths)
        self._since = {path: look for path, look in self._since.items() if path in kept}


def scan_inbox(root: Path, patterns: Sequence[str]) -> dict[Path, Signature]:
    """Find the recordings under a folder.

    Parameters
    ----------
    root : Path
        The inbox. Sub-folders are searched; symbolic links are not followed.
    patterns : sequence of str
        Such as ``*.mp4``; upper and lower case are the same.

    Returns
    -------
    dict of Path to Signature
        Temporary names and hidden files are left out, and what may not be looked at.

    Raises
    ------
    OSError
        If the inbox itself may not be listed, or it stops answering: an unreachable inbox must not be taken for
        an empty one.
    """
    found = {}
    for entry in _walk(root):
        if is_recording_name(entry.name, patterns):
            with _passing_over(entry.path):
                found[Path(entry.path)] = Signature.of(entry.path)
    return found


def is_recording_name(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file name matches a pattern and is neither a temporary one nor a sidecar's."""
    lower = name.lower()
    if lower.endswith(SIDECAR) or any(fnmatch(lower, pattern) for pattern in TEMPORARY):
        return False
    return any(fnmatch(lower, pattern.lower()) for pattern in patterns)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _is_text(entry.name):
                log.warning("%r has a name that is not valid Unicode and is left out: rename it", entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                with _passing_over(entry.path):
                    yield from _walk(Path(entry.path))


@contextmanager
def _passing_over(path: str) -> Iterator[None]:
    """Pass over one file or sub-folder that is gone or may not be read; what lies beside it is not its fault."""
    try:
        yield
    except FileNotFoundError:
        return  # Renamed or removed since its folder was listed.
    except PermissionError as error:
        log.warning("%s is left out: %s", path, error.strerror)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
