from __future__ import annotations

import os
import pickle
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st
from recordings import DERIVED, REAL, ffmpeg_frames

from facehog_core.errors import EmptyFileError
from facehog_core.frame_index import NO_PTS, FrameIndex
from facehog_core.video import probe


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_frames_are_displayed_when_ffmpeg_displays_them(videos_dir: Path, name: str) -> None:
    info, index = probe(videos_dir / name)
    pts = [frame.pts for frame in ffmpeg_frames(videos_dir / name)]
    assert index.pts.tolist() == pts
    assert index.time_s(info.time_base).tolist() == [float(Fraction(info.time_base) * t) for t in pts]


def test_an_index_comes_whole_out_of_a_pickle(videos_dir: Path) -> None:
    _, index = probe(videos_dir / REAL[0])
    copy = pickle.loads(pickle.dumps(index))
    assert copy.pts.tolist() == index.pts.tolist()
    assert copy.is_keyframe.tolist() == index.is_keyframe.tolist()
    assert copy.packets.tolist() == index.packets.tolist()
    assert copy.is_seekable == index.is_seekable


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.data())
def test_the_keyframe_for_a_frame_is_the_last_one_at_or_before_it(flags: list[bool], data: st.DataObject) -> None:
    index = FrameIndex(
        pts=np.arange(len(flags)) * 3, is_keyframe=np.array(flags), packets=np.arange(len(flags)), is_seekable=True
    )
    number = data.draw(st.integers(0, len(flags) - 1))
    expected = number
    while expected > 0 and not flags[expected]:
        expected -= 1
    assert index.keyframe_at_or_before(number) == expected
    gop = index.gop_at(number)
    assert gop.start == expected
    assert number in gop
    assert not any(flags[gop.start + 1 : gop.stop])
    assert gop.stop == len(flags) or flags[gop.stop]


@given(st.lists(st.integers(-1000, 1000), min_size=1, unique=True).map(sorted), st.integers(-1100, 1100))
def test_a_pts_names_its_frame_and_no_other(pts: list[int], asked: int) -> None:
    index = FrameIndex(
        pts=np.array(pts), is_keyframe=np.ones(len(pts), bool), packets=np.arange(len(pts)), is_seekable=True
    )
    assert index.frame_at(asked) == (pts.index(asked) if asked in pts else None)
    assert index.frame_at(None) is None


def test_an_index_refuses_numbers_and_times_that_cannot_be() -> None:
    index = FrameIndex(
        pts=np.array([0, 1]), is_keyframe=np.array([True, False]), packets=np.arange(2), is_seekable=True
    )
    for number in (-1, 2):
        with pytest.raises(IndexError, match="of 2 frames"):
            index.keyframe_at_or_before(number)
    with pytest.raises(ValueError, match="ascend"):
        FrameIndex(pts=np.array([1, 1]), is_keyframe=np.array([True, False]), packets=np.arange(2), is_seekable=True)
    with pytest.raises(ValueError, match="one length"):
        FrameIndex(pts=np.array([0, 1]), is_keyframe=np.array([True]), packets=np.arange(2), is_seekable=True)


def test_a_frame_without_pts_has_no_time(tmp_path: Path) -> None:
    info, index = probe(write_recording(tmp_path / "raw.h264", 5))
    assert index.pts.tolist() == [NO_PTS] * 5
    assert np.isnan(index.time_s(info.time_base)).all()
    assert not index.is_seekable


def test_pts_of_an_avi_are_the_times_of_its_frames(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 5, 6, 9, 10, 11]  # a camera that drops frames
    path = write_recording(tmp_path / "gaps.avi", len(ticks), x264="bframes=0", pts=ticks)
    info, index = probe(path)
    assert index.time_s(info.time_base).tolist() == [tick / 30 for tick in ticks]
    assert index.is_seekable


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "cut.mp4", 60)
    content = bytearray(path.read_bytes())
    duration = content.index(b"elst") + 12  # of the list's only entry
    struct.pack_into(">I", content, duration, 500)  # ms: the first 15 of 60 frames
    path.write_bytes(content)
    info, index = probe(path)
    assert info.header_n_frames == 60
    assert index.n_frames == 15 == len(ffmpeg_frames(path))


def test_a_video_without_frames_is_empty(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "init.mp4", 5, muxer={"movflags": "frag_keyframe+empty_moov"})
    os.truncate(path, path.read_bytes().index(b"moof") - 4)  # a stream's head, as cameras send it in advance
    with pytest.raises(EmptyFileError, match="no frame"):
        probe(path)
