"""A share to break: a folder seen through a file system of its own, as a lab's share is.

It is mounted by FUSE (Linux, as root), read-only, and served by a process of its own: while that is stopped (SIGSTOP),
each look at the share hangs, as on a network that is gone; once it is killed, each look fails; and no events come for
what is written into the folder behind it, as from another machine. Run as a program it serves: `share.py FOLDER MOUNT`.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mounts import mount, unmount

# Of linux/fuse.h, version 7.31.
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 36, 42
NEEDS_RIGHTS = (LOOKUP, OPEN, OPENDIR)
UNANSWERED = (FORGET, INTERRUPT, BATCH_FORGET)
HEAD = struct.Struct("<IIQQIIIHH")
ANSWER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
READING = struct.Struct("<QQI")
MOST_BYTES = 1 << 20
ROOT = 1


class Share:
    """A folder, and the place where others see it.

    Parameters
    ----------
    folder : Path
        What is written here comes from another machine, as it were.
    target : Path
        An empty folder: here it is seen.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder, self.target = folder, target
        self._server: subprocess.Popen[bytes] | None = None

    def attach(self) -> None:
        """Mount the share."""
        command = [sys.executable, __file__, str(self.folder), str(self.target)]
        self._server = subprocess.Popen(command)
        while not self.target.is_mount():
            assert self._server.poll() is None, "the share's server ended"
            time.sleep(0.01)

    def detach(self) -> None:
        """Take the mount away, whoever reads from it: an empty folder is left. What hangs there fails."""
        unmount(self.target)
        self.kill()

    def kill(self) -> None:
        """Let each look at the share fail from now on."""
        if self._server:
            self._server.kill()
            self._server.communicate()

    @contextmanager
    def denied(self) -> Iterator[None]:
        """Let nobody list or open anything until the end of the context."""
        assert self._server
        self._server.send_signal(signal.SIGUSR1)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGUSR2)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let each look at the share wait until the end of the context."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)


class Server:
    """Answers the kernel's questions about a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        # The first question of all is about nothing.
        self._paths = {0: folder, ROOT: folder}
        self._nodes = {folder: ROOT}
        self.is_denied = False
        self._answers: dict[int, Callable[[Path, bytes], bytes]] = {
            INIT: self._begin,
            LOOKUP: self._look_up,
            GETATTR: self._describe,
            OPEN: self._open,
            OPENDIR: self._open,
            READ: self._read,
            READDIR: self._list,
            STATFS: self._measure,
            RELEASE: self._do_nothing,
            RELEASEDIR: self._do_nothing,
            FLUSH: self._do_nothing,
        }

    def serve(self, channel: int) -> None:
        """Answer until the share is taken away."""
        while True:
            try:
                question = os.read(channel, MOST_BYTES + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                raise
            _, operation, number, node, *_ = HEAD.unpack_from(question)
            if operation in UNANSWERED:
                continue
            told, status = b"", 0
            try:
                answer = self._answers.get(operation)
                if answer is None:
                    status = -errno.ENOSYS
                elif self.is_denied and operation in NEEDS_RIGHTS:
                    status = -errno.EACCES
                else:
                    told = answer(self._paths[node], question[HEAD.size :])
            except OSError as error:
                status = -(error.errno or errno.EIO)
            os.write(channel, ANSWER.pack(ANSWER.size + len(told), status, number) + told)

    def _begin(self, _path: Path, body: bytes) -> bytes:
        _, _, readahead, _ = struct.unpack_from("<IIII", body)
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 0, 0, MOST_BYTES, 1, 0, 0, 0)

    def _look_up(self, folder: Path, body: bytes) -> bytes:
        path = folder / os.fsdecode(body.rstrip(b"\0"))
        described = self._attributes(path)
        node = self._nodes.setdefault(path, len(self._nodes) + 1)
        self._paths[node] = path
        # Nothing is kept by the kernel: each look asks here.
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + described

    def _describe(self, path: Path, _body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attributes(path)

    def _attributes(self, path: Path) -> bytes:
        found = path.lstat()
        times_ns = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return ATTRIBUTES.pack(
            found.st_ino,
            found.st_size,
            found.st_blocks,
            *(time_ns // 10**9 for time_ns in times_ns),
            *(time_ns % 10**9 for time_ns in times_ns),
            found.st_mode,
            found.st_nlink,
            found.st_uid,
            found.st_gid,
            0,
            4096,
            0,
        )

    def _open(self, path: Path, _body: bytes) -> bytes:
        path.lstat()
        return struct.pack("<QII", 0, 0, 0)

    def _read(self, path: Path, body: bytes) -> bytes:
        _, start, n_bytes = READING.unpack_from(body)
        with path.open("rb") as file:
            file.seek(start)
            return file.read(n_bytes)

    def _list(self, path: Path, body: bytes) -> bytes:
        _, start, n_bytes = READING.unpack_from(body)
        told = b""
        for number, name in enumerate(sorted(os.listdir(os.fsencode(path)))[start:], start=start + 1):  # noqa: PTH208
            entry = struct.pack("<QQII", number, number, len(name), 0) + name
            entry += bytes(-len(entry) % 8)
            if len(told) + len(entry) > n_bytes:
                break
            told += entry
        return told

    def _measure(self, _path: Path, _body: bytes) -> bytes:
        return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0)

    def _do_nothing(self, _path: Path, _body: bytes) -> bytes:
        return b""


def main() -> None:
    """Mount a folder and serve it."""
    folder, target = map(Path, sys.argv[1:])
    channel = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0,allow_other"
    server = Server(folder)
    for number, is_denied in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
        signal.signal(number, lambda *_, is_denied=is_denied: setattr(server, "is_denied", is_denied))
    mount("fuse.share", target, options)
    server.serve(channel)


if __name__ == "__main__":
    main()
