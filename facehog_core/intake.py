"""What lies in an inbox, and when a file, or a folder of images, may be taken up.

Nothing here knows who looks, or how a run is asked for. A file is settled when its size, time and inode have
stood still for a while by our own clock: the clock of a share may be wrong, and events of a share may never
come. A folder of images is settled when all of its images have.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from .sequence import is_still_name, is_text
from .source import Signature, look_at_image

__all__ = ["Looks", "Signature", "is_recording_name", "is_temporary_name", "scan_inbox"]

log = logging.getLogger(__name__)

# Names that copying programs give to what they have not finished (rsync, browsers, WinSCP, editors).
TEMPORARY = ("*.part", "*.partial", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "*~", ".*", "~*")

# How the name of the file ends that says what is to be done to the recording beside it.
SIDECAR = ".facehog.toml"


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
    _told: set[str] = field(default_factory=set)

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

    def tell_once(self, message: str) -> None:
        """Log what was seen, unless an earlier look has."""
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def scan_inbox(root: Path, patterns: Sequence[str], tell: Callable[[str], None] = log.warning) -> dict[Path, Signature]:
    """Find the recordings under a folder: files, and folders of images.

    Parameters
    ----------
    root : Path
        The inbox. Sub-folders are searched; symbolic links are not followed.
    patterns : sequence of str
        Such as ``*.mp4``; upper and lower case are the same. A sub-folder that holds an image of such a name
        (``*.png``) is a recording, with all images in it; images that lie in the inbox itself are none.
    tell : callable, optional
        Takes what whoever fills the inbox should know.

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
    for folder, files in _walk(root, tell):
        stills = [entry for entry in files if is_still_name(entry.name)]
        for entry in files:
            if not is_still_name(entry.name) and is_recording_name(entry.name, patterns):
                with _passing_over(entry.path, tell):
                    found[Path(entry.path)] = Signature.of(entry.path)
        if not any(is_recording_name(entry.name, patterns) for entry in stills):
            continue
        if folder == root:
            tell(f"{root} holds images itself: put those of each recording into a folder of their own")
            continue
        with _passing_over(str(folder), tell):
            found[folder] = Signature.of_images(filter(None, map(look_at_image, stills)))
    return found


def is_recording_name(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file name matches a pattern and is neither a temporary one nor a sidecar's."""
    lower = name.lower()
    if lower.endswith(SIDECAR) or is_temporary_name(name):
        return False
    return any(fnmatch(lower, pattern.lower()) for pattern in patterns)


def is_temporary_name(name: str) -> bool:
    """Say whether a file name is one of those that copying programs give."""
    lower = name.lower()
    return any(fnmatch(lower, pattern) for pattern in TEMPORARY)


def _walk(folder: Path, tell: Callable[[str], None]) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield each folder with its files; links and hidden folders are passed over."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_text(entry.name):
                tell(f"{entry.path!r} has a name that is not valid Unicode and is left out: rename it")
            elif entry.is_file(follow_symlinks=False):
                files.append(entry)
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                folders.append(Path(entry.path))
    yield folder, files
    for inner in folders:
        with _passing_over(str(inner), tell):
            yield from _walk(inner, tell)


@contextmanager
def _passing_over(path: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Pass over one file or sub-folder that is gone or may not be read; what lies beside it is not its fault."""
    try:
        yield
    except FileNotFoundError:
        return  # Renamed or removed since its folder was listed.
    except PermissionError as error:
        tell(f"{path} is left out: {error.strerror}")
