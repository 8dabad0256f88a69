"""Recordings that lie about themselves, written box by box: no camera makes them, an enemy or a bad disk may."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from barcode import write_recording

BILLION = 1_000_000_000
LARGEST = 0xFFFF_FFFF


def box(kind: bytes, *contents: bytes, size: int | None = None) -> bytes:
    """Return an MP4 box; `size` in place of the true one is a lie."""
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content) if size is None else size, kind) + content


def table(
    kind: bytes, rows: Sequence[Sequence[int]], *fields: int, version: int = 0, n_rows: int | None = None
) -> bytes:
    """Return a sample table of 32-bit values; `fields` come before the count, `n_rows` in place of the true count."""
    values = [value for row in rows for value in row]
    count = len(rows) if n_rows is None else n_rows
    return box(kind, struct.pack(f">B3x{len(fields) + 1 + len(values)}I", version, *fields, count, *values))


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Coded frames and what a decoder must know before the first."""

    extradata: bytes
    packets: list[bytes] = field(repr=False)


def read_stream(path: Path) -> Stream:
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        return Stream(extradata=bytes(stream.codec_context.extradata or b""), packets=packets)


def describe_samples(coded: Stream, size: tuple[int, int] = (160, 96)) -> bytes:
    """Return a description of frames: how large they are, and what a decoder must know."""
    fields = struct.pack(">6xH16xHHIIIH32xHh", 1, *size, 0x48_0000, 0x48_0000, 0, 1, 24, -1)
    return box(b"avc1", fields, box(b"avcC", coded.extradata))


def write_mp4(
    path: Path,
    coded: Stream,
    *,
    size: tuple[int, int] = (160, 96),
    tables: dict[bytes, bytes] | None = None,
    front: bytes = b"",
    fragments: bytes = b"",
    extended: bool = False,
    edits: Sequence[tuple[int, int]] = (),
) -> Path:
    """Write coded frames as an MP4 by hand: index in front, one chunk.

    `tables` replaces sample tables by others (an empty one leaves it out), `size` is what the sample description
    claims, `front` goes into the index and `fragments` to the end of the file; `extended` announces fragments,
    and `edits` are durations (ms) and first times of an edit list.
    """
    sizes = [len(packet) for packet in coded.packets]
    width, height = size
    ftyp = box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomavc1")

    def make_index(offset: int) -> bytes:
        stbl = {
            b"stsd": box(b"stsd", struct.pack(">II", 0, 1), describe_samples(coded, size)),
            b"stts": table(b"stts", [(len(sizes), 1)]),
            b"stsc": table(b"stsc", [(1, len(sizes), 1)]),
            b"stsz": table(b"stsz", [(n,) for n in sizes], 0),
            b"stco": table(b"stco", [(offset,)]),
        } | (tables or {})
        minf = box(
            b"minf",
            box(b"vmhd", struct.pack(">I8x", 1)),
            box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1)))),
            box(b"stbl", *stbl.values()),
        )
        handler = box(b"hdlr", struct.pack(">4x4x4s12x", b"vide"), b"\0")
        mdhd = box(b"mdhd", struct.pack(">4x4x4xIIHH", 30, len(sizes), 0x55C4, 0))
        unit = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)
        tkhd = box(b"tkhd", struct.pack(">I4x4xI4xI16x", 3, 1, 1000), unit, struct.pack(">HHHH", width, 0, height, 0))
        mvhd = box(b"mvhd", struct.pack(">4x4x4xIIIH10x", 1000, 1000, 0x10000, 0x100), unit, struct.pack(">24xI", 2))
        mvex = box(b"mvex", box(b"trex", struct.pack(">6I", 0, 1, 1, 1, 1, 0))) if extended else b""
        rows = b"".join(struct.pack(">IiI", *edit, 0x10000) for edit in edits)
        edts = box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)), rows)) if edits else b""
        return box(b"moov", mvhd, box(b"trak", tkhd, edts, box(b"mdia", mdhd, handler, minf)), mvex, front)

    offset = len(ftyp) + len(make_index(0)) + 8
    path.write_bytes(ftyp + make_index(offset) + box(b"mdat", *coded.packets) + fragments)
    return path


class Bits:
    """Writes the bit strings of H264's parameter sets."""

    def __init__(self) -> None:
        self.bits = ""

    def u(self, n_bits: int, value: int) -> Bits:
        self.bits += f"{value:0{n_bits}b}"
        return self

    def ue(self, *values: int) -> Bits:
        for value in values:
            binary = f"{value + 1:b}"
            self.bits += "0" * (len(binary) - 1) + binary
        return self

    def to_nal(self, header: int) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        content = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        escaped, zeros = bytearray(), 0
        for byte in content:
            if zeros >= 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes([header]) + bytes(escaped)


