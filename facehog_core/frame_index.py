"""Which frames a recording holds, when each is shown and where a decoder can start, read without decoding.

It comes from the packets: each carries the time at which its frame is shown, its place in the order of display,
and whether a decoder can start from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .container import COPY_AGAIN, is_failing_disk, is_mov, iter_packets, open_container, video_stream
from .errors import EmptyFileError, TruncatedError, UnreadableError
from .h264 import HeaderReader
from .seconds import to_seconds

# The pts of a frame whose container gives it none; FFmpeg's own number for that.
NO_PTS = np.iinfo(np.int64).min
NO_PACKET = -1

# What comes before the data of each frame in an AVI: its kind and length.
_CHUNK_HEAD_BYTES = 8
# An index may name so many times the bytes that the file has. To list what is missing, it is read as zeros.
_MOST_PROMISED = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameIndex:
    """When each frame is displayed, and where a decoder can start.

    Parameters
    ----------
    pts : ndarray of int64, shape (n_frames,)
        Presentation times in units of the stream's time base, in presentation order. `NO_PTS` where the
        container gives none. They need not ascend: a container may say what it likes.
    is_keyframe : ndarray of bool, shape (n_frames,)
        Whether a decoder can start at the frame: the container says so, and it leans on no other frame.
    packets : ndarray of int64, shape (n_frames,)
        Where each frame's data are: the number of its packet among the stream's, in file order. `NO_PACKET` where
        the container's index names a frame whose data the file does not hold, and where nobody can know.
    is_seekable : bool
        Whether pts tell frames apart, so that a decoder can be sent to any keyframe, or each frame is an image of
        its own. If not (raw H264, repeated pts, AVI with B-frames), packets are counted from the beginning of the
        file.
    """

    pts: NDArray[np.int64]
    is_keyframe: NDArray[np.bool_]
    packets: NDArray[np.int64]
    is_seekable: bool

    def __post_init__(self) -> None:
        shapes = [array.shape for array in (self.pts, self.is_keyframe, self.packets)]
        if self.pts.ndim != 1 or len(set(shapes)) > 1:
            raise ValueError(f"pts, is_keyframe and packets must be of one length, got {shapes}")
        if self.is_seekable and not self._is_of_images() and not (self.pts[:-1] < self.pts[1:]).all():
            raise ValueError("pts must ascend if the index is seekable")

    def _is_of_images(self) -> bool:
        """Tell whether frames need no time to be told apart: each is an image of its own."""
        return bool(self.is_keyframe.all() and (self.pts == NO_PTS).all())

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.pts)

    def time_s(self, time_base: str | Fraction) -> NDArray[np.float64]:
        """Return the frames' presentation times in seconds, shape (n_frames,); NaN where there is no pts."""
        times = np.full(self.n_frames, np.nan)
        is_timed = self.pts != NO_PTS
        times[is_timed] = to_seconds(self.pts[is_timed], Fraction(time_base))
        return times

    def frame_at(self, pts: int | None) -> int | None:
        """Return the number of the frame with this pts, None if there is none. For a seekable index."""
        if pts is None:
            return None
        number = int(self.pts.searchsorted(pts))
        return number if number < self.n_frames and self.pts[number] == pts else None

    def keyframe_at_or_before(self, number: int) -> int:
        """Return the last frame at or before one from which a decoder can start.

        0 stands for the beginning of the file, also if frame 0 leans on hidden frames before it.

        Raises
        ------
        IndexError
            If there is no frame of this number.
        """
        if not 0 <= number < self.n_frames:
            raise IndexError(f"frame {number} of a recording of {self.n_frames} frames")
        keyframes = np.flatnonzero(self.is_keyframe[: number + 1])
        return int(keyframes[-1]) if keyframes.size else 0

    def gop_at(self, number: int) -> range:
        """Return the frames from the keyframe at or before one up to the next keyframe."""
        first = self.keyframe_at_or_before(number)
        later = np.flatnonzero(self.is_keyframe[number + 1 :])
        return range(first, number + 1 + int(later[0]) if later.size else self.n_frames)

    def head(self, n_frames: int) -> FrameIndex:
        """Return the index of the first frames alone."""
        first = {name: getattr(self, name)[:n_frames] for name in ("pts", "is_keyframe", "packets")}
        return replace(self, **first)

    def number_packets(self) -> NDArray[np.int64]:
        """Return the number of each packet's frame, in file order; -1 for packets whose frame is not shown."""
        numbers = np.full(int(self.packets.max(initial=NO_PACKET)) + 1, -1, np.int64)
        is_there = self.packets != NO_PACKET
        numbers[self.packets[is_there]] = np.flatnonzero(is_there)
        return numbers


