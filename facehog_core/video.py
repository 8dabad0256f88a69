"""What a recording says about itself, read without decoding it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from .completeness import Completeness, Verdict, judge_completeness
from .container import (
    COPY_AGAIN,
    check_index,
    choose_stream,
    codec_of,
    film_length_s,
    iter_packets,
    length_s,
    list_streams,
    open_container,
    tell_streams,
    video_stream,
)
from .errors import ChangedError, EmptyFileError, NoVideoError, RecordingRefusedError, TruncatedError, UnreadableError
from .frame_index import NO_PTS, FrameIndex, count_unplaced, index_frames, index_packets, read_packets
from .h264 import HeaderReader
from .limits import check_claims, check_frame_size, check_held_pixels, check_start_codes
from .path_text import as_text, from_text
from .source import digest_file, digest_looks, is_folder, scan_images
from .stills import IMAGES, survey_images

__all__ = [
    "ColorRange",
    "FrameIndex",
    "VideoInfo",
    "check_complete",
    "check_unchanged",
    "digest_file",
    "is_unchanged",
    "probe",
    "read_index",
]

ColorRange = Literal["limited", "full", "untagged"]

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

# H264 puts off a frame by 16 others at most, and a first keyframe that is damaged puts all off to the next.
_MOST_PACKETS_TO_FIRST_FRAME = 1000

_LEFT_OUT = "The last {} that the file holds cannot be numbered, as frames that are shown before are cut off: left out."

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
    completeness : {"complete", "incomplete", "unknown"}
        Whether all of the recording is there.
    completeness_fact : str
        What that is concluded from, as the rest of a sentence.
    missing_share : float or None
        The part that is missing, from 0 to 1; None if nothing is, or nobody can know how much.
    rotation : int
        Degrees counterclockwise by which the file asks players to turn the frames.
    looks : str or None
        Of a folder of images: what names, sizes and times of its images are known by.
    remarks : list of str
        What whoever uses the frames must know, a sentence each.
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
    completeness: Verdict
    completeness_fact: str
    missing_share: float | None
    rotation: int = 0
    looks: str | None = None
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("width", "height", "n_frames"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if Fraction(self.time_base) <= 0:
            raise ValueError(f"time_base must be positive, got {self.time_base}")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name as JSON values; ``VideoInfo.from_dict(info.as_dict()) == info``."""
        return asdict(self) | {"path": as_text(self.path)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoInfo:
        """Rebuild it from `as_dict`."""
        return cls(**{**values, "path": from_text(values["path"])})


def probe(path: str | os.PathLike[str], stream: int | None = None) -> tuple[VideoInfo, FrameIndex]:
    """Read what a recording says about itself, its frame index and the digest of its content.

    The file is read from end to end twice (digest, packets) in small pieces; nothing is decoded but the
    few frames that FFmpeg needs to know the stream. Of a folder each image is read once.

    Parameters
    ----------
    path : str or path-like
        A local file, or a folder of numbered images.
    stream : int, optional
        The number of the video stream in the container; that of the best one if left out.

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
    BeyondLimitsError
        If it claims more than any file of its size holds, or frames larger than H264 allows.
    TruncatedError
        If most of what the index names is not in the file. (What lacks less is told by `completeness`.)
    SequenceError
        If the images of a folder are not one sequence of frames.
    ChangedError
        If the file changed in the meantime.
    OSError
        If the disk or share fails, not the file.
    """
    # Absolute, so that no name can be taken for a protocol or an option.
    absolute = str(Path(path).absolute())
    if is_folder(absolute):
        if stream not in (None, 0):
            fact = f"it has no video stream of number {stream}"
            raise NoVideoError(absolute, fact, "Images are one stream, number 0: leave `stream` out.")
        return _probe_images(absolute)
    with _standing_still(absolute) as status:
        if status.st_size == 0:
            raise EmptyFileError(absolute, "the file has no bytes", COPY_AGAIN)
        check_claims(absolute)
        check_start_codes(absolute)
        digest = digest_file(absolute)
        check_index(absolute)
        _check_frame_sizes(absolute)
        with open_container(absolute) as container:
            chosen = choose_stream(container, absolute, stream)
            check_frame_size(absolute, chosen.width, chosen.height)
            packets = read_packets(container, chosen, absolute)
            index = index_packets(packets, absolute)
            completeness = judge_completeness(
                container, chosen, absolute, index, is_last_whole=bool(packets["is_whole"][-1])
            )
            rotation = _find_rotation(absolute, chosen.index)
            remarks = [] if stream is not None else _tell_choice(container, chosen)
            if completeness.verdict != "complete" and (n_unplaced := count_unplaced(packets)):
                index = index.head(index.n_frames - n_unplaced)
                remarks.append(_LEFT_OUT.format("frame" if n_unplaced == 1 else f"{n_unplaced} frames"))
            info = _describe(container, chosen, absolute, status, digest, index, completeness, rotation, remarks)
            return info, index


def _tell_choice(container: InputContainer, chosen: VideoStream) -> list[str]:
    # What is coded otherwise could not be chosen, and is mostly a cover picture that is not marked as one.
    streams = [stream for stream in list_streams(container) if codec_of(stream) == "h264"]
    if len(streams) == 1:
        return []
    told = f"It holds {len(streams)} streams of video, {tell_streams(streams)}"
    return [f"{told}: stream {chosen.index} is described. Set `stream` to choose."]


def _check_frame_sizes(path: str) -> None:
    # Before FFmpeg may decode anything: not all containers let it be told to decode no frame that is too large.
    with open_container(path, decodes=False) as container:
        for stream in container.streams.video:
            # PyAV has no codec context, and no size, where FFmpeg has no decoder.
            if stream.codec_context:
                check_frame_size(path, stream.width, stream.height)
                if codec_of(stream) == "h264":
                    check_held_pixels(path, HeaderReader(stream.codec_context.extradata).held_pixels)


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
    if info.container == IMAGES:
        return _index_images(info.n_frames)
    with _standing_still(info.path), open_container(info.path) as container:
        index = index_frames(container, video_stream(container, info.stream_index), info.path)
        return index.head(info.n_frames)


def is_unchanged(info: VideoInfo) -> bool:
    """Tell whether the file, or each image of the folder, still has the size and time that it was probed with."""
    try:
        if info.looks is not None:
            return digest_looks(scan_images(info.path)) == info.looks
        status = Path(info.path).stat()
    except (FileNotFoundError, NotADirectoryError):
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


def _probe_images(folder: str) -> tuple[VideoInfo, FrameIndex]:
    found = survey_images(folder)
    info = VideoInfo(
        path=folder,
        size_bytes=found.size_bytes,
        mtime_ns=found.mtime_ns,
        digest=found.digest,
        container=IMAGES,
        stream_index=0,
        codec=found.header.codec,
        profile=None,
        pixel_format=found.header.pixel_format,
        color_range="full",
        colorspace="gbr" if found.header.pixel_format == "rgb24" else "untagged",
        width=found.header.width,
        height=found.header.height,
        pixel_aspect=None,
        time_base="1/1",
        average_rate=None,
        header_n_frames=0,
        duration_s=None,
        n_frames=found.n_frames,
        completeness="unknown",
        completeness_fact="a folder does not say how many images it should hold",
        missing_share=None,
        looks=found.looks,
        remarks=found.remarks,
    )
    return info, _index_images(found.n_frames)


def _index_images(n_frames: int) -> FrameIndex:
    """Return the index of images: each stands alone, and none says when it is shown."""
    return FrameIndex(
        pts=np.full(n_frames, NO_PTS, np.int64),
        is_keyframe=np.ones(n_frames, np.bool_),
        packets=np.arange(n_frames),
        is_seekable=True,
    )


def check_complete(info: VideoInfo, most: float) -> None:
    """Check that no more of a recording is missing than is allowed.

    Parameters
    ----------
    info : VideoInfo
    most : float
        The largest share that may be missing, from 0 to 1. What is cut off, nobody knowing how much, passes.

    Raises
    ------
    TruncatedError
        If more is missing.
    """
    if info.missing_share is not None and info.missing_share > most:
        fact = f"{info.completeness_fact}; at most {100 * most:g} % of it may be missing (max_corrupt)"
        remedy = (
            f"{COPY_AGAIN} If it ends there as well, raise `max_corrupt` in the file beside it, or by --max-corrupt."
        )
        raise TruncatedError(info.path, fact, remedy)


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
            raise UnreadableError(path, "it is neither a file nor a folder", "Give the path of a recording.")
        Path(path).open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(path, "there is no such file", "Check the path.") from error
    except PermissionError as error:
        raise UnreadableError(path, "it may not be read", "Give facehog's user the right to.") from error
    return status


def _describe(
    container: InputContainer,
    stream: VideoStream,
    path: str,
    status: os.stat_result,
    digest: str,
    index: FrameIndex,
    completeness: Completeness,
    rotation: int,
    remarks: list[str],
) -> VideoInfo:
    decoder = stream.codec_context
    if not (decoder.width and decoder.height and decoder.pix_fmt and stream.time_base):
        if completeness.verdict == "incomplete":
            raise TruncatedError(path, completeness.fact, COPY_AGAIN)
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
        duration_s=length_s(stream) or film_length_s(container),
        n_frames=index.n_frames,
        completeness=completeness.verdict,
        completeness_fact=completeness.fact,
        missing_share=completeness.missing_share,
        rotation=rotation,
        remarks=remarks,
    )


def _find_rotation(path: str, stream_index: int) -> int:
    """Return how the file asks its frames to be turned; 0 if its first packets give no frame to tell by."""
    with open_container(path) as container:
        stream = video_stream(container, stream_index)
        for packet in islice(iter_packets(container, stream), _MOST_PACKETS_TO_FIRST_FRAME):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    return int(frame.rotation)
    return 0


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
