"""Opening a recording: nothing but the file itself is read, and what is wrong with it is said in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from .errors import NotH264Error, NoVideoError, UnreadableError
from .limits import MOST_PIXELS
from .mp4 import read_outline

# Containers that hold their frames themselves. Playlists and their like (hls, concat, dash, image2) lead
# FFmpeg to other files and addresses, also under the name of an .mp4.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,mxf,h264,hevc"

# To know the streams, FFmpeg decodes some frames: not of any size.
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(MOST_PIXELS)}
_DECODES_NOTHING = {"codec_whitelist": "none"}

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails

COPY_AGAIN = "Copy it again from the rig."
_HALF_COPIED = f"It is half copied, or the camera's program was stopped while writing. {COPY_AGAIN}"

_BLOCK_BYTES = 2**22


def open_container(path: str, *, decodes: bool = True, stop: int | None = None) -> InputContainer:
    """Open a video file for reading. The caller closes it.

    An MP4 that ends within the head of a fragment is opened up to there: FFmpeg would not open it at all.

    Parameters
    ----------
    path : str
        An absolute path. (A relative one could read as a protocol: ``concat:a|b``, ``http://...``)
    decodes : bool, optional
        Whether FFmpeg may decode some frames to know the streams. If not, it knows the size of the frames mostly,
        and not their pixel format.
    stop : int, optional
        Where the file is to end for FFmpeg, in bytes from its start. Behind its true end zeros are read: an index can
        so be followed to its end though the file is cut off.

    Raises
    ------
    UnreadableError
        If FFmpeg finds no container in it that holds its own frames.
    OSError
        If the disk or share fails, not the file.
    """
    try:
        return av.open(
            path if stop is None else _Part(path, stop),
            "r",
            options=_OPTIONS if decodes else _OPTIONS | _DECODES_NOTHING,
            # Tags are often not in UTF-8, and no reason to refuse a recording.
            metadata_errors="replace",
        )
    except av.FFmpegError as error:
        if is_failing_disk(error, path):
            raise
        if stop is None and (start := _find_cut_fragment(path)):
            return open_container(path, decodes=decodes, stop=start)
        raise UnreadableError(path, *_why_unreadable(path)) from error


def is_failing_disk(error: av.FFmpegError, path: str) -> bool:
    """Tell whether an error comes from the disk or share, and not from what is wrong with the file.

    FFmpeg calls it an input error also where a file ends too early.
    """
    if not isinstance(error, OSError) or error.errno != errno.EIO:
        return isinstance(error, OSError)
    try:
        with Path(path).open("rb", buffering=0) as file:
            while file.read(_BLOCK_BYTES):
                pass
    except OSError:
        return True
    return False


class _Part(RawIOBase):
    """The first bytes of a file, or all of it with zeros behind.

    It is opened for each piece that is read: nobody tells when FFmpeg needs it no more.
    """

    def __init__(self, path: str, stop: int) -> None:
        self._path, self._stop = Path(path), stop
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._position = offset + {SEEK_SET: 0, SEEK_CUR: self._position, SEEK_END: self._stop}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer)[: max(self._stop - self._position, 0)]
        with self._path.open("rb") as file:
            file.seek(self._position)
            # All that there is: of an unbuffered file it could be less, in the middle.
            n_bytes = file.readinto(wanted)
        wanted[n_bytes:] = bytes(len(wanted) - n_bytes)
        self._position += len(wanted)
        return len(wanted)


def check_index(path: str) -> None:
    """Check that the index of an MP4 or MOV is there as a whole; other files pass.

    Raises
    ------
    UnreadableError
        If it is not: what it would name last might be missing without a word.
    """
    if fact := _tell_what_is_cut(path):
        raise UnreadableError(path, fact, _HALF_COPIED)


def is_mov(container: InputContainer) -> bool:
    """Tell whether a container is MP4, MOV or another of that family."""
    return "mov" in container.format.name.split(",")


def choose_stream(container: InputContainer, path: str, wanted: int | None = None) -> VideoStream:
    """Choose the video stream of a container: H264 first, then the default one, then the largest.

    Parameters
    ----------
    container : av.container.InputContainer
    path : str
        The file, for errors.
    wanted : int, optional
        The number of the stream in the container, where somebody has chosen one.

    Raises
    ------
    NoVideoError
        If there is none, or the wanted one is none. Cover pictures and thumbnails are no video.
    NotH264Error
        If none, or the wanted one, is coded in H264.
    """
    streams = list_streams(container)
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        fact = f"it holds no video stream (but {kinds})"
        raise NoVideoError(path, fact, "Check that it is a camera's recording.")
    if wanted is not None and wanted not in [stream.index for stream in streams]:
        fact = f"it has no video stream of number {wanted}"
        raise NoVideoError(path, fact, f"Set `stream` to one of {tell_streams(streams)}, or leave it out.")
    best = video_stream(container, wanted) if wanted is not None else max(streams, key=_rank)
    if (codec := codec_of(best)) != "h264":
        fact = f"its video is coded in {codec}, not in H264"
        raise NotH264Error(path, fact, "Set the camera to record H264.")
    return best


def list_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams that hold video, and not only a picture."""
    return [stream for stream in container.streams.video if not stream.disposition & _PICTURES]


def tell_streams(streams: Sequence[VideoStream]) -> str:
    """Say which streams there are: number, codec, and size in pixels."""
    sizes = (f"{stream.width} x {stream.height}" if stream.codec_context else "unknown size" for stream in streams)
    return ", ".join(
        f"{stream.index} ({codec_of(stream)}, {size})" for stream, size in zip(streams, sizes, strict=True)
    )


def video_stream(container: InputContainer, number: int) -> VideoStream:
    """Return the stream of this number, which is one of video."""
    stream = container.streams[number]
    assert isinstance(stream, VideoStream)
    return stream


def _rank(stream: VideoStream) -> tuple[bool, bool, int, int]:
    is_default = bool(stream.disposition & Disposition.default)
    n_pixels = stream.width * stream.height if stream.codec_context else 0
    return codec_of(stream) == "h264", is_default, n_pixels, -stream.index


def codec_of(stream: VideoStream) -> str:
    """Return FFmpeg's name of the codec that a stream is coded in."""
    # PyAV has no codec context where FFmpeg has no decoder.
    return stream.codec_context.codec.canonical_name if stream.codec_context else "an unknown codec"


def iter_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream in file order; the last is empty and flushes the decoder."""
    is_avi = container.format.name == "avi"
    for packet in _demux(container, stream):
        if is_avi:
            # AVI stores only when a frame is decoded. FFmpeg's guess at its presentation is one frame late.
            packet.pts = packet.dts
        yield packet


def _demux(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    for other in container.streams:
        # FFmpeg stops at the first sound that is cut off, though there may be pictures yet.
        if other.index != stream.index:
            other.discard = Discard.all
    while True:
        try:
            yield from container.demux(stream)
        except av.BlockingIOError:
            # Not the disk says so, but MPEG-TS: where no packet begins for long, it wants to be asked again.
            continue
        except IndexError:
            # PyAV's flush stumbles over streams that appeared on the way (MPEG-TS), after ours has been flushed.
            pass
        return


def _why_unreadable(path: str) -> tuple[str, str]:
    """Return the fact and the remedy for a file that FFmpeg cannot open."""
    if fact := _tell_what_is_cut(path):
        return fact, _HALF_COPIED
    return "FFmpeg cannot read it as a video", "Check that it is a recording, and a whole one."


def _tell_what_is_cut(path: str) -> str | None:
    """Say so if the index of an MP4 or MOV is not there, or not as a whole."""
    outline = read_outline(path)
    if outline is None or outline.first != b"ftyp":
        return None
    end = ""
    if outline.is_cut_off:
        end = f", and it ends after {outline.size_bytes:,} of at least {outline.stop:,} bytes"
    if b"moov" not in outline.kinds:
        return f"its index (moov) is missing{end}"
    return f"its index (moov) is cut off{end}" if outline.is_cut_off and outline.last == b"moov" else None


def length_s(stream: VideoStream) -> float | None:
    """Return how long the container says that a stream is, in seconds; None if it does not."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def film_length_s(container: InputContainer) -> float | None:
    """Return how long all streams together are, in seconds; None if unknown. FFmpeg may have guessed it."""
    return None if container.duration is None else container.duration / av.time_base


def _find_cut_fragment(path: str) -> int | None:
    """Return where the last fragment of an MP4 begins, if the file ends within its head."""
    outline = read_outline(path)
    return outline.last_start if outline and outline.is_cut_off and outline.last == b"moof" else None
