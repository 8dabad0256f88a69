from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st
from recordings import DERIVED, REAL
from runs import SMALL_HOG, make_store, make_work, run_recording

from facehog_core.frame_index import NO_PTS
from facehog_core.layout import Work
from facehog_core.recipe import Recipe
from facehog_core.sealed import read_record
from facehog_core.seconds import to_seconds
from facehog_core.timing import N_LISTED, Gap, Times, time_frames
from facehog_core.video import FrameIndex, probe


def make_timed(pts: list[int], time_base: str = "1/1000", *, is_seekable: bool | None = None, **recipe: Any) -> Work:
    """Make up a run of frames with these times."""
    work = make_work(len(pts), time_base=time_base, recipe=Recipe(hog=SMALL_HOG, **recipe))
    ascends = all(a < b for a, b in pairwise(pts))
    index = FrameIndex(
        pts=np.array(pts, np.int64),
        is_keyframe=np.ones(len(pts), np.bool_),
        packets=np.arange(len(pts)),
        is_seekable=ascends if is_seekable is None else is_seekable,
    )
    return replace(work, index=index)


def times_of(pts: list[int], time_base: str = "1/1000", **more: Any) -> Times:
    work = make_timed(pts, time_base, **more)
    return time_frames(work.info, work.index, work.recipe)


def rounded(n_frames: int, rate: Fraction, ticks_a_second: int) -> list[int]:
    """Return the times of an even recording, rounded to a container's ticks as FFmpeg does."""
    return [round(Fraction(number * ticks_a_second) / rate) for number in range(n_frames)]


# -- exactly ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**6), 10**6), min_size=1),
    st.builds(Fraction, st.integers(1, 2**31), st.integers(1, 2**31)),
)
def test_seconds_are_the_nearest_to_the_exact_product(ticks: list[int], unit: Fraction) -> None:
    exact = [float(Fraction(tick) * unit) for tick in ticks]
    assert to_seconds(np.array(ticks, np.int64), unit).tolist() == exact
    assert to_seconds(np.array(ticks, object), unit).tolist() == exact


def test_nanoseconds_since_1970_are_rounded_once() -> None:
    # More than 53 bits: some of them come out differently if the tick itself is rounded first.
    ticks = [1_795_262_455_534_703_863 + 33_333_333 * number for number in range(1000)]
    exact = [float(Fraction(tick, 10**9)) for tick in ticks]
    assert (np.array(ticks, np.float64) / 1e9).tolist() != exact
    assert to_seconds(np.array(ticks, np.int64), Fraction(1, 10**9)).tolist() == exact


def test_no_ticks_make_no_seconds() -> None:
    assert to_seconds(np.array([], np.int64), Fraction(1, 30)).tolist() == []


# -- whose clock ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_a_container_times_its_frames(videos_dir: Path, name: str) -> None:
    info, index = probe(videos_dir / name)
    times = time_frames(info, index, Recipe())
    assert (times.source, times.unit) == ("container", "s")
    assert times.time_s.tolist() == [float(Fraction(info.time_base) * pts) for pts in index.pts.tolist()]
    # None of them but one was made with gaps.
    assert (times.n_dropped == 0) == (times.warnings == []) == (name != "derived/b_vfr.mp4")


def test_raw_h264_is_counted_and_says_so(tmp_path: Path) -> None:
    store = run_recording(tmp_path, write_recording(tmp_path / "raw.h264", 5), Recipe())
    dataset, record = xr.open_zarr(store), read_record(store)
    assert dataset.time_s.values.tolist() == [0, 1, 2, 3, 4]
    assert dataset.time_s.attrs["unit"] == "frames, not seconds"
    assert dataset.attrs["time_source"] == "frame numbers"
    assert (record.n_dropped, record.timing["n_gaps"]) == (None, None)
    assert record.warnings == [
        "The recording does not time its frames, as raw H264 and images never do, and there are neither timestamps nor "
        "a frame_rate: time_s holds frame numbers, not seconds."
    ]


