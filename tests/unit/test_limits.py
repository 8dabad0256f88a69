from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest
from barcode import write_recording
from bounded import GIB, Outcome, examine, examine_all
from crafted import (
    BILLION,
    LARGEST,
    Stream,
    annex_b,
    box,
    make_bomb,
    make_fragment,
    remux,
    small,
    table,
    write_giant_element,
    write_giant_index,
    write_mp4,
)
from recordings import REAL, run_ffmpeg

from facehog_core import limits, mp4
from facehog_core.limits import MOST_FRAME_BYTES
from facehog_core.video import probe

GROWN = 2**31


def of_mp4(**claims: object) -> Callable[[Path, Stream], Path]:
    return lambda path, coded: write_mp4(path, coded, **claims)


def grown(make: Callable[[Path, Stream], Path]) -> Callable[[Path, Stream], Path]:
    """Let a file seem large: behind its end there is a hole that takes no space."""

    def make_and_grow(path: Path, coded: Stream) -> Path:
        make(path, coded)
        os.truncate(path, GROWN)
        return path

    return make_and_grow


def with_zeros(path: Path, _: Stream) -> Path:
    write_recording(path, 12, x264="keyint=12:bframes=0")
    os.truncate(path, 3 * MOST_FRAME_BYTES if path.suffix == ".h264" else 2**23)
    return path


def rows(kind: bytes, row: tuple[int, ...], n_rows: int, *fields: int) -> Callable[[Path, Stream], Path]:
    """Claim more rows of a table than its box holds, in a file that is long enough for them."""
    return grown(of_mp4(tables={kind: table(kind, [row], *fields, n_rows=n_rows)}))


