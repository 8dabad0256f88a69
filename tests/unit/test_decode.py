from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from barcode import read_number, write_recording
from forms import CLOSED, FORMS, NO_B, OPEN
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import DERIVED, PER_RECORDING, REAL, ffmpeg_frames, md5_of

from facehog_core import decode
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import ChangedError, RecordingRefusedError
from facehog_core.grey import grey_of
from facehog_core.video import probe

probe_once = functools.cache(probe)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a recording of 60 numbered frames in each form."""
    return {
        form: write_recording(tmp_path_factory.mktemp("form") / name, 60, **options)
        for form, (name, options, *_) in FORMS.items()
    }


def numbers_of(frames: Iterable[DecodedFrame]) -> list[int]:
    """Return the numbers that frames show, which must be those that they are given out under."""
    return [read_number(grey_of(decoded.frame).to_float()) for decoded in frames]


def bytes_of(decoded: DecodedFrame) -> list[bytes]:
    """Return all planes of a frame, with the padding at the ends of their lines left out."""
    assert decoded.frame is not None
    lines = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in decoded.frame.planes]
    depth = decoded.frame.format.components[0].bits // 8 or 1
    return [line[:, : plane.width * depth].tobytes() for line, plane in zip(lines, decoded.frame.planes, strict=True)]


def read_span(path: Path, start: int, stop: int, **options: int) -> list[int]:
    info, index = probe_once(path)
    frames = list(iter_frames(info, index, start, stop, **options))
    assert [decoded.index for decoded in frames] == list(range(start, stop))
    assert [decoded.pts for decoded in frames] == index.pts[start:stop].tolist()
    return numbers_of(frames)


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_every_frame_is_the_one_that_ffmpeg_decodes(videos_dir: Path, name: str) -> None:
    info, index = probe(videos_dir / name)
    found = [md5_of(decoded.frame) for decoded in iter_frames(info, index, 0, index.n_frames)]
    assert found == [frame.md5 for frame in ffmpeg_frames(videos_dir / name)]


@pytest.mark.parametrize("name", REAL + DERIVED)
@settings(PER_RECORDING)
@given(data=st.data())
def test_any_span_is_a_part_of_the_whole(videos_dir: Path, name: str, data: st.DataObject) -> None:
    info, index = probe_once(videos_dir / name)
    start = data.draw(st.integers(0, index.n_frames - 1))
    stop = data.draw(st.integers(start, min(start + 6, index.n_frames)))
    decoded = list(iter_frames(info, index, start, stop))
    assert [frame.index for frame in decoded] == list(range(start, stop))
    expected = [frame.md5 for frame in ffmpeg_frames(videos_dir / name)[start:stop]]
    assert [md5_of(frame.frame) for frame in decoded] == expected


@pytest.mark.parametrize("form", FORMS)
def test_frame_i_shows_i_in_every_form(forms: dict[str, Path], form: str) -> None:
    assert read_span(forms[form], 0, 60) == list(range(60))


@pytest.mark.parametrize("form", FORMS)
def test_frames_are_the_same_bytes_in_chunks_of_any_length(forms: dict[str, Path], form: str) -> None:
    info, index = probe_once(forms[form])
    whole = [bytes_of(decoded) for decoded in iter_frames(info, index, 0, 60)]
    for length in (1, 7, 16):
        for start in range(0, 60, length):
            stop = min(start + length, 60)
            assert [bytes_of(decoded) for decoded in iter_frames(info, index, start, stop)] == whole[start:stop]


@pytest.mark.parametrize("form", ["b-frames", "open gop", "ts", "raw"])
def test_frame_i_shows_i_with_more_decoding_threads(forms: dict[str, Path], form: str) -> None:
    assert read_span(forms[form], 20, 50, n_threads=3) == list(range(20, 50))


def test_one_thread_decodes_unless_more_are_asked_for(forms: dict[str, Path]) -> None:
    info, index = probe_once(forms["b-frames"])
    process = psutil.Process()
    before = process.num_threads()
    for n_threads, n_more in ((1, 0), (3, 3)):
        with closing(iter_frames(info, index, 0, 60, n_threads=n_threads)) as frames:
            next(frames)
            assert process.num_threads() - before == n_more


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.avi", "x.flv"])
def test_a_span_costs_no_more_than_its_gop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    info, index = probe(write_recording(tmp_path / name, 240, x264=NO_B if name == "x.avi" else OPEN))
    n_read = n_decoded = 0

    def count_packets(*arguments: Any) -> Iterator[Any]:
        nonlocal n_read
        for packet in iter_packets(*arguments):
            n_read += 1
            yield packet

    def count_pictures(*arguments: Any) -> Iterator[Any]:
        nonlocal n_decoded
        for pictures in decode_packets(*arguments):
            n_decoded += len(pictures)
            yield pictures

    iter_packets, decode_packets = decode.iter_packets, decode._decode_packets
    monkeypatch.setattr(decode, "iter_packets", count_packets)
    monkeypatch.setattr(decode, "_decode_packets", count_pictures)
    assert len(list(iter_frames(info, index, 125, 128))) == 3
    # A frame is given out when all that was decoded before it has come: up to a B-pyramid more than the span.
    assert n_decoded <= 128 - 120 + (0 if name == "x.avi" else 3)
    assert n_read <= 12 + 8 + 10  # a GOP before it at most, the span, and what the decoder holds back


def test_a_recording_of_one_frame_is_read(tmp_path: Path) -> None:
    for name in ("one.mp4", "one.mkv", "one.ts", "one.avi", "one.h264"):
        assert read_span(write_recording(tmp_path / name, 1), 0, 1) == [0]


def test_a_span_without_frames_is_empty(forms: dict[str, Path]) -> None:
    for start in (0, 30, 60):
        assert read_span(forms["b-frames"], start, start) == []


@pytest.mark.parametrize("form", ["variable rate", "mkv, variable rate", "late start"])
def test_times_are_those_that_were_recorded(forms: dict[str, Path], form: str) -> None:
    info, index = probe_once(forms[form])
    recorded = [pts / 30 for pts in FORMS[form].options["pts"]]
    # MKV, and MP4 for a late start, know milliseconds.
    np.testing.assert_allclose(index.time_s(info.time_base), recorded, rtol=0, atol=0.5e-3 + 1e-9)


def test_frames_before_a_negative_start_are_hidden_and_not_counted(tmp_path: Path) -> None:
    # MP4 says by an edit list that the first frames are decoded and not shown.
    path = write_recording(tmp_path / "hidden.mp4", 60, pts=[i - 7 for i in range(60)])
    assert probe(path)[0].header_n_frames == 60
    assert read_span(path, 0, 53) == list(range(7, 60))
    assert read_span(path, 2, 8) == list(range(9, 15))


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts"])
@pytest.mark.parametrize("x264", [CLOSED, OPEN])
def test_a_recording_cut_out_of_a_longer_one_begins_with_its_first_keyframe(
    tmp_path: Path, name: str, x264: str
) -> None:
    # TS has the stream's parameters only with the keyframes.
    whole = write_recording(tmp_path / "whole.mp4", 60, x264=f"{x264}:repeat-headers=1")
    cut = tmp_path / name
    with av.open(whole) as source, av.open(cut, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = list(source.demux(video=0))[:-1]
        # An open GOP's keyframe is followed by frames that are shown before it, and lean on the GOP before.
        for packet in packets[[packet.is_keyframe for packet in packets].index(True, 1) :]:
            packet.stream = stream
            target.mux(packet)
    n_frames = probe(cut)[1].n_frames
    first = 60 - n_frames
    assert first in (12, 24)
    assert read_span(cut, 0, n_frames) == list(range(first, 60))
    assert read_span(cut, 5, 9) == list(range(first + 5, first + 9))


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3), (0, 61)])
def test_a_span_outside_of_the_recording_is_refused_at_once(forms: dict[str, Path], start: int, stop: int) -> None:
    info, index = probe_once(forms["b-frames"])
    with pytest.raises(ValueError, match="60 frames"):
        iter_frames(info, index, start, stop)


def test_a_file_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 3)
    info, index = probe(path)
    write_recording(path, 5)
    with pytest.raises(ChangedError, match="not the file that was probed"):
        iter_frames(info, index, 0, 3)


def test_a_change_of_size_is_refused_in_words(tmp_path: Path) -> None:
    for number, size in enumerate([(96, 160), (64, 160)]):
        write_recording(tmp_path / f"{number}.h264", 10, size=size)
    both = tmp_path / "both.h264"
    both.write_bytes((tmp_path / "0.h264").read_bytes() + (tmp_path / "1.h264").read_bytes())
    info, index = probe(both)
    with pytest.raises(RecordingRefusedError, match="from 160 x 96 to 160 x 64 at frame 10"):
        list(iter_frames(info, index, 0, 20))


def test_stopping_early_closes_the_file(forms: dict[str, Path]) -> None:
    info, index = probe_once(forms["b-frames"])
    frames = iter_frames(info, index, 5, 60)
    next(frames)
    assert str(forms["b-frames"]) in (file.path for file in psutil.Process().open_files())
    frames.close()
    assert str(forms["b-frames"]) not in (file.path for file in psutil.Process().open_files())


def test_a_recording_is_never_written_to(videos_dir: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(videos_dir / REAL[0], tmp_path))
    content, status = path.read_bytes(), path.stat()
    info, index = probe(path)
    for _ in iter_frames(info, index, 100, 130):
        pass
    assert path.read_bytes() == content
    assert (path.stat().st_mtime_ns, path.stat().st_mode) == (status.st_mtime_ns, status.st_mode)
    assert list(tmp_path.iterdir()) == [path]
