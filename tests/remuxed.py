"""Recordings as they come out of other programs: cut, joined, timed anew, with other streams beside the video."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from barcode import write_recording
from crafted import Stream, box, describe_samples, read_stream, table, write_mp4
from recordings import run_ffmpeg

Packets = list[av.Packet]
GOP = 8
NO_B = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0"
WITH_B = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=3"
TS_PACKET = 188


def remux(path: Path, n_frames: int, change: Callable[[Packets], Packets], **options: Any) -> Path:
    """Write a recording, change the list of its packets, and put them into the container that the name says."""
    # TS and raw H264 have the stream's parameters only with the keyframes.
    x264 = options.pop("x264", WITH_B) + ":repeat-headers=1"
    # Times are to be as they are given, also below zero.
    muxer = {"avoid_negative_ts": "disabled"} if path.suffix in (".mkv", ".flv") else {}
    with (
        av.open(write_recording(path.with_name("whole.mp4"), n_frames, x264=x264, **options)) as source,
        av.open(path, "w", options=muxer) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in change(list(source.demux(video=0))[:-1]):
            packet.stream = stream
            target.mux(packet)
    return path


def from_second_keyframe(packets: Packets) -> Packets:
    return packets[[packet.is_keyframe for packet in packets].index(True, 1) :]


def from_sixth_packet(packets: Packets) -> Packets:
    return packets[5:]


def at_times(times: Sequence[int]) -> Callable[[Packets], Packets]:
    """Return a change that shows frame i at the i-th time, in thirtieths of a second."""

    def change(packets: Packets) -> Packets:
        order = sorted(range(len(packets)), key=lambda place: packets[place].pts)
        for number, place in enumerate(order):
            packets[place].pts = int(times[number] / 30 / packets[place].time_base)
        for place, packet in enumerate(packets):
            packet.dts = place - 100_000  # early enough for any of them
        return packets

    return change


def without_pts(path: Path, n_frames: int, *, is_without: Callable[[int], bool], **options: Any) -> Path:
    """Write an MPEG-TS and take the time from some of its frames, counted in the order of decoding."""
    content = bytearray(remux(path, n_frames, list, **options).read_bytes())
    n_seen = 0
    for start in range(0, len(content), TS_PACKET):
        # What begins here is a PES packet of video: after 4 bytes, and a field for stuffing if there is one.
        has_stuffing = content[start + 3] & 0x20
        pes = start + 4 + (1 + content[start + 4] if has_stuffing else 0)
        if content[start + 1] & 0x40 and content[pes : pes + 4] == b"\0\0\1\xe0":
            if is_without(n_seen):
                content[pes + 7] &= 0x3F
                length = content[pes + 8]
                content[pes + 9 : pes + 9 + length] = b"\xff" * length
            n_seen += 1
    path.write_bytes(content)
    return path


def join(path: Path, lengths: Sequence[int], parts: Sequence[dict[str, Any]]) -> Path:
    """Write recordings one after the other, as cameras do that go on in the same file; numbers begin anew."""
    content = b""
    for number, (length, options) in enumerate(zip(lengths, parts, strict=True)):
        x264 = options["x264"] + ":repeat-headers=1"
        part = write_recording(path.with_name(f"part{number}{path.suffix}"), length, **options | {"x264": x264})
        content += part.read_bytes()
    path.write_bytes(content)
    return path


def join_packets(path: Path, lengths: Sequence[int], parts: Sequence[dict[str, Any]]) -> Path:
    """Write recordings one after the other into one container; numbers begin anew."""
    with av.open(path, "w") as target:
        stream, start = None, Fraction(0)
        for number, (length, options) in enumerate(zip(lengths, parts, strict=True)):
            part = path.with_name(f"part{number}.mp4")
            x264 = options["x264"] + ":repeat-headers=1"
            with av.open(write_recording(part, length, **options | {"x264": x264})) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in list(source.demux(video=0))[:-1]:
                    shift = int(start / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    target.mux(packet)
                start += Fraction(length, 30)
    return path


def with_descriptions(path: Path, lengths: Sequence[int], parts: Sequence[str], *, n_at_a_time: int = 1) -> Path:
    """Write an MP4 of parts that are coded in different ways, each with its own description; numbers begin anew.

    So many frames are shown at a time.
    """
    streams, packets, shown = [], list[av.Packet](), list[int]()
    for number, (length, x264) in enumerate(zip(lengths, parts, strict=True)):
        part = write_recording(path.with_name(f"part{number}.mp4"), length, x264=x264)
        streams.append(read_stream(part))
        with av.open(part) as source:
            found = list(source.demux(video=0))[:-1]
        shown += [len(packets) + int(packet.pts * packet.time_base * 30 + 0.5) for packet in found]
        packets += found
    delay = n_at_a_time + max(place - number for place, number in enumerate(shown))
    keyframes = [(place,) for place, packet in enumerate(packets, 1) if packet.is_keyframe]
    coded = Stream(extradata=streams[0].extradata, packets=[packet for part in streams for packet in part.packets])
    tables = {
        b"stsd": box(b"stsd", struct.pack(">II", 0, len(streams)), *map(describe_samples, streams)),
        b"stsc": table(b"stsc", [(part, len(found.packets), part) for part, found in enumerate(streams, 1)]),
        b"stss": table(b"stss", keyframes),
        b"ctts": table(
            b"ctts", [(1, number - number % n_at_a_time - place + delay) for place, number in enumerate(shown)]
        ),
    }
    offset = 0
    for _ in range(2):  # Where the frames begin follows from the length of what is written before them.
        sizes = [sum(map(len, found.packets)) for found in streams]
        offsets = [(offset + sum(sizes[:part]),) for part in range(len(sizes))]
        write_mp4(path, coded, tables=tables | {b"stco": table(b"stco", offsets)})
        offset = path.read_bytes().index(b"mdat") + 4
    return path


def described_wrongly(path: Path, n_frames: int, x264: str, wrong: str) -> Path:
    """Write an MP4 whose description is of other frames; the right one stands with the first frame alone."""
    stream = read_stream(write_recording(path.with_name("whole.mp4"), n_frames, x264=x264))
    other = read_stream(write_recording(path.with_name("other.mp4"), 1, x264=wrong))
    # avcC: 6 bytes, then one SPS and one PPS, each after its length; of the PPS, after their number.
    n_sps = int.from_bytes(stream.extradata[6:8])
    sps, pps = stream.extradata[6 : 8 + n_sps], stream.extradata[9 + n_sps :]
    n_pps = int.from_bytes(pps[:2])
    first = b"".join(len(unit).to_bytes(4) + unit for unit in (sps[2:], pps[2 : 2 + n_pps]))
    packets = [first + stream.packets[0], *stream.packets[1:]]
    keyframes = [(number,) for number in range(1, n_frames + 1, GOP)]
    return write_mp4(
        path, Stream(extradata=other.extradata, packets=packets), tables={b"stss": table(b"stss", keyframes)}
    )


def cut_by_ffmpeg(path: Path, n_frames: int, start_s: float, **options: Any) -> Path:
    """Cut a recording without coding it anew, as labs do."""
    whole = write_recording(path.with_name(f"whole{path.suffix}"), n_frames, **{"x264": WITH_B} | options)
    run_ffmpeg("-ss", str(start_s), "-i", whole, "-c", "copy", path)
    return path


def with_edits(path: Path, n_frames: int, edits: Sequence[tuple[int, int]]) -> Path:
    """Write an MP4 with an edit list: how long (ms), and from which frame on."""
    coded = read_stream(write_recording(path.with_name("whole.mp4"), n_frames, x264=NO_B))
    keyframes = table(b"stss", [(number,) for number in range(1, n_frames + 1, GOP)])
    return write_mp4(path, coded, tables={b"stss": keyframes}, edits=edits)


def beside(path: Path, n_frames: int, *arguments: str, other: dict[str, Any] | None = None) -> Path:
    """Write a recording after another stream: sound, a cover picture, or another video."""
    video = write_recording(path.with_name(f"whole{path.suffix}"), n_frames, x264=WITH_B)
    first: list[str | Path] = []
    if "sound" in arguments:
        first = ["-f", "lavfi", "-i", "sine=duration=1"]
    elif "cover" in arguments:
        run_ffmpeg("-i", video, "-frames:v", "1", path.with_name("cover.jpg"))
        first = ["-i", path.with_name("cover.jpg")]
    else:
        first = ["-i", write_recording(path.with_name(f"other{path.suffix}"), **(other or {}))]
    options = [argument for argument in arguments if argument not in ("sound", "cover")]
    run_ffmpeg(*first, "-i", video, "-map", "0", "-map", "1", "-c:v", "copy", *options, path)
    return path
