"""What lies in an inbox at one look: recordings, what could not be looked at, and what whoever fills it should know."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .intake import is_recording_name
from .path_text import as_text
from .sequence import is_still_name
from .source import ImageFile, Signature, look_at_image

# What a share answers that is not there as a whole: nothing beside it will fare better.
_SHARE_IS_GONE = frozenset(
    getattr(errno, name)
    for name in (
        "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH",
        "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EREMOTEIO",
    )
    if hasattr(errno, name)
)  # fmt: skip
# A listing of Windows' has sizes as of when files were last closed, and no inodes: one that grows stands still there.
_LISTS_OLD_SIZES = os.name == "nt"
# So many that cannot be looked at are no fault of theirs; and each may take its time to fail. Rights are of each place.
MOST_UNREAD = 20


@dataclass(slots=True, kw_only=True)
class Scan:
    """What one look at an inbox found. Paths are texts here: a look at 10,000 old files is to cost next to nothing.

    Parameters
    ----------
    found : dict of str to Signature
        The recordings: files, and folders of images.
    unread : dict of str to str
        Recordings and folders that the system would not let us look at, and what it said. Nothing may be concluded of
        them, nor of what lies below.
    unread_files : dict of str to str
        The recordings among them.
    remarks : list of str
        What is left out, and why.
    n_failed : int
        How many of `unread` are not for lack of rights.
    is_bare : bool
        Whether there is nothing at all, as in a folder on which no share is mounted.
    """

    found: dict[str, Signature] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    unread_files: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    n_failed: int = 0
    is_bare: bool = False

    @property
    def paths(self) -> dict[Path, Signature]:
        """The recordings by path."""
        return {Path(name): signature for name, signature in self.found.items()}

    def may_hold(self, path: str) -> bool:
        """Say whether a recording that was not found may be there all the same."""
        return any(path == unread or path.startswith(unread + os.sep) for unread in self.unread)


def _ignore() -> None:
    pass


def scan_inbox(
    root: Path,
    patterns: Sequence[str],
    *,
    depth: int | None = None,
    has_inodes: bool = True,
    beat: Callable[[], None] = _ignore,
) -> Scan:
    """Find the recordings under a folder: files, and folders of images.

    Parameters
    ----------
    root : Path
        The inbox. Sub-folders are searched; symbolic links are not followed.
    patterns : sequence of str
        Such as ``*.mp4``; upper and lower case are the same. A sub-folder that holds an image of such a name
        (``*.png``) is a recording, with all images in it; images that lie in the inbox itself are none.
    depth : int, optional
        Levels of sub-folders that are searched; all if left out.
    has_inodes : bool, optional
        Whether the file system gives a file the same inode as long as it is there. If not, those of files are 0.
    beat : callable, optional
        Is called before each question to the system, which may not return.

    Returns
    -------
    Scan
        Temporary names and hidden files are left out.

    Raises
    ------
    OSError
        If the inbox itself may not be listed, or it stops answering: an unreachable inbox must not be taken for
        an empty one.
    """
    scan = Scan()
    folders = [(str(root), 0)]
    while folders:
        folder, level = folders.pop()
        beat()
        try:
            listed = _list(folder, patterns, scan)
            _take_images(folder, listed.stills, patterns, scan, is_root=level == 0, beat=beat)
        except OSError as error:
            if level == 0:
                raise
            _pass_over(folder, error, scan)
            continue
        if level == 0:
            scan.is_bare = not (listed.files or listed.stills or listed.folders or listed.n_others)
        if depth is None or level < depth:
            folders += [(inner, level + 1) for inner in reversed(listed.folders)]
        for entry in listed.files:
            if is_recording_name(entry.name, patterns):
                beat()
                _take(entry, scan, has_inodes=has_inodes)
    return scan


@dataclass(slots=True)
class _Listing:
    files: list[os.DirEntry[str]] = field(default_factory=list)
    stills: list[os.DirEntry[str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    n_others: int = 0


def _list(folder: str, patterns: Sequence[str], scan: Scan) -> _Listing:
    listed = _Listing()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                (listed.stills if is_still_name(entry.name) else listed.files).append(entry)
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                listed.folders.append(entry.path)
            else:
                listed.n_others += 1
                if entry.is_symlink() and is_recording_name(entry.name, patterns):
                    scan.remarks.append(
                        f"{as_text(entry.path)} is a symbolic link and is left out: put the recording there"
                    )
    return listed


def _take(entry: os.DirEntry[str], scan: Scan, *, has_inodes: bool) -> None:
    try:
        found = (
            os.stat(entry.path, follow_symlinks=False)  # noqa: PTH116 - no Path for each of 10,000 files
            if _LISTS_OLD_SIZES
            else entry.stat(follow_symlinks=False)
        )
    except OSError as error:
        _pass_over(entry.path, error, scan)
        if told := scan.unread.get(entry.path):
            scan.unread_files[entry.path] = told
        return
    inode = found.st_ino if has_inodes else 0
    scan.found[entry.path] = Signature(size_bytes=found.st_size, mtime_ns=found.st_mtime_ns, inode=inode)


def _take_images(
    folder: str,
    stills: Sequence[os.DirEntry[str]],
    patterns: Sequence[str],
    scan: Scan,
    *,
    is_root: bool,
    beat: Callable[[], None],
) -> None:
    if not any(is_recording_name(entry.name, patterns) for entry in stills):
        return
    if is_root:
        scan.remarks.append(
            f"{as_text(folder)} holds images itself: put those of each recording into a folder of their own"
        )
        return

    def look(entry: os.DirEntry[str]) -> ImageFile | None:
        beat()
        return look_at_image(entry)

    scan.found[folder] = Signature.of_images(filter(None, map(look, stills)))


def _pass_over(path: str, error: OSError, scan: Scan) -> None:
    """Pass over one file or sub-folder that is gone or cannot be looked at; what lies beside it is not its fault."""
    if isinstance(error, FileNotFoundError):
        return  # Renamed or removed since its folder was listed.
    scan.n_failed += not isinstance(error, PermissionError)
    if error.errno in _SHARE_IS_GONE or scan.n_failed > MOST_UNREAD:
        raise OSError(error.errno, error.strerror, path) from error
    scan.unread[path] = error.strerror or str(error)