def test_raw_h264_takes_the_rate_that_is_set(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    store = run_recording(tmp_path, write_recording(tmp_path / "raw.h264", 5), Recipe(frame_rate=rate))
    dataset = xr.open_zarr(store)
    assert dataset.time_s.values.tolist() == [float(number / rate) for number in range(5)]
    assert dataset.time_s.attrs["unit"] == "s"
    assert dataset.attrs["time_source"] == "frame rate 30000/1001"
    assert read_record(store).warnings == []


def test_a_rate_does_not_replace_the_containers_times() -> None:
    agreed, odd = (times_of([0, 33, 67, 100], frame_rate=Fraction(rate)) for rate in (30, 500))
    assert agreed.time_s.tolist() == odd.time_s.tolist() == [0, 0.033, 0.067, 0.1]
    assert agreed.warnings == []
    (warning,) = odd.warnings
    assert "A frame_rate of 500 is set, but the container's times make 30 frames a second" in warning


def test_frames_without_a_time_among_others_are_said() -> None:
    pts = [NO_PTS, NO_PTS, 33, 67, 100]
    times = times_of(pts, is_seekable=False)
    assert np.isnan(times.time_s).tolist() == [True, True, False, False, False]
    assert "2 of 5 frames have no time (frames 0, 1): their time_s is NaN." in times.warnings
    assert times.n_dropped == 0

    by_rate = times_of(pts, is_seekable=False, frame_rate=Fraction(10))
    assert by_rate.time_s.tolist() == [0, 0.1, 0.2, 0.3, 0.4]


# -- time runs forward ------------------------------------------------------------------------------------


def test_repeated_times_are_counted_with_their_places() -> None:
    times = times_of([0, 10, 10, 10, 40, 50, 60, 70], is_seekable=False)
    assert "2 of 8 frames repeat the time of the frame before (frames 2, 3)." in times.warnings
    assert times.gaps == (Gap(after=3, n_missing=2, gap_s=0.03),)


def test_times_that_run_backwards_are_counted_with_their_places() -> None:
    pts = [0, 10, 20, 30, 40, 50, 60, 0, 10, 20]
    times = times_of(pts, is_seekable=False)
    assert "1 of 10 frames are timed before the frame before (frame 7)." in times.warnings
    assert times.n_dropped == 0


def test_all_times_may_be_the_same() -> None:
    times = times_of([7] * 9, is_seekable=False)
    assert "8 of 9 frames repeat the time of the frame before (frames 1, 2, 3, 4, 5, ...)." in times.warnings
    assert (times.n_dropped, times.interval_s) == (0, None)


def test_uneven_times_of_decoding_are_doubted() -> None:
    pts = [0, 33, 67, 200, 233, 267]
    shown, decoded = (times_of(pts, is_seekable=is_seekable).warnings for is_seekable in (True, False))
    assert decoded[1:] == shown
    assert decoded[0].startswith("The container tells when frames are decoded, not when they are shown")
    assert times_of([0, 33, 67, 100], is_seekable=False).warnings == []


def test_even_times_are_right_also_where_the_decoder_must_count(tmp_path: Path) -> None:
    info, index = probe(write_recording(tmp_path / "b.avi", 30))
    assert not index.is_seekable
    times = time_frames(info, index, Recipe())
    assert times.time_s.tolist() == [number / 30 for number in range(30)]
    assert times.warnings == []


# -- gaps -------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([(24, 1000), (25, 1000), (30, 1000), (60, 1000), (120, 1000), (400, 1000), (600, 1000)])
    | st.tuples(st.integers(1, 400), st.sampled_from([15360, 90000, 250000, 1200000])),
    st.dictionaries(st.integers(1, 60), st.integers(1, 9), max_size=5),
)
def test_exactly_the_frames_that_a_camera_dropped_are_missing(
    rate_and_ticks: tuple[int, int], drops: dict[int, int]
) -> None:
    rate, ticks = rate_and_ticks
    taken, number = [], 0
    for frame in range(62):
        taken.append(number)
        number += 1 + drops.get(frame, 0)
    pts = [round(Fraction(number * ticks, rate)) for number in taken]
    times = times_of(pts, f"1/{ticks}")
    assert {gap.after: gap.n_missing for gap in times.gaps or ()} == drops
    assert times.n_dropped == sum(drops.values())
    assert times.interval_s == pytest.approx(1 / rate, rel=0.02)
    assert bool(times.warnings) == bool(drops)


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(30), Fraction(30000, 1001), Fraction(500), Fraction(666)]
)
def test_milliseconds_of_mkv_are_no_gaps(rate: Fraction) -> None:
    times = times_of(rounded(300, rate, 1000))
    assert (times.n_dropped, times.warnings) == (0, [])
    assert times.interval_s == pytest.approx(float(1 / rate), rel=1e-2)


@pytest.mark.parametrize("pts", [[0], [5], [0, 40], [100, 10_000]])
def test_one_or_two_frames_have_no_gap(pts: list[int]) -> None:
    times = times_of(pts)
    assert (times.n_dropped, times.warnings) == (0, [])
    assert times.interval_s == (None if len(pts) == 1 else (pts[1] - pts[0]) / 1000)