READ = "^[0-9]+ x [0-9]+, [0-9]+ frames$"
# What is made, and what must be said of it.
CLAIMS: dict[str, tuple[Callable[[Path, Stream], Path], str]] = {
    "65,535 x 65,535 in the header.mp4": (of_mp4(size=(65535, 65535)), "65535 x 65535 pixels, and H264's largest"),
    "a billion frames of one size.mp4": (
        of_mp4(tables={b"stsz": table(b"stsz", [], 1000, n_rows=BILLION)}),
        "claims 1,000,000,000 frames, in",
    ),
    "60 million frames of a byte.mp4": (
        of_mp4(
            tables={
                b"stsz": table(b"stsz", [], 1, n_rows=60_000_000),
                b"stsc": table(b"stsc", [(1, 60_000_000, 1)]),
                b"stts": table(b"stts", [(60_000_000, 1)]),
            }
        ),
        "claims 60,000,000 frames",
    ),
    "a billion times in one row.mp4": (of_mp4(tables={b"stts": table(b"stts", [(BILLION, 1)])}), READ),
    "a billion offsets in one row.mp4": (of_mp4(tables={b"ctts": table(b"ctts", [(BILLION, 1)])}), READ),
    "a billion frames in fragments.mp4": (
        of_mp4(extended=True, fragments=make_fragment(1_000_000) * 1000),
        "claims 1,000,000,012 frames",
    ),
    "a frame of 2 GB.mp4": (
        grown(of_mp4(tables={b"stsz": table(b"stsz", [(400,)] * 11 + [(2**31 - 9,)], 0)})),
        "a frame of 2,147,483,639 bytes",
    ),
    "more sizes than there is room for.mp4": (rows(b"stsz", (5,), LARGEST // 8, 0), "stsz.* claims 536,870,911 rows"),
    "more times than there is room for.mp4": (rows(b"stts", (1, 1), LARGEST // 8), "stts.* claims 536,870,911 rows"),
    "more offsets than there is room for.mp4": (rows(b"ctts", (1, 1), BILLION), "ctts.* claims 1,000,000,000 rows"),
    "more keyframes than there is room for.mp4": (rows(b"stss", (1,), BILLION), "stss.* claims 1,000,000,000 rows"),
    "more chunks than there is room for.mp4": (rows(b"co64", (0, 500), BILLION), "co64.* claims 1,000,000,000 rows"),
    "every frame a million times.mp4": (
        of_mp4(edits=[(400, 0)] * 1_000_000),
        "edit list has 1,000,000 entries for 12 frames",
    ),
    "an index in an index, 10,000 deep.mp4": (
        of_mp4(front=reduce(lambda inner, _: box(b"trak", inner), range(10_000), b"")),
        READ,
    ),
    "a tag in a tag, 10,000 deep.mp4": (
        of_mp4(front=reduce(lambda inner, _: box(b"udta", inner), range(10_000), b"")),
        "FFmpeg cannot read it",
    ),
    "a compressed index.mp4": (of_mp4(front=box(b"cmov", bytes(100))), "index is compressed"),
    "frames of 65,520 x 65,520.h264": (make_bomb(4095, 4095), "are allowed|does not say"),
    "frames of 16,384 x 8,704.h264": (make_bomb(1024, 544, n_refs=1), "16384 x 8704 pixels, and H264's largest"),
    "frames of 16,384 x 8,704.ts": (remux(make_bomb(1024, 544, n_refs=1)), "16384 x 8704 pixels, and H264's largest"),
    "frames of 16,384 x 8,704.flv": (remux(make_bomb(1024, 544, n_refs=1)), "16384 x 8704 pixels, and H264's largest"),
    "frames of 16,384 x 8,704.mkv": (remux(make_bomb(1024, 544, n_refs=1)), "16384 x 8704 pixels, and H264's largest"),
    "the largest frames.h264": (make_bomb(512, 272, n_refs=8, n_frames=12), READ),
    "16 large frames kept for others.h264": (make_bomb(512, 272, n_refs=16), "keep frames of 570,425,344 pixels"),
    "16 large frames kept for others.ts": (remux(make_bomb(512, 272, n_refs=16)), "keep frames of 570,425,344 pixels"),
    "an element of 1 TB.mkv": (write_giant_element, "no frame"),
    "an index of 4 GB.avi": (write_giant_index, "13 frames|cannot be decoded"),
}

# A copy that broke off may leave a file of its full length, with zeros at its end.
CLAIMS |= {
    f"zeros at the end.{kind}": (with_zeros, "^160 x 96, 12 frames$")
    for kind in ("mp4", "mov", "mkv", "avi", "ts", "flv")
}
CLAIMS["zeros at the end.h264"] = (with_zeros, "without the beginning of a frame")


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Return what became of each claim: all are examined in one process, which must live through them."""
    folder = tmp_path_factory.mktemp("claims")
    coded = small(folder)
    paths = [make(folder / name, coded) for name, (make, _) in CLAIMS.items()]
    outcomes = dict(zip(CLAIMS, examine_all(paths), strict=True))
    for path in paths:
        path.unlink()
    return outcomes


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_file_claims_is_refused_in_words_or_survived(claims: dict[str, Outcome], name: str) -> None:
    outcome, says = claims[name], CLAIMS[name][1]
    assert not outcome.is_wrong, outcome.said
    assert re.search(says, outcome.said), outcome.said


def test_no_claim_takes_a_gibibyte(claims: dict[str, Outcome]) -> None:
    assert max(outcome.peak_bytes for outcome in claims.values()) < GIB


def test_no_recording_that_cameras_and_encoders_made_is_beyond_limits(videos_dir: Path) -> None:
    for name in REAL:
        limits.check_claims(str(videos_dir / name))
        limits.check_start_codes(str(videos_dir / name))


def test_uncompressed_sound_does_not_count_as_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recording(tmp_path / "plain.mp4", 30)
    sound = ("-f", "lavfi", "-i", "sine=duration=60:sample_rate=48000", "-i", path, "-c:a", "pcm_s16le", "-c:v", "copy")
    run_ffmpeg(*sound, tmp_path / "loud.mov")
    assert mp4.read_claims(str(tmp_path / "loud.mov")).n_samples == 60 * 48000 // 1024 + 30
    monkeypatch.setattr(limits, "MOST_FRAMES", 10_000)
    assert probe(tmp_path / "loud.mov")[0].n_frames == 30


@pytest.mark.parametrize("muxer", [{}, {"movflags": "frag_keyframe+empty_moov"}, {"movflags": "frag_every_frame"}])
def test_an_honest_index_claims_what_it_holds(tmp_path: Path, muxer: dict[str, str]) -> None:
    claims = mp4.read_claims(str(write_recording(tmp_path / "plain.mp4", 60, muxer=muxer)))
    assert (claims.n_samples, claims.overdrawn, claims.is_compressed) == (60, None, False)
    assert claims.n_edits <= limits.USUAL_EDITS


def test_a_raw_stream_is_searched_across_the_pieces_it_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_BLOCK_BYTES", 7)
    monkeypatch.setattr(limits, "MOST_FRAME_BYTES", 40)
    for n_bytes in range(20, 60):
        path = tmp_path / f"{n_bytes}.h264"
        path.write_bytes(annex_b(b"\x67\xff", b"\xff" * (n_bytes - 3), b"\x65\xff" * 4))
        # From one start code to the next: its three bytes, the unit, and a zero.
        is_refused = n_bytes + 1 > 40
        if is_refused:
            with pytest.raises(limits.BeyondLimitsError, match=rf"from byte 7 on there are {n_bytes + 1} "):
                limits.check_start_codes(str(path))
        else:
            limits.check_start_codes(str(path))


def test_a_file_that_ends_within_its_boxes_claims_what_is_there(tmp_path: Path) -> None:
    content = write_recording(tmp_path / "plain.mp4", 12, muxer={"movflags": "faststart"}).read_bytes()
    for length in range(0, len(content), 97):
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(content[:length])
        outcome = examine(cut)
        assert not outcome.is_wrong, outcome.said


def test_boxes_are_followed_as_they_are_written(tmp_path: Path) -> None:
    large = struct.pack(">I4sQ", 1, b"free", 24) + bytes(8)
    to_the_end = struct.pack(">I4s", 0, b"mdat") + bytes(10)
    path = tmp_path / "boxes.mp4"
    path.write_bytes(box(b"ftyp", bytes(8)) + large + to_the_end)
    assert mp4.read_outline(str(path)) == mp4.Outline(
        kinds=frozenset((b"ftyp", b"free", b"mdat")),
        first=b"ftyp",
        last=b"mdat",
        last_start=40,
        stop=58,
        size_bytes=58,
    )