_PACKET = np.dtype(
    [
        ("pts", np.int64),
        ("dts", np.int64),
        ("is_keyframe", np.bool_),
        ("is_hidden", np.bool_),
        ("is_whole", np.bool_),
        ("is_there", np.bool_),
        # By the frame's own header: IDR frames up to it, and its order since the last of them.
        ("sequence", np.int64),
        ("order", np.int64),
        ("has_header", np.bool_),
        ("is_second_field", np.bool_),
        # Where in the file its data begin, in bytes.
        ("position", np.int64),
        # Whether its time depends on where one begins to read.
        ("is_counted", np.bool_),
    ]
)


def index_frames(container: InputContainer, stream: VideoStream, path: str) -> FrameIndex:
    """Make the frame index of a stream from its packets, without decoding.

    Parameters
    ----------
    container : av.container.InputContainer
        Freshly opened; it is read to its end.
    stream : av.VideoStream
    path : str
        The file, for errors.

    Returns
    -------
    FrameIndex

    Raises
    ------
    TruncatedError
        If most of what the container's index names is not in the file.
    EmptyFileError
        If there is no frame.
    UnreadableError
        If the container cannot be read to its end, or has no keyframe.
    OSError
        If the disk or share fails, not the file.
    """
    return index_packets(read_packets(container, stream, path), path)


def read_packets(container: InputContainer, stream: VideoStream, path: str) -> NDArray[np.void]:
    """Return what the packets of a stream say, in file order, also those that an edit list hides.

    Parameters and errors are those of `index_frames`. The fields that matter elsewhere are `is_there`, whether the file
    goes on to where the packet's data begin, and `is_whole`, whether it goes on to their end.
    """
    packets = _list_packets(container, stream, path)
    # MP4's header counts also frames that an edit list cuts away; its index, without them, is what the file
    # must hold. Other containers have none: AVI's header counts ticks, MKV, TS and raw H264 count nothing.
    if is_mov(container) and len(packets) < len(stream.index_entries):
        packets = _list_promised(packets, stream, path)
    if not len(packets):
        raise EmptyFileError(path, "its video stream has no frame", COPY_AGAIN)
    return _place_by_index(packets, stream) if container.format.name == "avi" else packets


def _list_promised(packets: NDArray[np.void], stream: VideoStream, path: str) -> NDArray[np.void]:
    """List what an MP4's index names, also what is behind the end of the file."""
    # An entry without bytes is no frame: so some programs write that a camera had none to give.
    ends = [entry.pos + entry.size for entry in stream.index_entries if entry.size]
    size_bytes = Path(path).stat().st_size
    if len(packets) < len(ends) and max(ends) <= _MOST_PROMISED * size_bytes:
        with open_container(path, stop=max(size_bytes, *ends)) as padded:
            packets = _list_packets(padded, video_stream(padded, stream.index), path)
    if len(packets) < len(ends):
        raise TruncatedError(path, f"the file ends after {len(packets)} of {len(ends)} frames", COPY_AGAIN)
    return packets


