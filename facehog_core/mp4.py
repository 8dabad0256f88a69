"""The boxes of an MP4 or MOV: how it is laid out and what its index claims, without believing any of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

# Boxes that hold boxes, as FFmpeg reads them.
_NESTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf", b"udta", b"dinf", b"wave"}
# FFmpeg follows boxes no deeper.
_DEEPEST = 12
# Tables with a count of rows after version and flags, and the least bytes of a row.
_ROW_BYTES = {
    b"stts": 8,
    b"ctts": 8,
    b"stsc": 12,
    b"stss": 4,
    b"stps": 4,
    b"stco": 4,
    b"co64": 8,
    b"elst": 12,
}
# Samples of uncompressed sound that FFmpeg takes as one.
_PCM_BLOCK = 1024
# Flags of a fragment's table that put 4 bytes into its head, and into each of its rows.
_TRUN_HEAD, _TRUN_ROW = (0x1, 0x4), (0x100, 0x200, 0x400, 0x800)
_BLOCK_ROWS = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box as its header says.

    Parameters
    ----------
    kind : bytes
        Four letters.
    content, stop : int
        Where its content begins and where it ends, in bytes from the start of the file.
    """

    kind: bytes
    content: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an index says that it describes.

    Parameters
    ----------
    n_samples : int
        Samples of all tracks and fragments.
    n_edits : int
        Entries of the longest edit list.
    largest_bytes : int
        Size of the largest sample.
    overdrawn : tuple of (str, int), optional
        A table with more rows than its box can hold: its name and what it claims.
    is_compressed : bool
        Whether an index is compressed (QuickTime's cmov), and so not looked into.
    """

    n_samples: int
    n_edits: int
    largest_bytes: int
    overdrawn: tuple[str, int] | None
    is_compressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The outermost boxes of a file, as far as they make sense.

    Parameters
    ----------
    kinds : frozenset of bytes
    first, last : bytes
        Kinds of the first and the last.
    last_start, stop : int
        Where the last begins, and where it ends by its own word, in bytes from the start of the file.
    size_bytes : int
        Where the file ends.
    """

    kinds: frozenset[bytes]
    first: bytes
    last: bytes
    last_start: int
    stop: int
    size_bytes: int

    @property
    def is_cut_off(self) -> bool:
        """Whether the file ends within the last box."""
        return self.stop > self.size_bytes


def read_outline(path: str) -> Outline | None:
    """Read which outermost boxes there are; None if there is none."""
    kinds: dict[bytes, None] = {}
    last, last_start, stop = b"", 0, 0
    with Path(path).open("rb") as file:
        size_bytes = file.seek(0, SEEK_END)
        for box in _boxes(file, 0, size_bytes):
            kinds[box.kind] = None
            last, last_start, stop = box.kind, stop, box.stop
    if not kinds:
        return None
    return Outline(
        kinds=frozenset(kinds),
        first=next(iter(kinds)),
        last=last,
        last_start=last_start,
        stop=stop,
        size_bytes=size_bytes,
    )


def read_claims(path: str) -> Claims:
    """Read what the index of an MP4 or MOV claims; of another file it is nothing.

    Nothing is allocated for what is claimed, and only sizes of samples are read through.
    """
    with Path(path).open("rb") as file:
        size_bytes = file.seek(0, 2)
        tally = _Tally(file, size_bytes)
        for box in _walk(file, 0, size_bytes, 0):
            tally.take(box)
        return tally.conclude()


class _Tally:
    """Adds up the claims of one box after the other."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file, self._size_bytes = file, size_bytes
        self._n_samples, self._n_edits, self._largest_bytes = 0, 0, 0
        self._overdrawn: tuple[str, int] | None = None
        self._is_compressed = False
        self._begin_track()

    def take(self, box: Box) -> None:
        if box.kind == b"trak":
            self._end_track()
            self._begin_track()
        elif box.kind == b"cmov":
            self._is_compressed = True
        elif box.kind == b"hdlr":
            (handler,) = _read(self._file, box.content + 8, ">4s")
            self._is_sound |= handler == b"soun"
        elif box.kind in (b"stsz", b"stz2", b"trun"):
            self._take_sizes(box)
        elif box.kind in _ROW_BYTES:
            self._take_table(box)

    def conclude(self) -> Claims:
        self._end_track()
        return Claims(
            n_samples=self._n_samples,
            n_edits=self._n_edits,
            largest_bytes=self._largest_bytes,
            overdrawn=self._overdrawn,
            is_compressed=self._is_compressed,
        )

    def _begin_track(self) -> None:
        self._is_sound, self._is_even, self._n_alike = False, False, 0

    def _end_track(self) -> None:
        # Sound without compression has tens of thousands of samples a second, and FFmpeg takes many at once.
        self._n_samples += self._n_alike // _PCM_BLOCK if self._is_sound and self._is_even else self._n_alike

    def _take_sizes(self, box: Box) -> None:
        n_rows, row_bytes, offset, fixed_bytes = _sizes_of(self._file, box)
        start, stop = box.content + offset, min(box.stop, self._size_bytes)
        if n_rows * row_bytes > box.stop - start:
            self._overdrawn = self._overdrawn or (box.kind.decode(), n_rows)
        elif fixed_bytes:
            self._n_alike += n_rows
            self._largest_bytes = max(self._largest_bytes, fixed_bytes)
        else:
            self._n_samples += n_rows
            if box.kind == b"stsz":
                self._largest_bytes = max(self._largest_bytes, _largest_of(self._file, start, stop))

    def _take_table(self, box: Box) -> None:
        n_rows, _, step = _read(self._file, box.content + 4, ">III")
        if n_rows * _ROW_BYTES[box.kind] > box.stop - box.content - 8:
            self._overdrawn = self._overdrawn or (box.kind.decode(), n_rows)
        elif box.kind == b"elst":
            self._n_edits = max(self._n_edits, n_rows)
        elif box.kind == b"stts":
            self._is_even = (n_rows, step) == (1, 1)


def _sizes_of(file: BinaryIO, box: Box) -> tuple[int, int, int, int]:
    """Return a table's samples, the bytes of a row, where the rows begin, and the one size of all samples, if any."""
    flags, first, second = _read(file, box.content, ">III")
    if box.kind == b"stsz":
        return second, 0 if first else 4, 12, first
    if box.kind == b"stz2":
        # Half bytes are rounded down: the table may not be longer than the box.
        return second, (first & 0xFF) // 8, 12, 0
    head = 8 + 4 * sum(bool(flags & flag) for flag in _TRUN_HEAD)
    return first, 4 * sum(bool(flags & flag) for flag in _TRUN_ROW), head, 0


def _largest_of(file: BinaryIO, start: int, stop: int) -> int:
    """Return the largest of the 32-bit values in a part of a file."""
    file.seek(start)
    largest = 0
    while n_bytes := min(stop - file.tell(), 4 * _BLOCK_ROWS) // 4 * 4:
        block = np.frombuffer(file.read(n_bytes), ">u4")
        largest = max(largest, int(block.max()))
    return largest


def _walk(file: BinaryIO, start: int, stop: int, depth: int) -> Iterator[Box]:
    for box in _boxes(file, start, stop):
        yield box
        if box.kind in _NESTS and depth < _DEEPEST:
            yield from _walk(file, box.content, min(box.stop, stop), depth + 1)


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    position = start
    while position < stop:
        size, kind = _read(file, position, ">I4s")
        content = position + 8
        if size == 1:
            (size,) = _read(file, content, ">Q")
            content += 8
        elif size == 0 and kind == bytes(4):
            return  # a hole, or what fills the rest
        elif size == 0:
            size = stop - position  # to the end
        if size < content - position:
            return
        yield Box(kind=kind, content=content, stop=position + size)
        position += size


def _read(file: BinaryIO, position: int, form: str) -> tuple[Any, ...]:
    """Read values; what lies behind the end of the file is zero."""
    file.seek(position)
    n_bytes = struct.calcsize(form)
    return struct.unpack(form, file.read(n_bytes).ljust(n_bytes, b"\0"))
