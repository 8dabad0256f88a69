"""What a recording is on the disk: a file, or a folder of images. All else asks here, and need not know which.

A source is known by its looks (sizes, times and inodes, found without reading it) and by its content's digest.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import xxhash

from .path_text import as_text, as_typed
from .sequence import is_still_name, natural_key

_HASH_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image of a folder as its folder lists it."""

    name: str
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What tells a recording from what stood under its name before, without reading it.

    Parameters
    ----------
    size_bytes : int
        Size of the file; of all images of a folder.
    mtime_ns : int
        Time of last change; of the image that changed last.
    inode : int
        The file's; a digest of names, sizes, times and inodes of a folder's images. 0 where it is not known, or means
        nothing.
    """

    size_bytes: int
    mtime_ns: int
    inode: int

    def is_like(self, other: Signature) -> bool:
        """Say whether nothing tells the two apart."""
        return self.is_of(other.size_bytes, other.mtime_ns, other.inode)

    def is_of(self, size_bytes: int, mtime_ns: int, inode: int) -> bool:
        """Say whether nothing tells it from what has these values."""
        if (self.size_bytes, self.mtime_ns) != (size_bytes, mtime_ns):
            return False
        return self.inode == inode or not (self.inode and inode)

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Signature:
        """Look at a file or folder.

        Raises
        ------
        OSError
            If it cannot be looked at.
        """
        found = Path(path).stat()
        if stat.S_ISDIR(found.st_mode):
            return cls.of_images(scan_images(path))
        return cls(size_bytes=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)

    @classmethod
    def of_images(cls, images: Iterable[ImageFile]) -> Signature:
        """Take the looks of a folder's images together, in whatever order they are listed."""
        images = sorted(images, key=lambda image: image.name)
        return cls(
            size_bytes=sum(image.size_bytes for image in images),
            mtime_ns=max((image.mtime_ns for image in images), default=0),
            inode=xxhash.xxh3_64_intdigest(
                _tell_looks(images) + b"".join(b"%d\n" % image.inode for image in images),
            ),
        )


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Say whether a recording is a folder of images; False also where nothing can be found out."""
    try:
        return Path(path).is_dir()
    except PermissionError:
        return False


def name_recording(path: str | os.PathLike[str]) -> str:
    """Return the name of a recording: that of its folder, or that of its file without the suffix."""
    path = Path(path)
    # Of `...mp4` there would be left the name of the folder above.
    return path.name if is_folder(path) or not path.stem.strip(".") else path.stem


def name_results(path: str | os.PathLike[str]) -> str:
    """Return what the folder of a recording's stores is called: its name, such that it can be typed.

    Recordings may share it: their stores are told apart by the names of their runs.
    """
    return as_typed(name_recording(path))


def scan_images(folder: str | os.PathLike[str]) -> Iterator[ImageFile]:
    """Look at the images of a folder, in the order in which the system lists them.

    Symbolic links are left out, and what is gone before it is looked at.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_still_name(entry.name) and (image := look_at_image(entry)):
                yield image


def look_at_image(entry: os.DirEntry[str]) -> ImageFile | None:
    """Look at an image of a folder that is being listed; None if it is no regular file, or gone."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        found = entry.stat(follow_symlinks=False)
        # On Windows the status that comes with a listing has no inode.
        return ImageFile(name=entry.name, size_bytes=found.st_size, mtime_ns=found.st_mtime_ns, inode=entry.inode())
    except FileNotFoundError:
        return None


def list_images(folder: str | os.PathLike[str]) -> list[ImageFile]:
    """Look at the images of a folder, and return them in the natural order of their names.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    return sorted(scan_images(folder), key=lambda image: natural_key(image.name))


def digest_looks(images: Iterable[ImageFile]) -> str:
    """Return a digest of names, sizes and times: two listings share it only if no image changed in between.

    Inodes are no part of it, since another machine may see others on the same share.
    """
    return xxhash.xxh3_64_hexdigest(_tell_looks(sorted(images, key=lambda image: image.name)))


def _tell_looks(images: Iterable[ImageFile]) -> bytes:
    return b"".join(
        b"%s\0%d %d\n" % (as_text(image.name).encode(), image.size_bytes, image.mtime_ns) for image in images
    )


class ImagesDigest:
    """The digest of a folder of images: of their contents, in natural order of their names.

    Each image's length is a part of it, so that no bytes can move from one image to the next.
    """

    def __init__(self) -> None:
        self._content = xxhash.xxh3_128()

    def add(self, content: bytes) -> None:
        """Add an image that was read."""
        self._content.update(content)
        self._end(len(content))

    def add_file(self, path: Path) -> None:
        """Read and add an image."""
        self._end(_read_into(self._content, path))

    def _end(self, n_bytes: int) -> None:
        self._content.update(n_bytes.to_bytes(8, "little"))

    def hexdigest(self) -> str:
        """Return it in hexadecimal digits."""
        return self._content.hexdigest()


def digest_source(path: str | os.PathLike[str]) -> str:
    """Return the XXH3 128 [1]_ of a recording's content, of a file or of a folder's images, in hexadecimal digits.

    Raises
    ------
    OSError
        If it cannot be read.

    References
    ----------
    .. [1] Y. Collet, xxHash, https://xxhash.com
    """
    if not is_folder(path):
        return digest_file(path)
    content = ImagesDigest()
    for image in list_images(path):
        content.add_file(Path(path, image.name))
    return content.hexdigest()


def digest_file(path: str | os.PathLike[str]) -> str:
    """Return the XXH3 128 of a file's content in hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    return measure_file(path)[1]


def measure_file(path: str | os.PathLike[str]) -> tuple[int, str]:
    """Return a file's size in bytes and the digest of its content, which is read once for both."""
    content = xxhash.xxh3_128()
    return _read_into(content, Path(path)), content.hexdigest()


def open_file(path: str | os.PathLike[str]) -> FileIO:
    """Open a file to read it; a named pipe is refused, since nobody may ever write to its other end.

    Raises
    ------
    OSError
        If it is no regular file, or cannot be opened.
    """
    # Else whoever opens a pipe waits for its other end. Windows has neither, but takes line ends for others.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, "it is no regular file", os.fspath(path))
        return FileIO(handle)
    except BaseException:
        os.close(handle)
        raise


def _read_into(content: xxhash.xxh3_128, path: Path) -> int:
    """Add a file's content to a digest in small pieces, and return its length in bytes."""
    buffer = memoryview(bytearray(_HASH_BUFFER_BYTES))
    total = 0
    with open_file(path) as file:
        while n_bytes := file.readinto(buffer):
            content.update(buffer[:n_bytes])
            total += n_bytes
    return total
