from __future__ import annotations

import io
import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from barcode import read_number, write_recording
from forms import CLOSED, NO_B, OPEN
from hypothesis import given
from hypothesis import strategies as st
from recordings import DERIVED, PER_RECORDING, REAL, run_ffmpeg
from remuxed import remux
from runs import SMALL_HOG, run_recording

from facehog_core.completeness import Completeness, Verdict
from facehog_core.container import open_container
from facehog_core.decode import iter_frames
from facehog_core.errors import FacehogError, TruncatedError, UnreadableError
from facehog_core.frame_index import NO_PACKET, FrameIndex
from facehog_core.recipe import Recipe
from facehog_core.session import open_session
from facehog_core.video import VideoInfo, check_complete, probe

WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "b-frames": ("x.mp4", {}),
    "index in front": ("x.mp4", {"muxer": {"movflags": "faststart"}}),
    "mov": ("x.mov", {}),
    "fragmented": ("x.mp4", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "mkv": ("x.mkv", {}),
    "mkv, open gop": ("x.mkv", {"x264": OPEN}),
    "avi": ("x.avi", {"x264": NO_B}),
    "avi, b-frames": ("x.avi", {}),
    "ts": ("x.ts", {}),
    "ts, open gop": ("x.ts", {"x264": OPEN}),
    "raw": ("x.h264", {}),
    "raw, open gop": ("x.h264", {"x264": OPEN}),
    "flv": ("x.flv", {}),
}
# Those that promise how much there should be, and what proves that it is there.
PROMISING = {
    "b-frames": "all frames that its index names are there",
    "index in front": "all frames that its index names are there",
    "mov": "all frames that its index names are there",
    "fragmented": "the index behind its fragments is there",
    "mkv": "bytes that its header names are there",
    "mkv, open gop": "bytes that its header names are there",
    "avi": "bytes that its header names are there",
    "avi, b-frames": "bytes that its header names are there",
}
SILENT = {
    "ts": "MPEG-TS does not say",
    "ts, open gop": "MPEG-TS does not say",
    "raw": "raw H264 does not say",
    "raw, open gop": "raw H264 does not say",
    "flv": "its container does not say",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a whole recording of 60 numbered frames in each form."""
    return {
        form: write_recording(tmp_path_factory.mktemp("form") / name, 60, **{"x264": CLOSED} | options)
        for form, (name, options) in WRITTEN.items()
    }


def cut(path: Path, n_bytes: int, folder: Path) -> Path:
    """Copy the beginning of a recording."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes()[:n_bytes])
    return copy


@pytest.mark.parametrize("form", PROMISING)
def test_a_whole_recording_is_seen_to_be_complete(whole: dict[str, Path], form: str) -> None:
    info, _ = probe(whole[form])
    assert (info.completeness, info.missing_share) == ("complete", None)
    assert PROMISING[form] in info.completeness_fact


@pytest.mark.parametrize("form", SILENT)
def test_where_nothing_is_promised_it_is_said_that_nobody_can_know(whole: dict[str, Path], form: str) -> None:
    info, _ = probe(whole[form])
    assert (info.completeness, info.missing_share) == ("unknown", None)
    assert SILENT[form] in info.completeness_fact


@pytest.mark.parametrize("name", [*REAL, *DERIVED])
def test_a_recording_of_a_camera_is_complete(videos_dir: Path, name: str) -> None:
    assert probe(videos_dir / name)[0].completeness == "complete"


@pytest.mark.parametrize("form", [*PROMISING, *SILENT])
def test_a_recording_that_is_cut_off_anywhere_is_never_called_complete(
    whole: dict[str, Path], form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, folder = whole[form].read_bytes(), tmp_path_factory.mktemp("cut")

    @PER_RECORDING
    @given(n_bytes=st.integers(1, len(content) - 1))
    def holds(n_bytes: int) -> None:
        try:
            info, _ = probe(cut(whole[form], n_bytes, folder))
        except FacehogError:
            return
        assert info.completeness in (
            ("incomplete",) if form in PROMISING and form != "fragmented" else ("incomplete", "unknown")
        )

    holds()


@pytest.mark.parametrize("form", WRITTEN)
def test_what_is_left_of_a_recording_keeps_its_numbers(whole: dict[str, Path], form: str, tmp_path: Path) -> None:
    content = whole[form].read_bytes()
    n_wrong_without, n_read = 0, 0
    for n_bytes in range(len(content) // 2, len(content), len(content) // 24):
        try:
            info, index = probe(cut(whole[form], n_bytes, tmp_path))
        except UnreadableError:
            continue
        n_read += 1
        n_wrong_without += bool(info.remarks)
        for decoded in iter_frames(info, index, 0, info.n_frames):
            if not decoded.is_corrupt:
                assert read_number(decoded.luma) == decoded.index
    if form in ("ts", "raw", "mkv", "avi, b-frames"):
        assert 0 < n_wrong_without < n_read, "the case is among them, and not all are taken for it"


@pytest.mark.parametrize("x264", [CLOSED, OPEN, "keyint=12:bframes=0"])
@pytest.mark.parametrize("share", [0.4, 0.75, 0.97])
def test_frames_that_an_index_promises_keep_their_numbers_and_times(tmp_path: Path, x264: str, share: float) -> None:
    path = write_recording(tmp_path / "whole.mp4", 60, x264=x264, muxer={"movflags": "faststart"})
    (tmp_path / "cut").mkdir()
    _, before = probe(path)
    info, index = probe(cut(path, int(path.stat().st_size * share), tmp_path / "cut"))
    np.testing.assert_array_equal(index.pts, before.pts)
    there = index.packets != NO_PACKET
    np.testing.assert_array_equal(index.is_keyframe, before.is_keyframe & there)
    np.testing.assert_array_equal(index.packets[there], before.packets[there])
    n_there = int(there.sum())
    assert 0 < n_there < 60
    assert info.completeness_fact == f"the file ends after {n_there} of 60 frames"
    assert info.missing_share == pytest.approx(1 - n_there / 60)
    for span in (60, 7):
        assert_lost_where_missing(info, index, span)


def assert_lost_where_missing(info: VideoInfo, index: FrameIndex, span: int) -> None:
    decoded = [
        frame
        for start in range(0, index.n_frames, span)
        for frame in iter_frames(info, index, start, min(start + span, index.n_frames))
    ]
    assert [frame.index for frame in decoded] == list(range(index.n_frames))
    for frame in decoded:
        if index.packets[frame.index] == NO_PACKET:
            assert frame.frame is None
        if not frame.is_corrupt:
            assert read_number(frame.luma) == frame.index
    # Only the frame that is cut off, and those that lean on what is missing, are not as they should be.
    n_clean = sum(not frame.is_corrupt for frame in decoded)
    assert n_clean >= (index.packets != NO_PACKET).sum() - 4


def test_an_index_that_is_cut_off_is_said_to_be(whole: dict[str, Path], tmp_path: Path) -> None:
    content = whole["b-frames"].read_bytes()
    path = cut(whole["b-frames"], content.index(b"moov") + 200, tmp_path)
    with pytest.raises(UnreadableError, match=r"its index \(moov\) is cut off, and it ends after .* of at least"):
        probe(path)


def test_an_index_that_names_far_more_than_there_is_is_refused_at_once(whole: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(whole["index in front"].read_bytes())
    table = content.index(b"stco") + 12  # of one chunk, or more
    for row in range(struct.unpack_from(">I", content, table - 4)[0]):
        struct.pack_into(">I", content, table + 4 * row, 2**31 + 1000 * row)
    path = tmp_path / "far.mp4"
    path.write_bytes(content)
    with pytest.raises(TruncatedError, match="ends after 0 of 60 frames"):
        probe(path)


def test_fragments_without_an_index_behind_them_may_be_all_or_not(whole: dict[str, Path], tmp_path: Path) -> None:
    content = whole["fragmented"].read_bytes()
    starts = [place - 4 for place in range(len(content)) if content.startswith((b"moof", b"mfra"), place)]
    for stop in starts[1:]:
        info, index = probe(cut(whole["fragmented"], stop, tmp_path))
        assert info.completeness == "unknown"
        assert "do not say how many" in info.completeness_fact
        assert (index.packets != NO_PACKET).all()
    n_before = probe(cut(whole["fragmented"], starts[-2], tmp_path))[0].n_frames
    info, index = probe(cut(whole["fragmented"], starts[-2] + 40, tmp_path))  # within the head of the last fragment
    assert (info.n_frames, info.completeness, info.missing_share) == (n_before, "incomplete", None)
    assert [read_number(decoded.luma) for decoded in iter_frames(info, index, 0, n_before)] == list(range(n_before))


def write_piped(path: Path, *, tags: dict[str, str] | None = None, program: str = "camera") -> Path:
    """Write a Matroska whose writer could not come back to its header: it does not say how long the file is."""
    written = write_recording(path.with_suffix(".whole.mkv"), 60, x264=CLOSED)
    with av.open(written) as source, av.open(_Pipe(path), "w", format="matroska") as target:
        target.metadata["encoding_tool"] = program
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.metadata.update(tags or {})
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return path


class _Pipe(io.RawIOBase):
    """A file that is only ever written at its end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.name = str(path)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def test_a_matroska_that_was_written_to_a_pipe_promises_nothing(tmp_path: Path) -> None:
    info, _ = probe(write_piped(tmp_path / "x.mkv"))
    assert (info.n_frames, info.completeness) == (60, "unknown")


# What FFmpeg writes where it cannot come back to the header, of a film of 2 s with all of its frames.
PIPED: dict[str, tuple[tuple[str, ...], str]] = {
    "avi": (("-c", "copy"), "unknown"),
    "flv": (("-c", "copy"), "unknown"),
    "asf": (("-c", "copy"), "unknown"),
    "mpegts": (("-c", "copy"), "unknown"),
    # Its header has the length of what it was copied from.
    "matroska": (("-c", "copy"), "complete"),
    "matroska of a part": (("-ss", "1", "-c", "copy"), "unknown"),
    "matroska, stopped": (("-t", "3600", "-c", "copy", "-frames:v", "24"), "unknown"),
}


@pytest.mark.parametrize("kind", PIPED)
def test_what_was_written_to_a_pipe_is_not_called_incomplete(whole: dict[str, Path], tmp_path: Path, kind: str) -> None:
    words, verdict = PIPED[kind]
    path = tmp_path / "piped"
    write_piped_by_ffmpeg(path, whole["avi" if kind == "avi" else "mkv"], *words, "-f", kind.split()[0].strip(","))
    assert probe(path)[0].completeness == verdict


def write_piped_by_ffmpeg(path: Path, source: Path, *words: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", source, *words, "-"]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)


@pytest.mark.parametrize("name", ["x.avi", "x.flv", "x.asf", "x.mkv", "x.mp4", "x.ts"])
def test_sound_that_is_longer_than_the_frames_does_not_make_them_incomplete(
    whole: dict[str, Path], tmp_path: Path, name: str
) -> None:
    path = with_sound(whole["avi"], tmp_path / name, 4)
    info, _ = probe(path)
    assert (info.n_frames, info.missing_share) == (60, None)
    assert info.completeness != "incomplete"


def with_sound(source: Path, path: Path, duration_s: int, *words: str) -> Path:
    sound = f"sine=duration={duration_s}:sample_rate=44100"
    inputs = ("-f", "lavfi", "-i", sound, "-i", source, "-map", "0", "-map", "1")
    run_ffmpeg(*inputs, "-c:v", "copy", "-c:a", "aac" if path.suffix == ".flv" else "mp2", *words, path)
    return path


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_frames_that_are_there_are_read_though_sound_is_cut_off(
    whole: dict[str, Path], tmp_path: Path, share: float
) -> None:
    path = with_sound(whole["b-frames"], tmp_path / "x.mp4", 2, "-movflags", "faststart")
    content = bytearray(path.read_bytes())
    start, n_bytes = content.index(b"mdat") - 4, len(content)
    table = content.index(b"stco") + 8  # of the first stream, which is the sound's
    for row in range(struct.unpack_from(">I", content, table)[0]):
        place = table + 4 + 4 * row
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] - start + n_bytes)
    # All sound lies behind all frames now.
    both = bytes(content) + content[start:]
    path.write_bytes(both[: int(len(both) * share)])
    info, index = probe(path)
    with av.open(path) as container:
        n_there = sum(entry.pos < path.stat().st_size for entry in container.streams.video[0].index_entries)
    assert info.n_frames == 60
    assert (index.packets != NO_PACKET).sum() == n_there == (60 if share == 0.8 else pytest.approx(37, abs=10))
    assert info.completeness == ("complete" if n_there == 60 else "incomplete")
    for decoded in iter_frames(info, index, 0, n_there - 4):
        assert read_number(decoded.luma) == decoded.index


# From where to where something else is in place of what lay there, by shares of the file, and how it came about.
@pytest.mark.parametrize("spoil", [lambda lost: bytes(len(lost)), lambda lost: bytes(byte ^ 0xFF for byte in lost)])
@pytest.mark.parametrize(("start", "stop"), [(0.3, 0.96), (0.7, 0.96), (0.5, 0.6)])
def test_a_matroska_in_which_bytes_were_lost_is_not_complete(
    whole: dict[str, Path], tmp_path: Path, start: float, stop: float, spoil: Callable[[bytes], bytes]
) -> None:
    content = bytearray(whole["mkv"].read_bytes())
    hole = slice(int(len(content) * start), int(len(content) * stop))
    content[hole] = spoil(content[hole])
    path = tmp_path / "x.mkv"
    path.write_bytes(content)
    info, _ = probe(path)
    assert info.completeness == "incomplete"
    assert "is no part of its container: frames are lost there" in info.completeness_fact
    assert info.missing_share == pytest.approx(1 - info.n_frames / 60, abs=0.02)


def test_a_hole_between_fragments_is_told(whole: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(whole["fragmented"].read_bytes())
    start = content.index(b"moof", len(content) // 2) - 4
    content[start : start + 64] = bytes(64)
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    info, _ = probe(path)
    assert info.completeness == "incomplete"
    assert f"from byte {start:,} of {len(content):,} on" in info.completeness_fact


def test_an_avi_whose_last_part_was_never_closed_promises_nothing(whole: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "x.avi"
    path.write_bytes(whole["avi"].read_bytes() + b"RIFF\0\0\0\0AVIX")
    assert probe(path)[0].completeness == "unknown"


def test_a_frame_that_is_lost_near_the_end_of_a_stream_costs_no_other(tmp_path: Path) -> None:
    path = remux(tmp_path / "x.ts", 60, lambda packets: [*packets[:50], *packets[51:]])
    info, _ = probe(path)
    assert (info.n_frames, info.remarks) == (59, [])


def test_a_sample_without_bytes_is_no_frame(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.mp4", 24, x264=NO_B)
    content = bytearray(path.read_bytes())
    sizes = content.index(b"stsz") + 16
    last = struct.unpack_from(">I", content, sizes + 4 * 23)[0]
    assert last
    struct.pack_into(">I", content, sizes + 4 * 23, 0)
    path.write_bytes(content)
    info, _ = probe(path)
    assert (info.n_frames, info.completeness) == (23, "complete")


@pytest.mark.parametrize(
    ("tags", "verdict"),
    [
        ({"NUMBER_OF_FRAMES": "60", "_STATISTICS_WRITING_APP": "rig 1.0"}, "complete"),
        ({"NUMBER_OF_FRAMES": "80", "_STATISTICS_WRITING_APP": "rig 1.0"}, "incomplete"),
        # Counted in a longer film, and copied with a part of it by another program.
        ({"NUMBER_OF_FRAMES": "80", "_STATISTICS_WRITING_APP": "mkvmerge v80"}, "unknown"),
        ({"NUMBER_OF_FRAMES": "many", "_STATISTICS_WRITING_APP": "rig 1.0"}, "unknown"),
    ],
)
def test_frames_that_tags_count_are_missed_if_the_program_counted_them_that_wrote_the_file(
    tmp_path: Path, tags: dict[str, str], verdict: str
) -> None:
    info, _ = probe(write_piped(tmp_path / "x.mkv", tags=tags, program="rig 1.0"))
    assert info.completeness == verdict
    assert info.missing_share == (0.25 if verdict == "incomplete" else None)


def test_a_disk_that_fails_is_not_taken_for_a_file_that_is_cut_off(
    whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cut(whole["mkv"], 56, tmp_path)  # of which FFmpeg says that reading it fails
    with pytest.raises(UnreadableError):
        open_container(str(path))

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        open_container(str(path))


@pytest.mark.parametrize(
    ("share", "most", "is_refused"), [(0.05, 0.05, False), (0.051, 0.05, True), (0.9, 1, False), (None, 0, False)]
)
def test_more_must_not_be_missing_than_is_allowed(
    whole: dict[str, Path], share: float | None, most: float, is_refused: bool
) -> None:
    info, _ = probe(whole["b-frames"])
    short = replace(info, completeness="incomplete", completeness_fact="the file ends early", missing_share=share)
    if not is_refused:
        return check_complete(short, most)
    with pytest.raises(TruncatedError, match=r"the file ends early; at most 5 % of it may be missing \(max_corrupt\)"):
        check_complete(short, most)
    return None


@pytest.mark.parametrize(("verdict", "share"), [("complete", 0.1), ("unknown", 0.1), ("incomplete", 1.1)])
def test_a_verdict_that_makes_no_sense_is_not_made(verdict: Verdict, share: float) -> None:
    with pytest.raises(ValueError, match="cannot lack"):
        Completeness(verdict=verdict, fact="x", missing_share=share)


@pytest.mark.parametrize(("junk", "verdict"), [(0, "unknown"), (100, "incomplete")])
@pytest.mark.parametrize("length", [188, 192, 204])
def test_mpeg_ts_ends_with_a_whole_packet_whatever_its_length(
    whole: dict[str, Path], tmp_path: Path, length: int, junk: int, verdict: str
) -> None:
    content = whole["ts"].read_bytes()
    packets = [content[start : start + 188] for start in range(0, len(content), 188)]
    path = tmp_path / "x.ts"
    path.write_bytes(b"".join(_lengthen(packet, length) for packet in packets) + packets[-1][:junk])
    assert probe(path)[0].completeness == verdict


def _lengthen(packet: bytes, length: int) -> bytes:
    return {188: b"", 192: bytes(4)}.get(length, b"") + packet + bytes(16 * (length == 204))


def test_a_recording_of_which_little_is_missing_is_described_with_a_warning(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "m12.mp4", 120, x264=CLOSED, muxer={"movflags": "faststart"})
    os.truncate(path, path.stat().st_size - 300)
    store = run_recording(tmp_path / "store", path, Recipe(hog=SMALL_HOG))
    with open_session(store) as session:
        assert session.sizes["frame"] == 120
        is_lost = np.isnan(session.descriptors).all("feature").to_numpy()
        assert 0 < is_lost.sum() < 6
        assert session.corrupt.to_numpy()[is_lost].all()
        is_missing = session.packet.to_numpy() == NO_PACKET
        assert is_missing.any()
        assert is_lost[is_missing].all()
        assert session.attrs["warnings"][0].startswith("It is not whole: the file ends after 11")
        assert session.attrs["source"]["completeness"] == "incomplete"
