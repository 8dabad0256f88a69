from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from barcode import read_number, write_recording
from forms import BACKWARD, HALVED, LATE, NO_B, OPEN, REPEATED, UNEVEN
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import DERIVED, PER_RECORDING, REAL, ffmpeg_frames, md5_of, plain_decode

from facehog_core import decode
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import ChangedError
from facehog_core.grey import grey_of, luma_of
from facehog_core.video import probe

WriteForm = Callable[[str], Path]

probe_once = functools.cache(probe)


def numbers_of(frames: Iterable[DecodedFrame]) -> list[int]:
    """Return the numbers that frames show, which must be those that they are given out under."""
    return [read_number(grey_of(decoded.frame).to_float()) for decoded in frames]


def read_span(path: Path, start: int, stop: int, **options: int) -> list[int]:
    info, index = probe_once(path)
    frames = list(iter_frames(info, index, start, stop, **options))
    assert [decoded.index for decoded in frames] == list(range(start, stop))
    assert [decoded.pts for decoded in frames] == index.pts[start:stop].tolist()
    return numbers_of(frames)


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_every_frame_is_the_one_that_ffmpeg_and_pyav_decode(videos_dir: Path, name: str) -> None:
    info, index = probe(videos_dir / name)
    decoded = iter_frames(info, index, 0, index.n_frames)
    plain = plain_decode(videos_dir / name)
    for ours, ffmpegs, pyavs in zip_longest(decoded, ffmpeg_frames(videos_dir / name), plain):
        assert md5_of(ours.frame) == ffmpegs.md5
        assert ours.pts == ffmpegs.pts == pyavs.pts
        assert np.array_equal(ours.luma, luma_of(pyavs))


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


@pytest.mark.parametrize("form", ["b-frames", "open gop", "ts", "raw"])
def test_frame_i_shows_i_with_more_decoding_threads(write_form: WriteForm, form: str) -> None:
    assert read_span(write_form(form), 6, 20, n_threads=3) == list(range(6, 20))


def test_one_thread_decodes_unless_more_are_asked_for(write_form: WriteForm) -> None:
    info, index = probe_once(write_form("b-frames"))

    def threads() -> set[int]:
        return {thread.id for thread in psutil.Process().threads()}

    for n_threads, n_more in ((1, 0), (3, 3)):
        before = threads()
        with closing(iter_frames(info, index, 0, 24, n_threads=n_threads)) as frames:
            next(frames)
            # Those of other tests may end meanwhile.
            assert len(threads() - before) == n_more


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


def test_a_span_without_frames_is_empty(write_form: WriteForm) -> None:
    for start in (0, 20, 24):
        assert read_span(write_form("b-frames"), start, start) == []


@pytest.mark.parametrize(
    ("form", "ticks"),
    {
        "variable rate": UNEVEN,
        "mkv, variable rate": UNEVEN,
        "late start": LATE,
        "ts, rate halved": HALVED,
        "times repeated": REPEATED,
        "mkv, times repeated": REPEATED,
        "times backward": BACKWARD,
        "mkv, times backward": BACKWARD,
        "ts, times backward": BACKWARD,
    }.items(),
)
def test_times_are_those_that_were_recorded(write_form: WriteForm, form: str, ticks: list[int]) -> None:
    info, index = probe_once(write_form(form))
    times_s = index.time_s(info.time_base)
    # Containers may shift all times alike, to begin at 0. MKV, and MP4 for a late start, know milliseconds.
    shift_s = times_s[0] - ticks[0] / 30 if form.startswith("ts") else 0
    np.testing.assert_allclose(times_s - shift_s, np.array(ticks) / 30, rtol=0, atol=1e-3 + 1e-9)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3), (0, 25)])
def test_a_span_outside_of_the_recording_is_refused_at_once(write_form: WriteForm, start: int, stop: int) -> None:
    info, index = probe_once(write_form("b-frames"))
    with pytest.raises(ValueError, match="24 frames"):
        iter_frames(info, index, start, stop)


def test_a_file_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 3)
    info, index = probe(path)
    write_recording(path, 5)
    with pytest.raises(ChangedError, match="not the file that was probed"):
        iter_frames(info, index, 0, 3)


def test_stopping_early_closes_the_file(write_form: WriteForm) -> None:
    info, index = probe_once(write_form("b-frames"))
    frames = iter_frames(info, index, 5, 24)
    next(frames)
    assert str(write_form("b-frames")) in (file.path for file in psutil.Process().open_files())
    frames.close()
    assert str(write_form("b-frames")) not in (file.path for file in psutil.Process().open_files())


def test_a_recording_is_never_written_to(videos_dir: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(videos_dir / REAL[0], tmp_path))
    content, status = path.read_bytes(), path.stat()
    info, index = probe(path)
    for _ in iter_frames(info, index, 100, 130):
        pass
    assert path.read_bytes() == content
    assert (path.stat().st_mtime_ns, path.stat().st_mode) == (status.st_mtime_ns, status.st_mode)
    assert list(tmp_path.iterdir()) == [path]