def make_sps(width_mbs: int, height_mbs: int, *, n_refs: int = 1, level: int = 10) -> bytes:
    """Return a sequence parameter set (Baseline) of any size, in macroblocks of 16 x 16."""
    bits = Bits().u(8, 66).u(8, 0).u(8, level)
    bits.ue(0, 0, 2, n_refs).u(1, 0).ue(width_mbs - 1, height_mbs - 1)
    return bits.u(1, 1).u(1, 1).u(1, 0).u(1, 0).to_nal(0x67)


def make_pps() -> bytes:
    return Bits().ue(0, 0).u(1, 0).u(1, 0).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0).u(1, 1).u(1, 0).u(1, 0).to_nal(0x68)


def make_idr(idr_id: int = 0) -> bytes:
    """Return the beginning of a keyframe's slice: its header, and a few macroblocks that end too early."""
    # First macroblock, I slice, picture parameter set 0, frame number 0, idr_pic_id.
    bits = Bits().ue(0, 7, 0).u(4, 0).ue(idr_id)
    bits.u(1, 0).u(1, 0).ue(0).ue(1)
    return Bits.to_nal(bits.ue(3, 0, 0, 0, 3, 0), 0x65)


def make_skips(n_mbs: int, frame_num: int) -> bytes:
    """Return a P frame of nothing but skipped macroblocks: a few bytes, whatever its size."""
    bits = Bits().ue(0, 5, 0).u(4, frame_num % 16).u(1, 0).u(1, 0).u(1, 0).ue(0).ue(1)
    return Bits.to_nal(bits.ue(n_mbs), 0x41)


def annex_b(*nals: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def small(folder: Path) -> Stream:
    """Return the stream of a plain recording of 12 frames of 160 x 96 pixels."""
    return read_stream(write_recording(folder / "small.mp4", 12, x264="keyint=12:bframes=0"))


def make_fragment(n_rows: int) -> bytes:
    """Return a fragment that claims frames and says nothing of them."""
    trun = box(b"trun", struct.pack(">III", 1, n_rows, 0))
    tfhd = box(b"tfhd", struct.pack(">III", 0x20010, 1, 1))
    return box(b"moof", box(b"mfhd", struct.pack(">II", 0, 1)), box(b"traf", tfhd, trun))


def make_bomb(
    width_mbs: int, height_mbs: int, *, n_refs: int = 16, n_frames: int = 24
) -> Callable[[Path, Stream], Path]:
    """Return a writer of a few hundred bytes of raw H264 that are frames of any size, each kept for the next."""

    def write(path: Path, _: Stream) -> Path:
        skips = (make_skips(width_mbs * height_mbs, number) for number in range(1, n_frames))
        nals = [b"\x09\xf0", make_sps(width_mbs, height_mbs, n_refs=n_refs), make_pps(), make_idr()]
        path.write_bytes(annex_b(*nals) + b"".join(annex_b(b"\x09\xf0", skip) for skip in skips))
        return path

    return write


def remux(write: Callable[[Path, Stream], Path]) -> Callable[[Path, Stream], Path]:
    """Put what a writer makes into another container, which follows from the name."""

    def write_and_remux(path: Path, coded: Stream) -> Path:
        raw = write(path.with_suffix(".h264"), coded).read_bytes()
        raw_frames = [annex_b(b"\x09\xf0") + frame for frame in raw.split(annex_b(b"\x09\xf0"))[1:]]
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            if path.suffix in (".flv", ".mkv"):
                stream.codec_context.extradata = raw_frames[0]
            for number, frame in enumerate(raw_frames):
                packet = av.Packet(frame)
                packet.stream, packet.time_base = stream, Fraction(1, 30)
                packet.pts = packet.dts = number
                packet.is_keyframe = number == 0
                container.mux(packet)
        return path

    return write_and_remux


def write_giant_element(path: Path, _: Stream) -> Path:
    """Write an MKV whose first block says that it is of 1 TB."""
    content = write_recording(path, 12).read_bytes()
    cluster = content.index(b"\x1f\x43\xb6\x75")
    block = content.index(b"\xa3", cluster)
    path.write_bytes(content[: block + 1] + struct.pack(">Q", 2**56 | 2**40) + content[block + 3 :])
    return path


def write_giant_index(path: Path, _: Stream) -> Path:
    """Write an AVI whose index says that it is of 4 GB."""
    content = bytearray(write_recording(path, 12, x264="keyint=12:bframes=0").read_bytes())
    struct.pack_into("<I", content, content.rindex(b"idx1") + 4, 0xFFFF_FFF0)
    path.write_bytes(content)
    return path