def _place_by_index(packets: NDArray[np.void], stream: VideoStream) -> NDArray[np.void]:
    """Compare the packets of an AVI with its index, and add those whose chunks have lost their heads.

    An AVI stores no times. FFmpeg counts what it finds from the beginning, and by the index from a place that was
    sought: where the two differ, only to count is the same for everybody.
    """
    entries = [(entry.pos + _CHUNK_HEAD_BYTES, entry.timestamp) for entry in stream.index_entries if entry.size]
    promised, times = np.array(entries, np.int64).reshape(-1, 2).T
    found = packets["position"]
    if np.array_equal(promised, found):
        return packets
    packets["is_counted"] = True
    if not (np.isin(found, promised).all() and (np.diff(found) > 0).all() and (np.diff(promised) > 0).all()):
        return packets  # The index itself is damaged.
    # What is lost comes after the packet before it, as near as can be.
    before = np.searchsorted(found, promised, side="right") - 1
    placed = packets[np.maximum(before, 0)]
    placed["pts"] = placed["dts"] = times
    is_lost = found[before] != promised
    for name in ("is_keyframe", "is_hidden", "is_whole", "is_there", "has_header", "is_second_field"):
        placed[name] &= ~is_lost
    return placed


def index_packets(packets: NDArray[np.void], path: str) -> FrameIndex:
    """Make the frame index of a stream from what `read_packets` found.

    Raises
    ------
    EmptyFileError
        If no frame is shown.
    UnreadableError
        If no frame is a keyframe.
    """
    if not packets["is_keyframe"].any():
        # Where pictures mend themselves little by little, decoders show something in the end; nobody knows how true.
        fact = f"none of its {len(packets)} frames is a keyframe, from which a decoder could start"
        raise UnreadableError(path, fact, "It was cut out of a longer recording: take that one.")
    order = _order_of_display(packets)
    is_timed = bool((np.diff(packets["pts"][order]) > 0).all()) and not (packets["pts"] == NO_PTS).any()
    is_seekable = is_timed and not packets["is_counted"].any()
    is_known = packets["is_there"].copy()
    if not is_timed:
        is_known[order] &= ~_is_near_a_damaged_header(packets, order)
    shown = order[_is_shown(packets, order)]
    if not len(shown):
        raise EmptyFileError(path, "none of its frames is shown", COPY_AGAIN)
    pts = packets["pts"][shown]
    if not is_seekable and _tells_only_decoding(packets, shown):
        # The i-th frame is shown when the i-th is decoded, but for a delay that the container does not tell.
        pts = np.sort(pts)
    return FrameIndex(
        pts=pts,
        is_keyframe=packets["is_keyframe"][shown],
        packets=np.where(is_known, packets["is_there"].cumsum() - 1, NO_PACKET)[shown],
        is_seekable=is_seekable,
    )


def count_unplaced(packets: NDArray[np.void]) -> int:
    """Count the frames at the end of a stream that have no number, as some are missing that are shown before them.

    Where frames are stored in another order than they are shown, a file that is cut off can end with such frames. They
    are known by their own headers, whose order of display has a gap before them. More than wait anywhere in the stream
    for frames that are stored later are not left so by a cut: there an encoder counts as it likes, or a frame is lost.

    Parameters
    ----------
    packets : ndarray
        What `read_packets` found.
    """
    order = _order_of_display(packets)
    shown = order[_is_shown(packets, order)]
    if not (len(shown) > 1 and packets["has_header"].all()):
        return 0
    # How many frames at most are stored before one and shown after it.
    n_waiting = int((np.argsort(np.argsort(shown)) - np.arange(len(shown))).max())
    sequences, orders = packets["sequence"][shown], packets["order"][shown]
    steps = np.diff(orders)[np.diff(sequences) == 0]
    last = orders[sequences == sequences[-1]][-n_waiting - 1 :]
    gaps = np.flatnonzero(np.diff(last) > np.median(steps)) if len(steps) else steps
    return int(len(last) - 1 - gaps[0]) if len(gaps) else 0


def _list_packets(container: InputContainer, stream: VideoStream, path: str) -> NDArray[np.void]:
    # MP4 tells them again after each seek.
    headers = HeaderReader(stream.codec_context.extradata, tells_again=is_mov(container))
    # Where the container is padded, data end before it does.
    size_bytes = Path(path).stat().st_size if is_mov(container) else sys.maxsize
    try:
        packets = np.fromiter(_describe_packets(iter_packets(container, stream), headers, size_bytes), _PACKET)
    except av.FFmpegError as error:
        if is_failing_disk(error, path):
            raise
        raise UnreadableError(path, "its frames cannot be listed to the end", COPY_AGAIN) from error
    if is_mov(container) and len(packets) and not packets["has_header"][0] and len(stream.index_entries):
        # FFmpeg calls no frame a keyframe whose header is damaged, whatever the index says. The frames behind it would
        # then read like those of a recording that begins within a GOP, and have no number.
        packets["is_keyframe"][0] = stream.index_entries[0].is_keyframe
    return packets


