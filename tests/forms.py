"""What a recording can look like: how the tests write it, what that is, and what facehog does with it."""

from __future__ import annotations

from typing import Any, NamedTuple

CLOSED = "keyint=12:min-keyint=12:scenecut=0:bframes=3"
OPEN = f"{CLOSED}:open-gop=1:b-pyramid=normal"
NO_B = "keyint=12:min-keyint=12:scenecut=0:bframes=0"
REFRESH = "keyint=12:intra-refresh=1"

CHUNKS = "read in chunks, each from its keyframe on"
# Where no keyframe is known, or none can be sought.
WHOLE = "read by one decoder from the beginning, since no later frame can be decoded by itself"
COUNTED = "read by one decoder that counts packets from the beginning, since times do not tell frames apart"


class Form(NamedTuple):
    """A form of recording: file name, options of `barcode.write_recording`, and two sentences for the table."""

    name: str
    options: dict[str, Any]
    what: str
    outcome: str = CHUNKS


FORMS = {
    "b-frames": Form("x.mp4", {}, "MP4 whose frames are stored in another order than they are shown"),
    "no b-frames": Form("x.mp4", {"x264": NO_B}, "MP4 whose frames are stored as they are shown"),
    "open gop": Form("x.mp4", {"x264": OPEN}, "frames before a keyframe lean on it and on the GOP before"),
    "one keyframe": Form("x.mp4", {"x264": "keyint=infinite:bframes=3:scenecut=0"}, "an endless GOP", WHOLE),
    "keyframes only": Form("x.mp4", {"x264": "keyint=1"}, "every frame is a keyframe"),
    "intra refresh": Form(
        "x.mp4", {"x264": f"{REFRESH}:bframes=0"}, "pictures mend themselves little by little", WHOLE
    ),
    "intra refresh, b-frames": Form("x.mp4", {"x264": f"{REFRESH}:bframes=2"}, "the same, with B-frames", WHOLE),
    "interlaced": Form("x.mp4", {"x264": f"{CLOSED}:interlaced=1:tff=1"}, "coded as two fields a frame"),
    "index in front": Form("x.mp4", {"muxer": {"movflags": "faststart"}}, "MP4 with its index before its frames"),
    "fragmented": Form("x.mp4", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}, "MP4 in pieces with indices"),
    "mov": Form("x.mov", {}, "QuickTime"),
    "mkv": Form("x.mkv", {}, "Matroska; its times are whole milliseconds"),
    "mkv, open gop": Form("x.mkv", {"x264": OPEN}, "Matroska with open GOPs"),
    "ts": Form("x.ts", {}, "MPEG-TS, which has no index"),
    "ts, open gop": Form("x.ts", {"x264": OPEN}, "MPEG-TS with open GOPs"),
    "ts, intra refresh": Form("x.ts", {"x264": f"{REFRESH}:bframes=0"}, "MPEG-TS with intra refresh", WHOLE),
    "flv": Form("x.flv", {}, "Flash video"),
    "avi": Form("x.avi", {"x264": NO_B}, "AVI, which stores when frames are decoded"),
    "avi, b-frames": Form("x.avi", {}, "AVI whose frames are shown in another order", COUNTED),
    "raw": Form("x.h264", {}, "H264 without a container, and so without times", COUNTED),
    "raw, open gop": Form("x.h264", {"x264": OPEN}, "the same, with open GOPs", COUNTED),
    "late start": Form("x.mp4", {"pts": [1000 + i for i in range(60)]}, "the first frame is shown late"),
    "variable rate": Form("x.mp4", {"pts": [i * i + 3 for i in range(60)]}, "frames at uneven times"),
    "mkv, variable rate": Form("x.mkv", {"pts": [i * i + 3 for i in range(60)]}, "frames at uneven times, Matroska"),
    "yuv444p": Form("x.mp4", {"pixel_format": "yuv444p"}, "chroma at full resolution"),
    "full range": Form("x.mp4", {"pixel_format": "yuvj420p"}, "luma from 0 to 255"),
    "10 bit": Form("x.mp4", {"pixel_format": "yuv420p10le"}, "ten bits a sample"),
    "coloured": Form("x.mp4", {"chroma": 90}, "a colour camera"),
    "odd size": Form("x.mp4", {"size": (97, 161), "pixel_format": "yuv444p"}, "97 rows of 161 pixels"),
}
