"""Which frames a recording holds, when each is shown and where a decoder can start, read without decoding.

It comes from the packets: each carries the time at which its frame is shown, and whether a decoder can start
from it. Sorted by time, the i-th packet is the i-th frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .container import COPY_AGAIN, is_mov, iter_packets
from .errors import EmptyFileError, TruncatedError, UnreadableError
from .seconds import to_seconds

# The pts of a frame whose container gives it none; FFmpeg's own number for that.
NO_PTS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameIndex:
    """When each frame is displayed, and where a decoder can start.

    Parameters
    ----------
    pts : ndarray of int64, shape (n_frames,)
        Presentation times in units of the stream's time base, in presentation order. `NO_PTS` where the
        container gives none.
    is_keyframe : ndarray of bool, shape (n_frames,)
        Whether the container says that a decoder can start at the frame.
    is_seekable : bool
        Whether pts tell frames apart, so that a decoder can be sent to any keyframe and what comes out be
        recognised. If not (raw H264, repeated pts, AVI with B-frames), frames are counted from the
        beginning, and `pts` and `is_keyframe` are the packets', sorted: the frames' only by and large.
    """

    pts: NDArray[np.int64]
    is_keyframe: NDArray[np.bool_]
    is_seekable: bool

    def __post_init__(self) -> None:
        if self.pts.ndim != 1 or self.pts.shape != self.is_keyframe.shape:
            shapes = f"{self.pts.shape} and {self.is_keyframe.shape}"
            raise ValueError(f"pts and is_keyframe must be of one length, got {shapes}")
        if self.is_seekable and not (self.pts[:-1] < self.pts[1:]).all():
            raise ValueError("pts must ascend if the index is seekable")

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
        number = int(np.searchsorted(self.pts, pts))
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
        return int(keyframes[-1]) if self.is_seekable and keyframes.size else 0


_PACKET = np.dtype([("pts", np.int64), ("is_keyframe", np.bool_), ("is_hidden", np.bool_), ("is_cut_off", np.bool_)])


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
        If the container's index names more frames than the file holds.
    EmptyFileError
        If there is no frame.
    UnreadableError
        If the container cannot be read to its end.
    OSError
        If the disk or share fails, not the file.
    """
    packets = _read_packets(container, stream, path)
    _check_complete(packets, container, stream, path)
    counts_decoding = container.format.name == "avi" and stream.codec_context.has_b_frames
    is_seekable = not counts_decoding and _tells_frames_apart(packets)
    shown = packets[_is_shown(packets, packets["pts"] if is_seekable else np.arange(len(packets)))]
    if not len(shown):
        raise EmptyFileError(path, "none of its frames is shown", COPY_AGAIN)
    # Without pts the order of the file is kept.
    shown = shown[np.argsort(shown["pts"], kind="stable")]
    return FrameIndex(
        pts=np.ascontiguousarray(shown["pts"]),
        is_keyframe=np.ascontiguousarray(shown["is_keyframe"]),
        is_seekable=is_seekable,
    )


def _read_packets(container: InputContainer, stream: VideoStream, path: str) -> NDArray[np.void]:
    """Return pts and flags of the packets in file order, also of those that an edit list hides."""
    rows = (
        (
            NO_PTS if packet.pts is None else packet.pts,
            packet.is_keyframe,
            packet.is_discard,
            packet.is_corrupt,
        )
        for packet in iter_packets(container, stream)
        if packet.size
    )
    try:
        return np.fromiter(rows, _PACKET)
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise UnreadableError(path, "its frames cannot be listed to the end", COPY_AGAIN) from error


def _check_complete(packets: NDArray[np.void], container: InputContainer, stream: VideoStream, path: str) -> None:
    # MP4's header counts also frames that an edit list cuts away; its index, without them, is what the file
    # must hold. Other containers promise nothing: AVI's header counts ticks, MKV, TS and raw H264 count none.
    n_promised = len(stream.index_entries) if is_mov(container) else 0
    if len(packets) < n_promised:
        raise TruncatedError(path, f"the file ends after {len(packets)} of {n_promised} frames", COPY_AGAIN)
    if not len(packets):
        raise EmptyFileError(path, "its video stream has no frame", COPY_AGAIN)
    if packets["is_cut_off"][-1]:
        raise TruncatedError(path, f"the file ends within the last of its {len(packets)} frames", COPY_AGAIN)


def _tells_frames_apart(packets: NDArray[np.void]) -> bool:
    """Tell whether pts name frames: none is missing or repeated, and none starts again from a keyframe on."""
    pts = packets["pts"]
    if (pts == NO_PTS).any() or len(np.unique(pts)) < len(pts):
        return False
    latest_before = np.maximum.accumulate(pts)[:-1]
    return bool((pts[1:] > latest_before)[packets["is_keyframe"][1:]].all())


def _is_shown(packets: NDArray[np.void], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which packets' frames are displayed, given the order of display.

    A file that was cut out of a longer one may begin with frames that lean on what is no longer there. No
    decoder shows anything earlier than the first keyframe.
    """
    first_keyframe = packets["is_keyframe"].argmax()
    shown: NDArray[np.bool_] = ~packets["is_hidden"] & (order >= order[first_keyframe])
    return shown