def new_parameters(packet: Packet[VideoStream]) -> bytes | None:
    """Return the parameters that a container tells with a packet, where they change."""
    # Asking for one kind by its name takes PyAV far longer, and hardly a packet has any.
    return next((bytes(data) for data in packet.iter_sidedata() if data.data_type == "new_extradata"), None)


def _describe_packets(
    packets: Iterator[Packet[VideoStream]], headers: HeaderReader, size_bytes: int
) -> Iterator[tuple[Any, ...]]:
    sequence = order = 0
    for packet in packets:
        if not packet.size:
            continue
        start = packet.pos or 0
        is_there = start < size_bytes
        picture = headers.read(bytes(packet), new_parameters(packet)) if is_there else None
        if picture:
            sequence += picture.is_idr
            order = picture.order
        yield (
            NO_PTS if packet.pts is None else packet.pts,
            NO_PTS if packet.dts is None else packet.dts,
            # Intra refresh calls frames keyframes from which the picture mends itself little by little. What a
            # decoder that starts there gives is nearly the same, and not the same bytes.
            packet.is_keyframe and (picture is None or picture.is_start),
            packet.is_discard,
            not packet.is_corrupt and start + packet.size <= size_bytes,
            is_there,
            sequence,
            # A header that is damaged: as near as can be to the frame that was decoded before.
            order,
            picture is not None,
            picture is not None and picture.is_second_field,
            start,
            False,
        )


def _order_of_display(packets: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the numbers of the packets in the order in which a decoder gives their frames out.

    A decoder goes by the frames' own headers. Where those make no sense, the container's times have to do.
    """
    by_header = np.lexsort((packets["order"], packets["sequence"]))
    names = packets[["sequence", "order"]][~packets["is_second_field"]]
    if packets["has_header"].all() and len(np.unique(names)) == len(names):
        return by_header
    pts = packets["pts"]
    if (pts != NO_PTS).all() and len(np.unique(pts)) == len(pts) and not _tells_only_decoding(packets, by_header):
        return np.argsort(pts, kind="stable")
    return by_header


def _is_near_a_damaged_header(packets: NDArray[np.void], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which frames, in the order of display, nobody can number: those around one whose header is damaged.

    That is so where headers alone tell the order, and it is another than that of decoding. The one can belong anywhere
    in its GOP; in the one before too, unless an IDR frame divides them.
    """
    if (np.diff(order) > 0).all():
        return np.zeros(len(order), bool)
    gops = packets["is_keyframe"][order].cumsum()
    sequences, is_damaged = packets["sequence"][order], ~packets["has_header"][order]
    is_before = np.isin(gops + 1, gops[is_damaged]) & np.isin(sequences, sequences[is_damaged])
    near: NDArray[np.bool_] = np.isin(gops, gops[is_damaged]) | is_before
    return near


def _tells_only_decoding(packets: NDArray[np.void], shown: NDArray[np.int64]) -> bool:
    """Tell whether the times of a container are those of decoding, though frames are shown in another order."""
    return bool((packets["pts"] == packets["dts"]).all() and (np.diff(shown) < 0).any())


def _is_shown(packets: NDArray[np.void], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which frames are displayed, in the order of display.

    A file that was cut out of a longer one may begin with frames that lean on what is no longer there. No
    decoder shows anything earlier than the first keyframe. Of two fields the first one stands for their frame.
    """
    first_keyframe = packets["is_keyframe"].argmax()
    place = int(np.flatnonzero(order == first_keyframe)[0])
    is_hidden = packets["is_hidden"] | packets["is_second_field"]
    shown: NDArray[np.bool_] = ~is_hidden[order] & (np.arange(len(order)) >= place)
    return shown
