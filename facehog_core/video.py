"""What a recording says about itself, and which frames it holds, read without decoding.

The frame index comes from the packets: each carries the time at which its frame is shown, and whether a
decoder can start from it. Sorted by time, the i-th packet is the i-th frame.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import xxhash
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .container import COPY_AGAIN, choose_stream, codec_of, is_mov, iter_packets, open_container
from .errors import ChangedError, EmptyFileError, RecordingRefusedError, TruncatedError, UnreadableError

ColorRange = Literal["limited", "full", "untagged"]

# The pts of a frame whose container gives it none; FFmpeg's own number for that.
NO_PTS = np.iinfo(np.int64).min

# Names of AVColorRange and AVColorSpace.
_COLOR_RANGES: dict[int, ColorRange] = {1: "limited", 2: "full"}
_COLORSPACES = {
    0: "gbr",
    1: "bt709",
    2: "untagged",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}

_HASH_BUFFER_BYTES = 1 << 20

_WAIT = "It will be looked at again when it has settled."


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What container and stream say about a recording. Plain values: it travels as JSON.

    Parameters
    ----------
    path : str
        Absolute path.
    size_bytes, mtime_ns : int
        Size and time of last change of the file.
    digest : str
        XXH3 128 of the file's content, in hexadecimal digits.
    container : str
        FFmpeg's name of the container.
    stream_index : int
        Number of the video stream in the container.
    codec, profile, pixel_format : str
        FFmpeg's names; the profile may be unknown (None).
    color_range : {"limited", "full", "untagged"}
        Whether Y lies in 16 to 235 or 0 to 255. Untagged is treated as limited, by swscale and by us.
    colorspace : str
        FFmpeg's name of the colour matrix, or ``"untagged"``.
    width, height : int
        Size of the frames as stored, in pixels.
    pixel_aspect : str or None
        Width to height of a pixel, as ``"num/den"``.
    time_base : str
        Unit of the pts in seconds, as ``"num/den"``.
    average_rate : str or None
        Frames per second as the container has it, as ``"num/den"``.
    header_n_frames : int
        Frames that the container's header names; 0 if it names no number. An AVI counts ticks, not frames.
    duration_s : float or None
        Duration that the container names, in seconds.
    n_frames : int
        Frames of the index: those that are displayed.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    digest: str
    container: str
    stream_index: int
    codec: str
    profile: str | None
    pixel_format: str
    color_range: ColorRange
    colorspace: str
    width: int
    height: int
    pixel_aspect: str | None
    time_base: str
    average_rate: str | None
    header_n_frames: int
    duration_s: float | None
    n_frames: int

    def __post_init__(self) -> None:
        for name in ("width", "height", "n_frames"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if Fraction(self.time_base) <= 0:
            raise ValueError(f"time_base must be positive, got {self.time_base}")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; ``VideoInfo(**info.as_dict()) == info``."""
        return asdict(self)


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
        unit = Fraction(time_base)
        times = self.pts * float(unit.numerator) / unit.denominator
        return np.where(self.pts == NO_PTS, np.nan, times)

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


def probe(path: str | os.PathLike[str]) -> tuple[VideoInfo, FrameIndex]:
    """Read what a recording says about itself, its frame index and the digest of its content.

    The file is read from end to end twice (digest, packets) in small pieces; nothing is decoded but the
    few frames that FFmpeg needs to know the stream.

    Parameters
    ----------
    path : str or path-like
        A local file.

    Returns
    -------
    VideoInfo, FrameIndex

    Raises
    ------
    UnreadableError
        If there is no such file, or FFmpeg cannot read it as a video.
    EmptyFileError
        If the file has no bytes, or its video stream no frame.
    NoVideoError, NotH264Error
        If there is no video in it, or none in H264.
    TruncatedError
        If the index names more frames than the file holds.
    ChangedError
        If the file changed in the meantime.
    OSError
        If the disk or share fails, not the file.
    """
    # Absolute, so that no name can be taken for a protocol or an option.
    absolute = str(Path(path).absolute())
    with _standing_still(absolute) as status:
        if status.st_size == 0:
            raise EmptyFileError(absolute, "the file has no bytes", COPY_AGAIN)
        digest = digest_file(absolute)
        with open_container(absolute) as container:
            stream = choose_stream(container, absolute)
            index = _read_index(container, stream, absolute)
            return _describe(container, stream, absolute, status, digest, index), index


