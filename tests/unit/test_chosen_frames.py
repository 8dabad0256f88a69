"""Some frames of many: chosen by their numbers or times."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zarr
from barcode import write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import BEGUN, ENDED, make_paths, make_work, run_recording
from small_runs import N_FRAMES, SMALL

from facehog_core import chunking, extract
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import ViewError
from facehog_core.extract import extract_chunk, iter_chosen, plan_run
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.selection import Selection
from facehog_core.session import open_session
from facehog_core.store import read_work
from facehog_core.timestamps import TimestampsSource, find_timestamps
from facehog_core.verify import verify_store
from facehog_core.video import FrameIndex, VideoInfo, probe

SELECTIONS = st.builds(
    Selection,
    start=st.integers(0, N_FRAMES - 1),
    stop=st.none() | st.integers(N_FRAMES, N_FRAMES + 9),
    step=st.integers(1, 40),
) | st.builds(Selection, start_s=st.floats(0, 1.9), stop_s=st.none() | st.floats(1.98, 9), step=st.integers(1, 9))


@settings(max_examples=8)
@given(SELECTIONS, st.integers(1, N_FRAMES + 20), st.integers(1, 4), st.sampled_from([1, 5, 60]))
def test_the_descriptors_of_chosen_frames_are_the_bytes_that_they_have_in_the_whole_recording(
    recording: Path,
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    selection: Selection,
    frames_per_shard: int,
    shards_per_chunk: int,
    fewest_skipped: int,
) -> None:
    folder = tmp_path_factory.mktemp("chosen")
    with pytest.MonkeyPatch.context() as patch:
        # Also with jumps that do not pay in a recording as short as this.
        patch.setattr(chunking, "FEWEST_SKIPPED", fewest_skipped)
        store = run_recording(
            folder,
            recording,
            replace(SMALL, frames=selection),
            frames_per_shard=frames_per_shard,
            shards_per_chunk=shards_per_chunk,
        )
    everything = open_group(whole)
    times_s = everything["time_s"][:]
    if selection.is_in_seconds:
        is_within = (times_s >= (selection.start_s or 0)) & (times_s < (selection.stop_s or np.inf))
        numbers = np.flatnonzero(is_within)[:: selection.step]
    else:
        numbers = np.arange(N_FRAMES)[selection.start : selection.stop : selection.step]

    assert open_group(store)["frame"][:].tolist() == numbers.tolist()
    for name, array in everything.arrays():
        assert open_group(store)[name][:].tobytes() == array[:][numbers].tobytes(), name
    record = read_record(store)
    assert record.n_frames == len(numbers)
    assert record.reason == f"{len(numbers)} {'of 60 ' if len(numbers) < 60 else ''}frames are described"
    shutil.rmtree(folder)


def test_chosen_frames_are_planned_described_and_sealed(recording: Path, whole: Path, tmp_path: Path) -> None:
    info, _ = probe(recording)
    recipe = replace(SMALL, frames=Selection(start=7, step=5))
    paths = make_paths(tmp_path, make_work(recipe=recipe, path=info.path, digest=info.digest))
    plan = plan_run(paths, info, recipe, BEGUN)
    store = seal_store(paths, [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)], ENDED)
    session = open_session(store)

    assert session.frame.values.tolist() == list(range(7, 60, 5))
    assert session.sel(frame=52).time_s == 52 / 30
    np.testing.assert_array_equal(session.descriptors, open_group(whole)["descriptors"][7::5])
    assert session.images.shape == (11, 80, 120)
    *_, verdict = verify_store(store, read_record(store))
    assert verdict.problems == []


def test_what_lies_far_between_chosen_frames_is_not_decoded(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, index = probe(recording)
    monkeypatch.setattr(chunking, "FEWEST_SKIPPED", 10)
    asked = []

    def remember(
        info: VideoInfo, index: FrameIndex, start: int, stop: int, *, n_threads: int
    ) -> Iterator[DecodedFrame]:
        asked.append((start, stop))
        return iter_frames(info, index, start, stop, n_threads=n_threads)

    monkeypatch.setattr(extract, "iter_frames", remember)
    numbers = np.array([3, 5, 17, 50, 59])
    assert [decoded.index for decoded in iter_chosen(info, index, numbers)] == numbers.tolist()
    # Keyframes are 12 apart: from 5 to 17 a jump to 12 would save 6 frames.
    assert asked == [(3, 18), (50, 60)]
    asked.clear()
    assert [decoded.index for decoded in iter_chosen(info, replace(index, is_seekable=False), numbers)] == [
        *numbers.tolist()
    ]
    assert asked == [(3, 60)]


def test_chosen_frames_have_the_times_that_they_have_in_the_whole_recording(tmp_path: Path) -> None:
    info, _ = probe(write_recording(tmp_path / "m12.mp4", 12))
    # Three frames are dropped after the fifth, and one after the tenth.
    (tmp_path / "m12.csv").write_text("\n".join(map(str, [*range(100, 105), *range(108, 113), 114, 115])))
    recipe = replace(SMALL, timestamps=TimestampsSource(file="{stem}.csv"))
    groups = []
    for chosen in (recipe, replace(recipe, frames=Selection(start=1, step=3))):
        paths = make_paths(tmp_path / "store", make_work(recipe=chosen))
        plan_run(paths, info, chosen, BEGUN, find_timestamps(Path(info.path), chosen.timestamps))
        groups.append(zarr.open_group(paths.working, mode="r", use_consolidated=False))

    everything, some = groups
    assert everything["n_dropped_after"][:].tolist() == [0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0]
    for name in ("frame", "time_s", "n_dropped_after", "timestamps", "pts", "packet", "keyframe"):
        assert some[name][:].tolist() == everything[name][:].tolist()[1::3], name


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(start=60), "none of its frames is in frames 60 to the end: it has 60"),
        (Selection(start_s=2), "none of its frames is in seconds 2 to the end: they are shown from 0 to 1.96667 s"),
        (Selection(start_s=0.001, stop_s=0.002, step=3), "none of its frames is in seconds 0.001 to 0.002, one in 3"),
    ],
)
def test_a_choice_of_no_frame_is_refused_in_words(
    recording: Path, tmp_path: Path, selection: Selection, said: str
) -> None:
    info, _ = probe(recording)
    with pytest.raises(ViewError, match=rf"m12\.mp4: {said}.* Choose others by `frames` or `seconds`"):
        plan_run(make_paths(tmp_path, make_work()), info, replace(SMALL, frames=selection), BEGUN)
    assert not list(tmp_path.iterdir())


def test_seconds_are_those_of_the_times_that_are_told(tmp_path: Path) -> None:
    info, _ = probe(write_recording(tmp_path / "m12.h264", 12))
    (tmp_path / "m12.csv").write_text("\n".join(str(100 + 7 * number) for number in range(12)))
    timed = replace(SMALL, frames=Selection(start_s=0.1, stop_s=0.3), frame_rate=Fraction(20))
    stamped = replace(SMALL, frames=Selection(start_s=107, stop_s=121), timestamps=TimestampsSource(file="{stem}.csv"))
    for recipe, expected in [(timed, [2, 3, 4, 5]), (stamped, [1, 2])]:
        paths = make_paths(tmp_path / "store", make_work(recipe=recipe))
        plan_run(paths, info, recipe, BEGUN, find_timestamps(Path(info.path), recipe.timestamps))
        assert read_work(paths).numbers.tolist() == expected
        assert recipe.frames.resolve(zarr.open_array(paths.working / "time_s", mode="r")[:]).size == len(expected)
    with pytest.raises(ViewError, match="none of its frames is in seconds 0 to 5: its frames have no times"):
        plan_run(make_paths(tmp_path / "none", make_work()), info, replace(SMALL, frames=Selection(stop_s=5)), BEGUN)
