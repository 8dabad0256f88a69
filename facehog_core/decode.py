"""Frame i is frame i: decoding any span of a recording exactly.

A seek is a request, not a promise: MPEG-TS lands too late, others land anywhere before. So nothing that comes
after a seek is taken for what was asked for: packets are dropped up to the keyframe's own, and each frame
that comes out is recognised by its pts. Where a keyframe does not lead to the frame that is wanted (intra
refresh needs some frames to recover), decoding starts further in front, in the end at the file's beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .container import COPY_AGAIN, iter_packets, open_container
from .errors import DamagedError, RecordingRefusedError
from .frame_index import FrameIndex
from .grey import luma_of
from .video import VideoInfo, check_unchanged

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFrame:
    """One frame as it comes from the decoder.

    Parameters
    ----------
    index : int
        Its number in the recording, from 0, in presentation order.
    pts : int
        Its presentation time in units of the stream's time base, as in the frame index.
    is_corrupt : bool
        Whether the decoder says that it is damaged.
    frame : av.VideoFrame
        Its pixels. Hold it no longer than needed: each keeps a whole frame's memory.
    """

    index: int
    pts: int
    is_corrupt: bool
    frame: VideoFrame

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The Y plane in place, shape (height_px, width_px): see `facehog_core.grey.luma_of`."""
        return luma_of(self.frame)


def iter_frames(
    info: VideoInfo, index: FrameIndex, start: int, stop: int, *, n_threads: int = 1
) -> Generator[DecodedFrame]:
    """Decode the frames ``[start, stop)``: each once, in order.

    Parameters
    ----------
    info : VideoInfo
    index : FrameIndex
        What `probe` found.
    start, stop : int
        The first frame, and the frame after the last.
    n_threads : int, optional
        Decoding threads. With more than one the decoder is silent about some damage: `is_corrupt` may not be
        set on a damaged frame.

    Yields
    ------
    DecodedFrame

    Raises
    ------
    ValueError
        If the span is not within the recording.
    ChangedError
        If the file is not the one that was probed.
    DamagedError
        If a frame of the span cannot be decoded.
    RecordingRefusedError
        If the size of the frames changes.
    """
    if not 0 <= start <= stop <= index.n_frames:
        raise ValueError(f"no span [{start}, {stop}) in a recording of {index.n_frames} frames")
    check_unchanged(info)
    return _decode(info, index, start, stop, n_threads)


def _decode(info: VideoInfo, index: FrameIndex, start: int, stop: int, n_threads: int) -> Generator[DecodedFrame]:
    wanted = start
    for origin in _origins(index, start) if start < stop else ():
        with closing(_decode_from(origin, info, index, wanted, stop, n_threads)) as frames:
            for decoded in frames:
                yield decoded
                wanted = decoded.index + 1
        if wanted == stop:
            return
    if wanted < stop:
        fact = f"frame {wanted} of {index.n_frames} cannot be decoded"
        raise DamagedError(info.path, fact, COPY_AGAIN)


def _origins(index: FrameIndex, start: int) -> list[int]:
    """Return where to start decoding for a frame, the best place first.

    The file's beginning is the last resort, since a plain sequential decode is what a frame's number means.
    """
    nearest = index.keyframe_at_or_before(start)
    before = index.keyframe_at_or_before(max(nearest - 1, 0))
    return list(dict.fromkeys((nearest, before, 0)))


def _decode_from(
    origin: int, info: VideoInfo, index: FrameIndex, start: int, stop: int, n_threads: int
) -> Generator[DecodedFrame]:
    """Decode from a keyframe, and yield frames from `start` on for as long as none is missing."""
    with open_container(info.path) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_count = n_threads
        stream.codec_context.thread_type = "FRAME"
        wanted = start
        packets = _packets_from(origin, container, stream, index)
        for position, frame in enumerate(_pictures(packets, info.path)):
            number = index.frame_at(frame.pts) if index.is_seekable else position
            if number is None or number < wanted:
                continue  # decoded only for what follows
            if number > wanted:
                return
            _check_size(info, frame, number)
            pts = int(index.pts[number])
            yield DecodedFrame(index=number, pts=pts, is_corrupt=frame.is_corrupt, frame=frame)
            wanted += 1
            if wanted == stop:
                return


def _pictures(packets: Iterator[Packet[VideoStream]], path: str) -> Iterator[VideoFrame]:
    """Yield what the decoder makes of packets, until it fails."""
    while True:
        try:
            pictures = next(packets).decode()
        except StopIteration:
            return
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            _log.warning("%s: decoding stops: %s", path, error.strerror)
            return
        yield from pictures


def _packets_from(
    origin: int, container: InputContainer, stream: VideoStream, index: FrameIndex
) -> Iterator[Packet[VideoStream]]:
    """Yield packets in file order from a keyframe's own on; none if it is not found."""
    if origin == 0:
        yield from iter_packets(container, stream)
        return
    keyframe_pts = int(index.pts[origin])
    for near in (origin, index.keyframe_at_or_before(origin - 1)):
        try:
            container.seek(int(index.pts[near]), stream=stream)
        except av.FFmpegError:
            continue
        packets = iter_packets(container, stream)
        for packet in packets:
            if packet.pts == keyframe_pts:
                yield packet
                yield from packets
                return
            if packet.dts is not None and packet.dts > keyframe_pts:
                break  # a packet comes no later than its frame is shown: the seek landed behind it


def _check_size(info: VideoInfo, frame: VideoFrame, number: int) -> None:
    if (frame.width, frame.height) != (info.width, info.height):
        sizes = f"from {info.width} x {info.height} to {frame.width} x {frame.height}"
        fact = f"the size of its frames changes {sizes} at frame {number}"
        raise RecordingRefusedError(info.path, fact, "Cut it there into two recordings.")