def read_index(info: VideoInfo) -> FrameIndex:
    """Read the frame index of a recording that was probed, without reading it for its digest again.

    Parameters
    ----------
    info : VideoInfo

    Returns
    -------
    FrameIndex

    Raises
    ------
    ChangedError
        If the recording is not the file that was probed.
    UnreadableError, TruncatedError
        As `probe` does.
    OSError
        If the disk or share fails, not the file.
    """
    check_unchanged(info)
    with _standing_still(info.path), open_container(info.path) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, VideoStream)
        return _read_index(container, stream, info.path)


def digest_file(path: str | os.PathLike[str]) -> str:
    """Return the XXH3 128 [1]_ of a file's content in hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.

    References
    ----------
    .. [1] Y. Collet, xxHash, https://xxhash.com
    """
    content = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_HASH_BUFFER_BYTES))
    with Path(path).open("rb", buffering=0) as file:
        while n_bytes := file.readinto(buffer):
            content.update(buffer[:n_bytes])
    return content.hexdigest()


def is_unchanged(info: VideoInfo) -> bool:
    """Tell whether the file still has the size and time of last change that it was probed with."""
    try:
        status = Path(info.path).stat()
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns) == (info.size_bytes, info.mtime_ns)


def check_unchanged(info: VideoInfo) -> None:
    """See that a recording is still the file that was probed.

    Raises
    ------
    ChangedError
        If it is not.
    """
    if not is_unchanged(info):
        fact = "it is not the file that was probed: its size or time changed, or it is gone"
        raise ChangedError(info.path, fact, _WAIT)


@contextmanager
def _standing_still(path: str) -> Iterator[os.stat_result]:
    """Give the file's status, and see that it is the same in the end.

    A file that is still being written looks like a damaged one: then its growth is the news, not the damage.
    """
    before = _status(path)
    try:
        yield before
    except RecordingRefusedError:
        _check_same(path, before)
        raise
    _check_same(path, before)


def _check_same(path: str, before: os.stat_result) -> None:
    after = _status(path)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        fact = f"it changed while it was being read (from {before.st_size:,} to {after.st_size:,} bytes)"
        raise ChangedError(path, fact, _WAIT)


def _status(path: str) -> os.stat_result:
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(path, "it is not a file", "Give the path of a recording.")
        Path(path).open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(path, "there is no such file", "Check the path.") from error
    except PermissionError as error:
        raise UnreadableError(path, "it may not be read", "Give facehog's user the right to.") from error
    return status


_PACKET = np.dtype([("pts", np.int64), ("is_keyframe", np.bool_), ("is_hidden", np.bool_), ("is_cut_off", np.bool_)])


def _read_index(container: InputContainer, stream: VideoStream, path: str) -> FrameIndex:
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


def _describe(
    container: InputContainer,
    stream: VideoStream,
    path: str,
    status: os.stat_result,
    digest: str,
    index: FrameIndex,
) -> VideoInfo:
    decoder = stream.codec_context
    if not (decoder.width and decoder.height and decoder.pix_fmt and stream.time_base):
        raise UnreadableError(path, "its video stream does not say what its frames look like", COPY_AGAIN)
    return VideoInfo(
        path=path,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        digest=digest,
        container=container.format.name,
        stream_index=stream.index,
        codec=codec_of(stream),
        profile=stream.profile,
        pixel_format=decoder.pix_fmt,
        color_range=_COLOR_RANGES.get(decoder.color_range, "untagged"),
        colorspace=_COLORSPACES.get(decoder.colorspace, str(decoder.colorspace)),
        width=decoder.width,
        height=decoder.height,
        pixel_aspect=_ratio(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else None,
        time_base=_ratio(stream.time_base),
        average_rate=_ratio(stream.average_rate) if stream.average_rate else None,
        header_n_frames=stream.frames,
        duration_s=_duration_s(container, stream),
        n_frames=index.n_frames,
    )


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
