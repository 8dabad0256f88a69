"""Frame i is frame i, and damage keeps its place: decoding any span of a recording exactly.

A seek is a request, not a promise: MPEG-TS lands too late, others land anywhere before. So nothing that comes
after a seek is taken for what was asked for: packets are dropped up to the keyframe's own, each carries the
number of its frame through the decoder, and so each frame that comes out says which one it is.

After an error a decoder goes on with what it has, and what it gives may be wrong without a word. So from
the error to the end of its GOP, every frame that was decoded later is marked as corrupt, and a frame that
does not come at all is given out as lost, under its own number. What a decoder makes of damage also depends on what
it has seen before: so a GOP with damage in it is decoded by itself, from its own keyframe, and the next one anew. Its
frames are then the same for whoever reads it, from wherever.

With more than one decoding thread a decoder says of damage what it says with one, if it is asked late enough. But what
it makes of damage then depends on which thread was first, and on what each thread has seen itself. So many threads are
believed up to the first sign of damage, of which they say more than one would (`STRICT`), and what follows is decoded
again by one.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .container import iter_packets, open_container, video_stream
from .errors import RecordingRefusedError
from .frame_index import NO_PACKET, FrameIndex, new_parameters
from .grey import luma_of
from .h264 import HeaderReader
from .limits import MOST_PIXELS
from .stills import iter_stills
from .video import VideoInfo, check_unchanged

# The number of a packet whose frame is decoded and not shown.
_NOT_SHOWN = -1
# A frame that an edit list hides goes through the decoder under this number less its position.
_HIDDEN = -2

_log = logging.getLogger(__name__)

# What makes a decoder notice damage, and say so. A frame is flagged where errors were concealed in it: without
# concealment (ec=0) it is silent.
# Its memory must not grow beyond measure where the size changes in mid-stream.
CAREFUL = {"err_detect": "crccheck+bitstream+buffer", "ec": "guess_mvs+deblock", "max_pixels": str(MOST_PIXELS)}
# What makes it fail where it would go on: each of several threads goes on with what it has seen itself.
STRICT = CAREFUL | {"err_detect": f"{CAREFUL['err_detect']}+explode"}


# Frames that FFmpeg can hold back at most, to give them out in the order of display. With several threads a frame's
# flag is read when it is given out, and set when the thread that decodes it is done with it: that need not be earlier,
# unless as many packets went in since as there are threads.
MOST_DELAYED = 16
# Frames are stored before they are shown by few others. What is left of the delay is enough for these.
MOST_THREADS = 12


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
        Whether it is damaged, or may be: an error came before it in its GOP.
    frame : av.VideoFrame or None
        Its pixels, None if it is lost. Hold it no longer than needed: each keeps a whole frame's memory.
    """

    index: int
    pts: int
    is_corrupt: bool
    frame: VideoFrame | None

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The Y plane in place, shape (height_px, width_px): see `facehog_core.grey.luma_of`."""
        if self.frame is None:
            raise ValueError(f"frame {self.index} is lost")
        return luma_of(self.frame)


def iter_frames(
    info: VideoInfo, index: FrameIndex, start: int, stop: int, *, n_threads: int = 1
) -> Generator[DecodedFrame]:
    """Decode the frames ``[start, stop)``: each once, in order, also those that are lost.

    Parameters
    ----------
    info : VideoInfo
    index : FrameIndex
        What `probe` found.
    start, stop : int
        The first frame, and the frame after the last.
    n_threads : int, optional
        Decoding threads, of which no more than `count_useful_threads` are used. Each holds a frame, and where there are
        several, `MOST_DELAYED` more are held back, so they only pay where a span is long.

    Yields
    ------
    DecodedFrame
        The same for a frame whatever the span, and by however many threads.

    Raises
    ------
    ValueError
        If the span is not within the recording.
    ChangedError
        If the file is not the one that was probed.
    RecordingRefusedError
        If the size of the frames changes.
    """
    if not 0 <= start <= stop <= index.n_frames:
        raise ValueError(f"no span [{start}, {stop}) in a recording of {index.n_frames} frames")
    if info.looks is not None:
        return _read_images(info, info.looks, index, start, stop)
    check_unchanged(info)
    n_used = 1 if n_threads == 1 else min(n_threads, count_useful_threads(index))
    return _decode(_Source(info, index, n_used), start, stop)


def count_useful_threads(index: FrameIndex) -> int:
    """Count the threads at most for which the decoder's delay is long enough to tell damage."""
    return max(min(MOST_THREADS, MOST_DELAYED - _count_waiting(index)), 1)


