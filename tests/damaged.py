"""Recordings that are damaged in known places, and what is seen of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
from recordings import md5_of

from facehog_core.decode import iter_frames
from facehog_core.frame_index import FrameIndex
from facehog_core.video import VideoInfo


class Found(NamedTuple):
    """What a frame of a damaged recording is: checksum of its pixels (None if it is lost), and its mark."""

    md5: str | None
    is_corrupt: bool


def decode_span(info: VideoInfo, index: FrameIndex, start: int, stop: int, **options: int) -> list[Found]:
    frames = list(iter_frames(info, index, start, stop, **options))
    assert [decoded.index for decoded in frames] == list(range(start, stop))
    assert [decoded.pts for decoded in frames] == index.pts[start:stop].tolist()
    return [Found(md5_of(decoded.frame) if decoded.frame else None, decoded.is_corrupt) for decoded in frames]


@functools.cache
def packets_of(path: Path) -> list[slice]:
    """Return where in the file the packets lie, in file order."""
    with av.open(path) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    return [slice(pos, pos + size) for pos, size in places if pos is not None]


def damage(source: Path, target: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(source.read_bytes())
    change(content)
    target.write_bytes(content)
    return target


def flip(number: int, source: Path) -> Callable[[bytearray], None]:
    """Flip a bit in the middle of a packet."""
    place = packets_of(source)[number]

    def change(content: bytearray) -> None:
        content[(place.start + place.stop) // 2] ^= 0x10

    return change


def blank(number: int, source: Path, n_bytes: int = 4096) -> Callable[[bytearray], None]:
    """Write zeros over 4 kB, as a disk's lost block reads."""
    start = packets_of(source)[number].start

    def change(content: bytearray) -> None:
        content[start : start + n_bytes] = bytes(n_bytes)

    return change


def spoil(number: int, source: Path) -> Callable[[bytearray], None]:
    """Make a packet no H264 at all."""
    place = packets_of(source)[number]

    def change(content: bytearray) -> None:
        content[place] = b"\xff" * (place.stop - place.start)

    return change
