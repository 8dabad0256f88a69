"""File systems that come and go (Linux, as root)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of sys/mount.h.
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
MNT_DETACH = 2
# Between two tries where somebody is writing just now, seconds.
RETRY_S = 0.01


def can_mount() -> bool:
    """Say whether a share can be mounted here."""
    return sys.platform == "linux" and Path("/dev/fuse").exists() and os.geteuid() == 0


def mount(kind: str, target: Path, options: str = "", flags: int = 0) -> None:
    """Mount a file system of some kind."""
    status = _libc().mount(kind.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
    if status:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def mount_tmpfs(target: Path, size_bytes: int) -> None:
    """Mount a file system in memory that holds no more than so many bytes."""
    mount("tmpfs", target, f"size={size_bytes}")


def unmount(target: Path) -> None:
    """Take a mount away, also one that is in use; nothing happens where there is none."""
    _libc().umount2(os.fsencode(target), MNT_DETACH)


@contextmanager
def read_only(target: Path) -> Iterator[None]:
    """Let nobody write to a mount for the time of the context."""
    while True:
        try:
            mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
            break
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(RETRY_S)
    try:
        yield
    finally:
        mount("", target, flags=MS_BIND | MS_REMOUNT)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