def _count_waiting(index: FrameIndex) -> int:
    """Count the frames at most that are stored before one and shown after it: a decoder's delay cannot be less."""
    there = index.packets[index.packets != NO_PACKET]
    return int((there.argsort().argsort() - np.arange(len(there))).max(initial=0))


def _read_images(info: VideoInfo, looks: str, index: FrameIndex, start: int, stop: int) -> Generator[DecodedFrame]:
    stills = iter_stills(info.path, looks, (info.width, info.height), start, stop)
    return (
        DecodedFrame(index=number, pts=int(index.pts[number]), is_corrupt=is_corrupt, frame=frame)
        for number, frame, is_corrupt in stills
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """A recording, and how many threads decode it."""

    info: VideoInfo
    index: FrameIndex
    n_threads: int


def _decode(source: _Source, start: int, stop: int) -> Generator[DecodedFrame]:
    wanted, by = start, source
    while wanted < stop:
        try:
            with closing(_decode_from(by, source.index.gop_at(wanted), stop)) as frames:
                for decoded in frames:
                    if decoded.index >= wanted:
                        yield decoded
                        wanted = decoded.index + 1
            by = source
        except _DoubtError:
            by = replace(source, n_threads=1)


def _decode_from(source: _Source, gop: range, stop: int) -> Generator[DecodedFrame]:
    """Decode a GOP from its first frame on, and what follows as long as there is no damage."""
    index = source.index
    before = index.keyframe_at_or_before(max(gop.start - 1, 0))
    if index.packets[gop.start] == NO_PACKET:
        for number in range(gop.start, min(gop.stop, stop)):
            yield DecodedFrame(index=number, pts=int(index.pts[number]), is_corrupt=True, frame=None)
        return
    # Intra refresh needs some frames to recover. The file's beginning is the last resort, since a plain
    # sequential decode is what a frame's number means.
    *others, last = dict.fromkeys((gop.start, before, 0))
    for origin in others:
        try:
            yield from _run(source, gop, origin, stop)
        except _NoStartError:
            continue
        return
    yield from _run(source, gop, last, stop, is_last=True)


class _DoubtError(Exception):
    """Something is wrong, or unusual: it takes one thread to find out what."""


class _NoStartError(Exception):
    """A keyframe does not lead to its own frame, though there is no damage."""


def _run(source: _Source, gop: range, origin: int, stop: int, *, is_last: bool = False) -> Generator[DecodedFrame]:
    """Decode from a keyframe on; yield frames from a GOP's first one until `stop`, or the first damage.

    Damage within the GOP ends it with the GOP, damage behind the GOP at once.
    """
    held = _Held(gop.start, origin, source.index)
    with open_container(source.info.path) as container:
        for pictures in _decode_packets(source, container, origin, held):
            for picture in pictures:
                held.take(picture)
            if source.n_threads > 1 and held.has_damage:
                raise _DoubtError
            for decoded in held.release():
                if held.has_damage and decoded.index >= gop.stop:
                    return
                if decoded.index == gop.start and held.is_start_missing and not is_last:
                    raise _NoStartError
                if decoded.frame is not None:
                    _check_size(source.info, decoded.frame, decoded.index)
                yield decoded
                if decoded.index + 1 == stop:
                    return


def _decode_packets(source: _Source, container: InputContainer, origin: int, held: _Held) -> Iterator[list[VideoFrame]]:
    """Feed the packets from a keyframe on to a decoder, and yield what it gives for each."""
    stream = video_stream(container, source.info.stream_index)
    decoder = stream.codec_context
    decoder.thread_count = source.n_threads
    decoder.thread_type = "FRAME"
    is_patient = source.n_threads > 1
    if is_patient:
        if decoder.reorder_depth < _count_waiting(source.index):
            # A decoder that finds out as it goes gives out in another order what a patient one sorts.
            raise _DoubtError
        decoder.reorder_depth = MOST_DELAYED
    decoder.options = STRICT if is_patient else CAREFUL
    headers = HeaderReader(decoder.extradata)
    for number, packet in _packets_from(origin, container, stream, source.index):
        # What leans on frames before the origin is not asked for, and fails for good reason.
        is_ours = number >= origin or number == _NOT_SHOWN
        is_hidden = packet.size > 0 and packet.is_discard
        if packet.size:
            held.feed(number)
            picture = headers.read(bytes(packet), new_parameters(packet))
            if is_ours and (packet.is_corrupt or (picture is not None and picture.is_after_gap)):
                held.fail()
            packet.pts = _HIDDEN - held.n_fed if is_hidden else number
        before = _delimiters(decoder, headers) if is_patient and not packet.size else []
        for part in (*before, _copy(packet) if is_hidden else packet):
            try:
                pictures = decoder.decode(part)
            except av.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                _log.debug("%s: frame %d: %s", source.info.path, number, error.strerror)
                pictures = []
                if is_ours:
                    held.fail()
            yield pictures
    held.end()
    yield []


def _delimiters(decoder: VideoCodecContext, headers: HeaderReader) -> list[Packet[Stream]]:
    """Make the packets for the end, where a decoder gives out at once what it holds back, be the threads done or not.

    They have no frames. Each thread gets one, for which it has to be done with the frame that it is at.
    """
    # A decoder complains of packets without frames, but not where it is to leave some frames out. None comes any more.
    decoder.skip_frame = "NONREF"
    return [_packet_of(headers.delimiter) for _ in range(decoder.thread_count)]


def _copy(packet: Packet[VideoStream]) -> Packet[Stream]:
    """Copy what is to be decoded of a packet: of one that is to be discarded FFmpeg shows no frame, nor its damage."""
    copy = _packet_of(bytes(packet))
    copy.pts, copy.time_base = packet.pts, packet.time_base
    for side_data in packet.iter_sidedata():
        copy.set_sidedata(side_data)
    return copy


def _packet_of(data: bytes) -> Packet[Stream]:
    """Make a packet in FFmpeg's own memory.

    PyAV's packets of Python's bytes are let go of with Python's lock, which a decoding thread would wait for while its
    decoder is closed, under that lock: for ever.
    """
    packet = Packet(len(data))
    packet.update(data)
    return packet


class _Held:
    """Frames held back until all that was decoded before them has come out, or is known to be lost.

    Parameters
    ----------
    first : int
        The frame to give out first.
    origin : int
        The frame that decoding starts from.
    index : FrameIndex

    Attributes
    ----------
    n_fed : int
        How many packets went into the decoder: the position of the last one.
    """

    def __init__(self, first: int, origin: int, index: FrameIndex) -> None:
        self._index = index
        self._origin = origin
        self._first = self._next = first
        self.n_fed = 0
        self._last_fed = origin
        # Frames that are missing amid others, which may lean on them. Where one can seek, they are the last ones.
        self._absent = np.flatnonzero(index.packets == NO_PACKET) if not index.is_seekable else np.empty(0)
        self._positions: dict[int, int] = {}  # Of frames in the order of decoding, until they are given out.
        self._came: dict[int, VideoFrame] = {}
        self._coming: set[int] = set()
        self._n_known = first  # Frames before this one have come, or never will.
        # Positions from which on frames may be wrong: by what the decoder said, and by frames that were lost.
        self._errors_from = self._losses_from = math.inf

    @property
    def has_damage(self) -> bool:
        """Whether anything was found to be damaged."""
        return min(self._errors_from, self._losses_from) < math.inf

    @property
    def is_start_missing(self) -> bool:
        """Whether the first frame is lost though nothing was wrong up to it."""
        return self._first not in self._came and self._errors_from > self._position_of(self._first)

    def feed(self, number: int) -> None:
        """Note that a frame goes into the decoder."""
        self.n_fed += 1
        if number >= 0:
            if self._n_absent_before(self._last_fed) != self._n_absent_before(number):
                self.fail()
            self._last_fed = number
        if number >= self._next:
            self._positions[number] = self.n_fed
            self._coming.add(number)

    def _n_absent_before(self, number: int) -> int:
        return int(self._absent.searchsorted(number)) if len(self._absent) else 0

    def fail(self) -> None:
        """Note that the frame that was fed last is damaged."""
        self._errors_from = min(self._errors_from, self.n_fed)

    def take(self, picture: VideoFrame) -> None:
        """Take what comes out of the decoder. Frames come in the order of display: those before it are lost."""
        number = picture.pts
        if number is not None and number <= _HIDDEN:
            if picture.is_corrupt:
                self._errors_from = min(self._errors_from, _HIDDEN - number)
            return
        if number is None or number < self._next:
            if picture.is_corrupt and number is not None and self._origin <= number < self._first:
                self._errors_from = 0
            return
        if picture.is_corrupt:
            self._errors_from = min(self._errors_from, self._position_of(number))
        self._came[number] = picture
        self._settle(number + 1)

    def end(self) -> None:
        """Note that nothing more comes."""
        self._settle(self._index.n_frames)

    def _settle(self, stop: int) -> None:
        if lost := [number for number in range(self._n_known, stop) if number not in self._came]:
            self._losses_from = min(self._losses_from, *map(self._position_of, lost))
        self._coming = {number for number in self._coming if number >= stop}
        self._n_known = max(self._n_known, stop)

    def _position_of(self, number: int) -> int:
        # A frame that was never fed could only come later.
        return self._positions.get(number, self.n_fed + 1)

    def release(self) -> Iterator[DecodedFrame]:
        """Give out, in order, the frames for which it is known whether they are damaged."""
        while self._next < self._n_known:
            number, position = self._next, self._position_of(self._next)
            if any(self._positions[coming] < position for coming in self._coming):
                return
            is_corrupt = number not in self._came or position >= min(self._errors_from, self._losses_from)
            pts = int(self._index.pts[number])
            yield DecodedFrame(index=number, pts=pts, is_corrupt=is_corrupt, frame=self._came.get(number))
            self._came.pop(number, None)
            self._positions.pop(number, None)
            self._next += 1


def _packets_from(
    origin: int, container: InputContainer, stream: VideoStream, index: FrameIndex
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """Yield packets in file order from a keyframe's own on, each with its frame's number; none if it is not found."""
    if not index.is_seekable:
        yield from _count_packets(origin, container, stream, index)
        return
    for packet in iter_packets(container, stream) if origin == 0 else _seek(origin, container, stream, index):
        number = index.frame_at(packet.pts)
        yield _NOT_SHOWN if number is None else number, packet


def _count_packets(
    origin: int, container: InputContainer, stream: VideoStream, index: FrameIndex
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    numbers = index.number_packets()
    first = index.packets[origin] if origin else 0
    n_seen = 0
    told = None
    for packet in iter_packets(container, stream):
        number = int(numbers[n_seen]) if packet.size and n_seen < len(numbers) else _NOT_SHOWN
        if n_seen >= first:
            yield number, _with_parameters(packet, told)
            told = None
        elif packet.has_sidedata("new_extradata"):
            told = packet
        n_seen += bool(packet.size)


def _seek(
    origin: int, container: InputContainer, stream: VideoStream, index: FrameIndex
) -> Iterator[Packet[VideoStream]]:
    keyframe_pts = int(index.pts[origin])
    for near in (origin, index.keyframe_at_or_before(origin - 1)):
        try:
            container.seek(int(index.pts[near]), stream=stream)
        except av.FFmpegError:
            continue
        packets = iter_packets(container, stream)
        told = None
        for packet in packets:
            if packet.pts == keyframe_pts:
                yield _with_parameters(packet, told)
                yield from packets
                return
            if packet.dts is not None and packet.dts > keyframe_pts:
                break  # a packet comes no later than its frame is shown: the seek landed behind it
            if packet.has_sidedata("new_extradata"):
                told = packet


def _with_parameters(packet: Packet[VideoStream], told: Packet[VideoStream] | None) -> Packet[VideoStream]:
    """Give a packet the parameters that were told with one before it that is not decoded, unless it has its own."""
    if told is not None and not packet.has_sidedata("new_extradata"):
        packet.set_sidedata(told.get_sidedata("new_extradata"))
    return packet


def _check_size(info: VideoInfo, frame: VideoFrame, number: int) -> None:
    if (frame.width, frame.height) != (info.width, info.height):
        sizes = f"from {info.width} x {info.height} to {frame.width} x {frame.height}"
        fact = f"the size of its frames changes {sizes} at frame {number}"
        raise RecordingRefusedError(info.path, fact, "Cut it there into two recordings.")