def test_more_than_one_and_a_half_intervals_is_a_gap_and_one_and_a_half_is_none() -> None:
    assert times_of([0, 100, 200, 350, 450]).n_dropped == 0
    assert times_of([0, 100, 200, 351, 451]).gaps == (Gap(after=2, n_missing=1, gap_s=0.151),)


def test_a_variable_rate_is_said_not_to_be_drops(videos_dir: Path) -> None:
    info, index = probe(videos_dir / "derived" / "b_vfr.mp4")
    times = time_frames(info, index, Recipe())
    (warning,) = times.warnings
    assert "52 after frame 150 (2.03 s)" in warning
    assert warning.endswith("and 24 more. The frame rate varies, so these need not be dropped frames.")
    # By the definition, with numpy alone.
    steps = np.diff(index.pts)
    assert np.flatnonzero(steps > 1.5 * np.median(steps)).tolist() == [gap.after for gap in times.gaps or ()]

    many_drops = times_of([number * 100 for number in range(100) if number % 4])
    assert many_drops.n_dropped == 24
    assert "varies" not in many_drops.warnings[0]


def displaced(shifts: dict[int, int]) -> list[int]:
    """Return the times of an even recording (100 ticks) of which some are off."""
    return [100 * number + shifts.get(number, 0) for number in range(40)]


@pytest.mark.parametrize(
    ("shifts", "n_dropped", "said"),
    [
        ({9: 100, 10: -100}, 2, "2 of 2 are made up for"),
        ({9: -300}, 3, "1 of 1 is made up for"),
        ({9: 60}, 1, "1 of 1 is made up for"),
        ({9: 60, **dict.fromkeys(range(20, 40), 200)}, 3, "1 of 2 is made up for"),
    ],
)
def test_a_time_that_is_off_is_said_to_be_no_missing_frame(shifts: dict[int, int], n_dropped: int, said: str) -> None:
    times = times_of(displaced(shifts))
    assert times.n_dropped == n_dropped
    more = "by shorter intervals beside: where single times are off, no frame is missing."
    assert times.warnings[-1].endswith(f" {said} {more}")


@given(st.lists(st.integers(-10, 10), min_size=40, max_size=40), st.integers(5, 35), st.integers(1, 9))
def test_a_gap_that_lasts_is_not_said_to_be_made_up_for(jitter: list[int], after: int, n_missing: int) -> None:
    pts = [100 * number + jitter[number] + (100 * n_missing if number > after else 0) for number in range(40)]
    (warning,) = times_of(pts).warnings
    assert "made up for" not in warning


def test_a_clock_that_is_too_coarse_is_said_to_be() -> None:
    (warning,) = times_of(rounded(300, Fraction(800), 1000)).warnings
    assert warning.endswith("The clock is too coarse for this rate: its rounding looks like gaps.")


def test_gaps_of_a_damaged_header_do_not_overflow() -> None:
    times = times_of([-(2**63) + 1, 0, 1, 2, 3, 2**63 - 1], "1/1")
    assert [gap.after for gap in times.gaps or ()] == [0, 4]
    assert [gap.n_missing for gap in times.gaps or ()] == [2**32 - 1] * 2
    assert times.time_s[-1] == 2.0**63


def test_a_store_lists_its_gaps_and_counts_the_rest(tmp_path: Path) -> None:
    # Every fourth frame is missing, of many.
    work = make_timed([number * 33 for number in range(100) if number % 4])
    store = make_store(tmp_path, work)
    record, dataset = read_record(store), xr.open_zarr(store)
    assert record.n_dropped == record.timing["n_gaps"] == int(dataset.n_dropped_after.sum()) == 24
    assert len(record.timing["gaps"]) == N_LISTED
    assert record.timing["gaps"][0] == {"after": 2, "n_missing": 1, "gap_s": 0.066}
    assert record.warnings[0].startswith("24 frames are missing in 24 gaps of more than 1.5 times the usual 33 ms")
    assert np.flatnonzero(dataset.n_dropped_after)[:2].tolist() == [2, 5]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".mov"])
def test_a_frame_that_a_real_container_lacks_is_found(tmp_path: Path, suffix: str) -> None:
    ticks = [*range(20), *range(23, 40)]
    path = write_recording(tmp_path / f"gap{suffix}", len(ticks), x264="bframes=0:keyint=12", pts=ticks)
    times = time_frames(*probe(path), Recipe())
    assert [(gap.after, gap.n_missing) for gap in times.gaps or ()] == [(19, 3)]
    assert times.interval_s == pytest.approx(1 / 30, rel=1e-3)
