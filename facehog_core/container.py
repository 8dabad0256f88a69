"""Opening a recording: nothing but the file itself is read, and what is wrong with it is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from .errors import NotH264Error, NoVideoError, UnreadableError
from .limits import MOST_PIXELS
from .mp4 import top_level_boxes

# Containers that hold their frames themselves. Playlists and their like (hls, concat, dash, image2) lead
# FFmpeg to other files and addresses, also under the name of an .mp4.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,mxf,h264,hevc"

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails

COPY_AGAIN = "Copy it again from the rig."

# Far more than a file has that was not made to keep us busy.
_MOST_BOXES = 1000


def open_container(path: str, *, decodes: bool = True) -> InputContainer:
    """Open a video file for reading. The caller closes it.

    Parameters
    ----------
    path : str
        An absolute path. (A relative one could read as a protocol: ``concat:a|b``, ``http://...``)
    decodes : bool, optional
        Whether FFmpeg may decode some frames to know the streams. If not, it knows the size of the frames mostly,
        and not their pixel format.

    Raises
    ------
    UnreadableError
        If FFmpeg finds no container in it that holds its own frames.
    OSError
        If the disk or share fails, not the file.
    """
    # To know the stream, FFmpeg decodes some frames of it: not of any size.
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(MOST_PIXELS)}
    if not decodes:
        options["codec_whitelist"] = "none"
    try:
        # Tags are often not in UTF-8, and no reason to refuse a recording.
        return av.open(path, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise UnreadableError(path, *_why_unreadable(path)) from error


def is_mov(container: InputContainer) -> bool:
    """Tell whether a container is MP4, MOV or another of that family."""
    return "mov" in container.format.name.split(",")


def choose_stream(container: InputContainer, path: str) -> VideoStream:
    """Choose the video stream of a container: H264 first, then the default one, then the largest.

    Raises
    ------
    NoVideoError
        If there is none. Cover pictures and thumbnails are no video.
    NotH264Error
        If none is coded in H264.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        fact = f"it holds no video stream (but {kinds})"
        raise NoVideoError(path, fact, "Check that it is a camera's recording.")

    def rank(stream: VideoStream) -> tuple[bool, bool, int, int]:
        is_default = bool(stream.disposition & Disposition.default)
        n_pixels = stream.width * stream.height if stream.codec_context else 0
        return codec_of(stream) == "h264", is_default, n_pixels, -stream.index

    best = max(streams, key=rank)
    if (codec := codec_of(best)) != "h264":
        fact = f"its video is coded in {codec}, not in H264"
        raise NotH264Error(path, fact, "Set the camera to record H264.")
    return best


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
    size_bytes = Path(path).stat().st_size
    boxes = list(islice(top_level_boxes(path, size_bytes), _MOST_BOXES))
    if not boxes or boxes[0][0] != b"ftyp" or b"moov" in (kind for kind, _ in boxes):
        return "FFmpeg cannot read it as a video", "Check that it is a recording, and a whole one."
    fact = "its index (moov) is missing"
    if (promised_bytes := boxes[-1][1]) > size_bytes:
        fact += f", and it ends after {size_bytes:,} of at least {promised_bytes:,} bytes"
    return fact, f"It is half copied, or the camera's program was stopped while writing. {COPY_AGAIN}"
