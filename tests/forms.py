"""What a recording can look like: how the tests write it, what that is, and what facehog does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from barcode import write_recording
from fields import write_fields, write_late_recovery, write_steps
from remuxed import (
    at_times,
    beside,
    cut_by_ffmpeg,
    described_wrongly,
    from_second_keyframe,
    from_sixth_packet,
    join,
    join_packets,
    remux,
    with_descriptions,
    with_edits,
    without_pts,
)
from stills import write_stills

from facehog_core.errors import FacehogError, RecordingRefusedError, UnreadableError

GOP = 8
N_FRAMES = 3 * GOP
CLOSED = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=3"
OPEN = f"{CLOSED}:open-gop=1:b-pyramid=normal"
NO_B = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0"
REFRESH = f"keyint={GOP}:intra-refresh=1"

CHUNKS = "read in chunks, each from its keyframe on"
# Where no keyframe is known, or none can be sought.
WHOLE = "read by one decoder from the beginning, since no later frame can be decoded by itself"
COUNTED = "read by one decoder that counts packets from the beginning, since times do not tell frames apart"
IMAGES = "read image by image"

# When frames are shown, in thirtieths of a second.
LATE = [1000 + number for number in range(N_FRAMES)]
UNEVEN = [number * number + 3 for number in range(N_FRAMES)]
REPEATED = [number - number % 3 for number in range(N_FRAMES)]
BACKWARD = [number if number < 14 else number - 10 for number in range(N_FRAMES)]
HALVED = [number if number < 14 else 2 * number - 14 for number in range(N_FRAMES)]

HIDDEN = [number - 7 for number in range(N_FRAMES)]
AFTER_HIDDEN = range(7, N_FRAMES)
FROM_SECOND_GOP = range(GOP, N_FRAMES)
TWICE = [*range(12), *range(12)]


class Form(NamedTuple):
    """A form of recording: name, how it is written there, and two sentences for the table.

    `shows` are the numbers on its frames, in the order in which a plain decode from the beginning shows them.
    """

    name: str
    write: Callable[[Path], Path]
    what: str
    outcome: str = CHUNKS
    shows: Sequence[int] = range(N_FRAMES)
    may_be_marked: bool = False  # as corrupt, though nothing is


class RefusedForm(NamedTuple):
    """A form of recording that is refused: class of the error, and what it has to say."""

    name: str
    write: Callable[[Path], Path]
    what: str
    error: type[FacehogError]
    says: str


def plain(**options: Any) -> Callable[[Path], Path]:
    return partial(write_recording, **{"n_frames": N_FRAMES, "x264": CLOSED} | options)


def changed(write: Callable[..., Path], *arguments: Any, **options: Any) -> Callable[[Path], Path]:
    return lambda path: write(path, N_FRAMES, *arguments, **options)


def two_sizes(write: Callable[..., Path]) -> Callable[[Path], Path]:
    return lambda path: write(path, [12, 12], [{"x264": NO_B}, {"x264": NO_B, "size": (64, 160)}])


FORMS = {
    # GOPs
    "b-frames": Form("x.mp4", plain(), "MP4 whose frames are stored in another order than they are shown"),
    "no b-frames": Form("x.mp4", plain(x264=NO_B), "MP4 whose frames are stored as they are shown"),
    "open gop": Form("x.mp4", plain(x264=OPEN), "frames before a keyframe lean on it and on the GOP before"),
    "one keyframe": Form("x.mp4", plain(x264="keyint=infinite:bframes=3:scenecut=0"), "an endless GOP", WHOLE),
    "keyframes only": Form("x.mp4", plain(x264="keyint=1"), "every frame is a keyframe"),
    "slices": Form("x.mp4", plain(x264=f"{CLOSED}:slices=4"), "four slices a frame"),
    "intra refresh": Form(
        "x.mp4", plain(x264=f"{REFRESH}:bframes=0"), "pictures mend themselves little by little", WHOLE
    ),
    "intra refresh, b-frames": Form("x.mp4", plain(x264=f"{REFRESH}:bframes=2"), "the same, with B-frames", WHOLE),
    **{
        f"{suffix}, late recovery": Form(
            f"x.{suffix}",
            changed(write_late_recovery),
            "recovery points from which on the picture is true only some frames later",
            WHOLE,
            [0, 0, 0, 0, 4, 4, 4, 4, 8, 4, 4, 4, 12, 12, 12, 12, 16, 12, 12, 12, 20, 20, 20, 20],
        )
        for suffix in ("mp4", "ts")
    },
    "one frame": Form("x.mp4", plain(n_frames=1), "a single frame", WHOLE, range(1)),
    "mkv, one frame": Form("x.mkv", plain(n_frames=1), "the same in Matroska", WHOLE, range(1)),
    "ts, one frame": Form("x.ts", plain(n_frames=1), "the same in MPEG-TS", WHOLE, range(1)),
    "avi, one frame": Form("x.avi", plain(n_frames=1), "the same in AVI", WHOLE, range(1)),
    "raw, one frame": Form("x.h264", plain(n_frames=1), "the same without a container", COUNTED, range(1)),
    # Fields
    "interlaced": Form(
        "x.mp4", plain(x264=f"{CLOSED}:interlaced=1:tff=1"), "two fields a frame, coded together (MBAFF), top first"
    ),
    "ts, interlaced": Form("x.ts", plain(x264=f"{CLOSED}:interlaced=1:bff=1"), "the same in MPEG-TS, bottom first"),
    "fields": Form("x.mp4", changed(write_fields), "two fields a frame, coded apart (PAFF)"),
    "fields apart": Form("x.mp4", changed(write_fields, apart=True), "the same, each field a packet of its own"),
    "mkv, fields": Form("x.mkv", changed(write_fields), "fields coded apart, Matroska"),
    "ts, fields": Form("x.ts", changed(write_fields), "fields coded apart, and a time for one of the two", COUNTED),
    "ts, fields apart": Form("x.ts", changed(write_fields, apart=True), "fields coded apart, and a time for each"),
    "raw, fields": Form("x.h264", changed(write_fields), "fields coded apart, without a container", COUNTED),
    "raw, steps": Form(
        "x.h264", changed(write_steps), "order of frames by foreseen steps (picture order count type 1)", COUNTED
    ),
    # Containers
    "index in front": Form("x.mp4", plain(muxer={"movflags": "faststart"}), "MP4 with its index before its frames"),
    "fragmented": Form("x.mp4", plain(muxer={"movflags": "frag_keyframe+empty_moov"}), "MP4 in pieces with indices"),
    "fragmented, each frame": Form(
        "x.mp4", plain(muxer={"movflags": "frag_every_frame+empty_moov"}), "MP4 with an index for each frame"
    ),
    "mov": Form("x.mov", plain(), "QuickTime"),
    "mov, index in front": Form("x.mov", plain(muxer={"movflags": "faststart"}), "QuickTime, its index in front"),
    "mkv": Form("x.mkv", plain(), "Matroska; its times are whole milliseconds"),
    "mkv, open gop": Form("x.mkv", plain(x264=OPEN), "Matroska with open GOPs"),
    "mkv, live": Form("x.mkv", plain(muxer={"live": "1"}), "Matroska as it is streamed: no length, no index"),
    "ts": Form("x.ts", plain(), "MPEG-TS, which has no index"),
    "ts, open gop": Form("x.ts", plain(x264=OPEN), "MPEG-TS with open GOPs"),
    "ts, intra refresh": Form("x.ts", plain(x264=f"{REFRESH}:bframes=0"), "MPEG-TS with intra refresh", WHOLE),
    "m2ts": Form("x.m2ts", plain(), "MPEG-TS as camcorders write it"),
    "flv": Form("x.flv", plain(), "Flash video"),
    "avi": Form("x.avi", plain(x264=NO_B), "AVI, which stores when frames are decoded"),
    "avi, b-frames": Form("x.avi", plain(), "AVI whose frames are shown in another order", COUNTED),
    "raw": Form("x.h264", plain(), "H264 without a container, and so without times", COUNTED),
    "raw, open gop": Form("x.h264", plain(x264=OPEN), "the same, with open GOPs", COUNTED),
    "two descriptions": Form(
        "x.mp4",
        lambda path: with_descriptions(path, [12, 24], [f"{CLOSED}:interlaced=1", f"{CLOSED}:ref=4:b-pyramid=normal"]),
        "MP4 whose frames are coded in another way from frame 12 on, as a second description says",
        shows=[*range(12), *range(24)],
    ),
    "two descriptions, fewer references": Form(
        "x.mp4",
        lambda path: with_descriptions(path, [12, 24], [f"{CLOSED}:bframes=8:ref=16", f"{NO_B}:ref=1"]),
        "the same, from many frames that lean on others to few",
        shows=[*range(12), *range(24)],
    ),
    "two descriptions, times repeated": Form(
        "x.mp4",
        lambda path: with_descriptions(
            path, [12, 24], [f"{CLOSED}:bframes=8:ref=16", f"{NO_B}:cabac=0"], n_at_a_time=2
        ),
        "the same, two frames at a time",
        COUNTED,
        [*range(12), *range(24)],
    ),
    "wrong description": Form(
        "x.mp4",
        changed(described_wrongly, f"{NO_B}:ref=4:cabac=0", f"{NO_B}:ref=1:interlaced=1"),
        "its description is of other frames; the right one stands with the first frame alone",
        WHOLE,
    ),
    # Times
    "late start": Form("x.mp4", plain(pts=LATE), "the first frame is shown late"),
    "variable rate": Form("x.mp4", plain(pts=UNEVEN), "frames at uneven times"),
    "mkv, variable rate": Form("x.mkv", plain(pts=UNEVEN), "frames at uneven times, Matroska"),
    "rate halved": Form("x.mp4", plain(pts=HALVED), "from frame 14 on, half as many frames a second"),
    "ts, rate halved": Form("x.ts", plain(pts=HALVED), "the same in MPEG-TS"),
    "times repeated": Form("x.mp4", changed(remux, at_times(REPEATED)), "three frames at a time", COUNTED),
    "mkv, times repeated": Form("x.mkv", changed(remux, at_times(REPEATED)), "three frames at a time", COUNTED),
    "ts, times repeated": Form("x.ts", changed(remux, at_times(REPEATED)), "three frames at a time", COUNTED),
    "times backward": Form("x.mp4", changed(remux, at_times(BACKWARD)), "times jump back in the middle", COUNTED),
    "mkv, times backward": Form(
        "x.mkv", changed(remux, at_times(BACKWARD), x264=NO_B), "times jump back in the middle", COUNTED
    ),
    "ts, times backward": Form("x.ts", changed(remux, at_times(BACKWARD)), "times jump back in the middle", COUNTED),
    "ts, joined": Form(
        "x.ts",
        lambda path: join(path, [12, 12], [{"x264": CLOSED}, {"x264": OPEN}]),
        "two recordings one after the other: times begin anew, and the seam may read like a lost packet",
        COUNTED,
        TWICE,
        may_be_marked=True,
    ),
    "raw, joined": Form(
        "x.h264",
        lambda path: join(path, [12, 12], [{"x264": CLOSED}, {"x264": f"{OPEN}:ref=5:interlaced=1"}]),
        "two recordings one after the other that are coded in different ways",
        COUNTED,
        TWICE,
    ),
    "ts, times missing": Form(
        "x.ts", changed(without_pts, is_without=lambda number: number % 3 == 1), "one frame in three has none", COUNTED
    ),
    "ts, no times": Form("x.ts", changed(without_pts, is_without=lambda _: True), "no frame has one", COUNTED),
    "mkv, times below zero": Form(
        "x.mkv", changed(remux, at_times(HIDDEN), x264=NO_B), "the first frames have times below zero", COUNTED
    ),
    # Hidden frames, and frames that lean on what is not there
    "edit list": Form("x.mp4", plain(pts=HIDDEN, x264=NO_B), "an edit list hides the first frames", shows=AFTER_HIDDEN),
    "edit list, b-frames": Form("x.mp4", plain(pts=HIDDEN), "the same, with B-frames", shows=AFTER_HIDDEN),
    "edit list, open gop": Form("x.mov", plain(pts=HIDDEN, x264=OPEN), "the same, open GOPs", shows=AFTER_HIDDEN),
    "edit list, cut": Form(
        "x.mp4", changed(cut_by_ffmpeg, 0.5), "cut by FFmpeg within a GOP, not coded anew", shows=range(15, N_FRAMES)
    ),
    "edit list, last frames": Form(
        "x.mp4", changed(with_edits, [(500, 0)]), "an edit list hides the last frames", shows=range(15)
    ),
    "edit list, two parts": Form(
        "x.mp4",
        changed(with_edits, [(200, 0), (200, 12)]),
        "an edit list leaves out the middle",
        COUNTED,
        [*range(6), *range(12, 18)],
    ),
    "cut": Form("x.mp4", changed(remux, from_second_keyframe), "cut at a keyframe", shows=FROM_SECOND_GOP),
    **{
        f"{suffix}, cut at a recovery point": Form(
            f"x.{suffix}",
            changed(remux, from_second_keyframe, x264=OPEN),
            "cut in an open GOP: no IDR frame, and the first frames lean on what is gone",
            COUNTED if suffix == "h264" else CHUNKS,
            FROM_SECOND_GOP,
        )
        for suffix in ("mp4", "mkv", "ts", "h264")
    },
    **{
        f"{suffix}, begun within a GOP": Form(
            f"x.{suffix}",
            changed(remux, from_sixth_packet),
            "its first packets come before any keyframe or parameters",
            COUNTED if suffix == "h264" else CHUNKS,
            FROM_SECOND_GOP,
        )
        for suffix in ("mp4", "mkv", "ts", "h264")
    },
    # Several streams
    "sound first": Form("x.mp4", changed(beside, "sound"), "sound before the video"),
    "ts, sound first": Form("x.ts", changed(beside, "sound"), "sound before the video, MPEG-TS"),
    "cover first": Form(
        "x.mp4", changed(beside, "cover", "-disposition:v:0", "attached_pic"), "a cover picture before the video"
    ),
    "second video": Form(
        "x.mkv",
        changed(beside, "-disposition:0", "0", "-disposition:1", "default", other={"n_frames": 5}),
        "two videos, and the second is the default",
    ),
    # Pixels
    "yuv422p": Form("x.mp4", plain(pixel_format="yuv422p"), "chroma at half resolution"),
    "yuv444p": Form("x.mp4", plain(pixel_format="yuv444p"), "chroma at full resolution"),
    "full range": Form("x.mp4", plain(pixel_format="yuvj420p"), "luma from 0 to 255"),
    "grey": Form("x.mp4", plain(pixel_format="gray"), "monochrome, as H264 knows it"),
    "10 bit": Form("x.mp4", plain(pixel_format="yuv420p10le"), "ten bits a sample"),
    "coloured": Form("x.mp4", plain(chroma=90), "a colour camera"),
    "odd size": Form("x.mp4", plain(size=(97, 161), pixel_format="yuv444p"), "97 rows of 161 pixels"),
    # Still images
    **{
        f"folder of {form}": Form(
            "m12", changed(write_stills, form), f"numbered images ({form}), numbers not padded", IMAGES
        )
        for form in ("jpg", "png", "tif")
    },
}
REFUSED_FORMS = {
    **{
        f"{suffix}, size changes": RefusedForm(
            f"x.{suffix}",
            two_sizes(join if suffix in ("ts", "h264") else join_packets),
            "from frame 12 on, frames are smaller",
            RecordingRefusedError,
            "the size of its frames changes from 160 x 96 to 160 x 64 at frame 12.*Cut it there into two recordings",
        )
        for suffix in ("mp4", "mkv", "ts", "h264")
    },
    **{
        f"{suffix}, cut, intra refresh": RefusedForm(
            f"x.{suffix}",
            changed(remux, from_second_keyframe, x264=f"{REFRESH}:bframes=0"),
            "cut where pictures mend themselves little by little: it has no keyframe",
            UnreadableError,
            "none of its 16 frames is a keyframe.*cut out of a longer recording",
        )
        for suffix in ("mp4", "ts")
    },
    "ts, no parameters": RefusedForm(
        "x.ts",
        changed(cut_by_ffmpeg, 0.5, x264=f"{OPEN}:repeat-headers=0"),
        "cut in an open GOP: what a decoder must know before the first frame is gone",
        UnreadableError,
        "its video stream does not say what its frames look like",
    ),
}
