from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
import pims
import pytest
import zarr
from barcode import write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from runs import BEGUN, ENDED, lay_out_run, make_paths, make_work, run_recording
from skimage.feature import hog

from facehog_core import chunking, cores, extract
from facehog_core.chunking import Chunk
from facehog_core.cores import sharing_cores
from facehog_core.crop import Crop
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import ChangedError, CropError, StoreError, StoreGoneError, ViewError
from facehog_core.extract import check_crop, compute_shard, extract_chunk, iter_chosen, plan_run
from facehog_core.hog import HogParams, normalise_blocks
from facehog_core.layout import Work
from facehog_core.picture import render_pictures
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.recipe import Recipe
from facehog_core.rounding import round_bits
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.selection import Selection
from facehog_core.session import open_session
from facehog_core.store import create_store, discard_partial, read_receipt, read_work, write_shard
from facehog_core.timestamps import TimestampsSource, find_timestamps
from facehog_core.verify import Verdict, verify_store
from facehog_core.video import FrameIndex, VideoInfo, probe

N_FRAMES = 60
SMALL = Recipe(
    hog=HogParams(pixels_per_cell=(16, 16), cells_per_block=(2, 2)), crop=Crop(x=3, y=5, width=120, height=80)
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "m12.mp4", N_FRAMES)


@pytest.fixture(scope="module")
def whole(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed, with one shard."""
    return run_recording(tmp_path_factory.mktemp("whole"), recording, SMALL, frames_per_shard=N_FRAMES)


def assert_same_bytes(store: Path, expected: Path) -> None:
    for name, array in open_group(expected).arrays():
        assert open_group(store)[name][:].tobytes() == array[:].tobytes(), name


# -- the same as scikit-image -----------------------------------------------------------------------------

FACE = Crop(x=53, y=22, width=600, height=475)
MICE = [
    ("aind_bvt_clip.mp4", Recipe(crop=FACE)),
    ("aind_bvt_clip.mp4", Recipe(hog=HogParams(orientations=9, pixels_per_cell=(16, 24), cells_per_block=(2, 2)))),
    ("lightningpose_mirror-mouse_test_vid.mp4", Recipe()),
    ("lightningpose_mirror-mouse_test_vid.mp4", Recipe(hog=HogParams(transform_sqrt=False, block_norm="L1"))),
    ("amadeus_MABe_EGS8X2MN4SSUGFWAV976.mp4", Recipe(crop=Crop(x=101, y=77, width=333, height=301))),
]


def recipes_grey(path: Path, numbers: Sequence[int], crop: Crop | None) -> Iterator[NDArray[np.float64]]:
    """Decode from the beginning and make grey as the 2020 scripts do."""
    with av.open(path) as container:
        for number, frame in enumerate(itertools.islice(container.decode(video=0), max(numbers) + 1)):
            if number in numbers:
                grey = pims.as_grey(frame.to_ndarray(format="rgb24"))
                yield grey[crop.window] if crop else grey


@pytest.mark.usefixtures("decided_ties")
@pytest.mark.parametrize(("name", "recipe"), MICE, ids=[f"{name[:10]}-{recipe.digest[:4]}" for name, recipe in MICE])
def test_stored_descriptors_of_real_mice_equal_scikit_image(
    videos_dir: Path, tmp_path: Path, name: str, recipe: Recipe
) -> None:
    path, params = videos_dir / "real" / name, recipe.hog
    paths = lay_out_run(tmp_path, path, recipe, frames_per_shard=5)
    chunks = list(read_work(paths).plan)
    numbers = []
    for chunk in (chunks[0], chunks[len(chunks) // 2 - 7]):
        extract_chunk(paths, chunk)
        numbers += [chunk.start, chunk.stop - 1]

    for descriptor, grey in zip(
        read_descriptors(paths, numbers), recipes_grey(path, numbers, recipe.crop), strict=True
    ):
        expected = hog(
            grey,
            params.orientations,
            params.pixels_per_cell,
            params.cells_per_block,
            params.block_norm,
            transform_sqrt=params.transform_sqrt,
        )
        np.testing.assert_allclose(descriptor, expected, rtol=0, atol=1e-5)


def read_descriptors(paths: RunPaths, numbers: Sequence[int]) -> NDArray[np.float32]:
    return np.stack([zarr.open_array(paths.working / "descriptors", mode="r")[number] for number in numbers])


# -- law 2: the same bytes --------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.integers(1, N_FRAMES + 20), st.integers(1, 4), st.randoms(use_true_random=False))
def test_descriptors_are_the_same_bytes_for_any_chunks_in_any_order(
    recording: Path,
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    frames_per_shard: int,
    shards_per_chunk: int,
    chance: Random,
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    store = run_recording(
        folder,
        recording,
        SMALL,
        frames_per_shard=frames_per_shard,
        shards_per_chunk=shards_per_chunk,
        order=lambda chunks: chance.sample(chunks, len(chunks)),
    )

    assert_same_bytes(store, whole)
    shutil.rmtree(folder)


def test_many_shards_by_one_decoder_are_the_same_bytes(recording: Path, whole: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=7)
    receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES))

    assert len(receipts) == 9
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Have four cores that nobody uses; list where decoders began, and the threads that they were given."""
    began: list[tuple[int, int]] = []

    def note(*arguments: Any, n_threads: int) -> Iterator[DecodedFrame]:
        began.append((arguments[2], n_threads))
        return iter_frames(*arguments, n_threads=n_threads)

    monkeypatch.setattr(cores, "list_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(extract, "iter_frames", note)
    return began


@pytest.mark.parametrize(("shards_per_chunk", "began"), [(1, [(7 * n, 1) for n in range(9)]), (9, [(0, 6)])])
def test_one_chunk_for_all_takes_the_cores_that_are_idle_and_makes_the_same_bytes(
    recording: Path,
    whole: Path,
    tmp_path: Path,
    used: list[tuple[int, int]],
    shards_per_chunk: int,
    began: list[tuple[int, int]],
) -> None:
    store = run_recording(tmp_path, recording, SMALL, frames_per_shard=7, shards_per_chunk=shards_per_chunk)

    assert used == began
    assert_same_bytes(store, whole)


# Keyframes are 12 apart: for the last shard's 4 frames, 8 would be decoded again.
@pytest.mark.parametrize(("free_at", "began"), [(7, [(0, 1), (7, 5)]), (49, [(0, 1), (49, 5)]), (56, [(0, 1)])])
def test_one_chunk_for_all_takes_cores_that_others_give_back_where_that_pays(
    recording: Path,
    whole: Path,
    tmp_path: Path,
    used: list[tuple[int, int]],
    free_at: int,
    began: list[tuple[int, int]],
) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=7, shards_per_chunk=9)
    with sharing_cores() as others:
        others.take(4)

        def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
            hogs = compute_shard(frames, span, work)
            if span.stop == free_at:
                others.keep(1)
            return hogs

        receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=compute)

    assert used == began
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


def test_one_chunk_for_all_leaves_alone_what_is_of_no_use_and_not_meant_for_it(
    recording: Path, tmp_path: Path, used: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        with sharing_cores() as others:
            left.append(others.take(4))
        return compute_shard(frames, span, work)

    for n_useful, n_workers in ((12, 2), (3, None)):
        monkeypatch.setattr(extract, "count_useful_threads", lambda index, n=n_useful: n)
        paths = lay_out_run(tmp_path / str(n_useful), recording, SMALL, frames_per_shard=60, shards_per_chunk=2)
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), n_workers=n_workers, compute=compute)
    assert used == [(0, 4), (0, 5)]
    assert left == [2, 1]


KILLED = """
import sys, time
from itertools import count
from pathlib import Path
from facehog_core.chunking import Chunk
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.run_paths import RunPaths

root, recording, run_id, stop = sys.argv[1:]
paths = RunPaths(root=Path(root), recording=recording, run_id=run_id)
begun = count()

def compute_some(*given):
    if next(begun) == 6:
        time.sleep(3600)  # until it is killed
    return compute_shard(*given)

extract_chunk(paths, Chunk(start=0, stop=int(stop)), compute=compute_some)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_run_that_was_killed_goes_on_with_the_shards_that_it_had_not_done(
    recording: Path, whole: Path, tmp_path: Path
) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=4)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), paths.recording, paths.run_id, str(N_FRAMES)]
    )
    try:
        while len(list(paths.receipts.glob("*.json"))) < 3 and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = {span: receipt for span in shards_of(paths) if (receipt := read_receipt(paths, span))}
    assert 3 <= len(done) <= 6
    before = {name: stamp(paths.working / name) for receipt in done.values() for name in receipt.files}
    computed = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        computed.append(span)
        return compute_shard(frames, span, work)

    receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=compute)

    assert set(computed).isdisjoint(done)
    assert {name: stamp(paths.working / name) for name in before} == before
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


def test_tasks_of_an_attempt_that_was_killed_leave_its_recording_to_the_next_one(
    recording: Path, whole: Path, tmp_path: Path
) -> None:
    killed = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=20, shards_per_chunk=3)
    following = replace(killed, token="next")
    computed: list[tuple[str, Chunk]] = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        computed.append((following.claim.read_text(), span))
        # Begins while the other's task is at its first shard.
        create_store(following, work, BEGUN)
        return compute_shard(frames, span, work)

    (chunk,) = read_work(killed).plan
    with pytest.raises(StoreGoneError, match="another attempt goes on with it"):
        extract_chunk(killed, chunk, compute=compute)
    receipts = extract_chunk(following, chunk, compute=compute)

    assert computed == [("", shards_of(killed)[0]), ("next", shards_of(killed)[1]), ("next", shards_of(killed)[2])]
    assert_same_bytes(seal_store(following, receipts, ENDED), whole)


def stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_ino


def shards_of(paths: RunPaths) -> list[Chunk]:
    plan = read_work(paths).plan
    return [shard for chunk in plan for shard in plan.shards_of(chunk)]


def test_only_shards_that_are_missing_or_damaged_are_done_again(recording: Path, whole: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=10)
    everything = Chunk(start=0, stop=N_FRAMES)
    receipts = extract_chunk(paths, everything)
    (paths.receipts / "20-30.json").unlink()
    (damaged,) = [name for name in receipts[4].files if name.startswith("histograms")]
    (paths.working / damaged).write_bytes(b"\0" * 100)
    written = []

    def write(paths: RunPaths, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
        written.append(span)
        return write_shard(paths, span, hogs)

    again = extract_chunk(paths, everything, write=write)

    assert written == [Chunk(start=20, stop=30), Chunk(start=40, stop=50)]
    assert again == receipts
    assert_same_bytes(seal_store(paths, again, ENDED), whole)


# -- some frames of many ---------------------------------------------------------------------------------

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


# -- from a probe to a sealed store -----------------------------------------------------------------------


def test_a_run_is_planned_described_and_sealed(recording: Path, whole: Path, tmp_path: Path) -> None:
    info, _ = probe(recording)
    paths = make_paths(tmp_path, make_work(recipe=SMALL, path=info.path, digest=info.digest))
    plan = plan_run(paths, info, SMALL, BEGUN)
    receipts = [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)]
    store = seal_store(paths, receipts, ENDED)

    assert_same_bytes(store, whole)
    record = read_record(store)
    assert (record.n_frames, record.n_corrupt, record.grey) == (N_FRAMES, 0, ["luma table"])
    assert (record.path, record.stream) == (recording, info.as_dict())


def test_a_recording_in_colour_says_how_it_was_made_grey(tmp_path: Path) -> None:
    colour = write_recording(tmp_path / "colour.mp4", 12, chroma=90)

    assert read_record(run_recording(tmp_path / "store", colour, SMALL)).grey == ["rgb"]


def test_pictures_are_stored_where_they_are_asked_for(recording: Path, tmp_path: Path) -> None:
    group = open_group(run_recording(tmp_path, recording, replace(SMALL, with_images=True)))

    assert group["images"].shape == (N_FRAMES, 80, 120)
    assert group["images"][:].any(axis=(1, 2)).all()


@pytest.mark.parametrize("frames_per_shard", [10, N_FRAMES])
def test_values_are_rounded_where_it_is_asked_for_and_the_store_says_what_that_cost(
    recording: Path, whole: Path, tmp_path: Path, frames_per_shard: int
) -> None:
    recipe = replace(SMALL, keep_bits=6, with_images=True)
    path = run_recording(tmp_path, recording, recipe, frames_per_shard=frames_per_shard)
    group, exact = open_group(path), open_group(whole)

    histograms = round_bits(exact["histograms"][:], 6)
    descriptors = round_bits(normalise_blocks(histograms, SMALL.hog), 6)
    np.testing.assert_array_equal(group["histograms"][:], histograms, strict=True)
    np.testing.assert_array_equal(group["descriptors"][:], descriptors, strict=True)
    np.testing.assert_array_equal(group["images"][:], render_pictures(histograms, SMALL.hog, (80, 120)))
    for name, error in group.attrs["rounding"].items():
        difference = np.abs(group[name][:].astype(float) - exact[name][:])
        assert error["largest"] == difference.max() > 0
        assert error["rms"] == pytest.approx(np.sqrt(np.mean(difference**2)))
    (warning,) = read_record(path).warnings
    assert warning.startswith("As asked for, values are rounded to 6 bits (keep_bits). That moved histograms by up to")
    *_, verdict = verify_store(path)
    assert verdict.problems == []


def test_nothing_is_rounded_unless_it_is_asked_for(whole: Path) -> None:
    assert open_group(whole).attrs["rounding"] == {}
    assert read_record(whole).warnings == []


# -- what stops it ----------------------------------------------------------------------------------------


@pytest.fixture
def copy(recording: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(recording, tmp_path / "copy.mp4"))


def test_a_recording_that_was_replaced_is_not_planned(copy: Path, tmp_path: Path) -> None:
    info, _ = probe(copy)
    paths = make_paths(tmp_path / "store", make_work(recipe=SMALL))
    write_recording(copy, 12)
    with pytest.raises(ChangedError, match=r"copy\.mp4: it is not the file that was probed"):
        plan_run(paths, info, SMALL, BEGUN)

    assert not paths.folder.exists()


def test_a_recording_that_was_replaced_is_not_described(copy: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path / "store", copy, SMALL)
    write_recording(copy, 12)
    with pytest.raises(ChangedError, match=r"copy\.mp4: it is not the file that was probed"):
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES))


@pytest.mark.parametrize("happens", ["replaced", "written over", "removed"])
def test_no_receipt_is_written_for_frames_of_a_recording_that_changed_in_the_meantime(
    copy: Path, tmp_path: Path, happens: str
) -> None:
    paths = lay_out_run(tmp_path / "store", copy, SMALL, frames_per_shard=20)

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        hogs = compute_shard(frames, span, work)
        if span.start == 20:
            if happens == "removed":
                copy.unlink()
            elif happens == "replaced":
                write_recording(tmp_path / "new.mp4", 12).replace(copy)
            else:
                copy.write_bytes(copy.read_bytes())
        return hogs

    with pytest.raises(ChangedError, match=r"copy\.mp4: it is not the file that was probed"):
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=compute)
    assert [read_receipt(paths, span) is not None for span in shards_of(paths)] == [True, False, False]


def test_a_run_that_was_given_up_does_not_go_on(recording: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL)
    discard_partial(paths)
    with pytest.raises(StoreError, match="the store in progress is gone"):
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES))


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        (Crop(x=1, y=0, width=160, height=96), r"\[1, 0, 160, 96\] .* outside of the frame of 160 x 96 pixels"),
        (Crop(x=0, y=16, width=160, height=81), r"\[0, 16, 160, 81\] .* outside of the frame of 160 x 96 pixels"),
        (Crop(x=0, y=0, width=31, height=96), "31 x 96 pixels hold no block of 32 x 32"),
        (Crop(x=0, y=0, width=160, height=31), "160 x 31 pixels hold no block of 32 x 32"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused_in_words(recording: Path, tmp_path: Path, crop: Crop, said: str) -> None:
    info, _ = probe(recording)
    paths = make_paths(tmp_path, make_work())
    with pytest.raises(CropError, match=rf"m12\.mp4: .*{said}"):
        plan_run(paths, info, Recipe(crop=crop), BEGUN)

    assert not list(tmp_path.iterdir())


def test_blocks_of_several_cells_need_more_room(recording: Path) -> None:
    info, _ = probe(recording)
    check_crop(info, Recipe(hog=HogParams(cells_per_block=(3, 5))))
    with pytest.raises(CropError, match="160 x 96 pixels hold no block of 192 x 96"):
        check_crop(info, Recipe(hog=HogParams(cells_per_block=(3, 6))))


def test_the_whole_frame_and_its_very_corner_are_crops_that_fit(recording: Path) -> None:
    info, _ = probe(recording)
    check_crop(info, Recipe(crop=Crop(x=0, y=0, width=160, height=96)))
    check_crop(info, Recipe(crop=Crop(x=128, y=64, width=32, height=32)))


@pytest.mark.parametrize("taken", [[0, 1, 3], [1, 2, 3], [0, 1]], ids=["gap", "shifted", "short"])
def test_frames_that_are_not_those_of_the_span_are_not_described(
    recording: Path, tmp_path: Path, taken: list[int]
) -> None:
    work = read_work(lay_out_run(tmp_path, recording, SMALL))
    frames = list(iter_frames(work.info, work.index, 0, 4))
    with pytest.raises(ValueError, match="from the decoder in place of"):
        compute_shard(iter([frames[number] for number in taken]), Chunk(start=0, stop=3), work)


def test_frames_that_the_decoder_flags_are_flagged_in_the_store(recording: Path, tmp_path: Path) -> None:
    work = read_work(lay_out_run(tmp_path, recording, SMALL))
    frames = list(iter_frames(work.info, work.index, 0, 4))
    frames[2] = replace(frames[2], is_corrupt=True)

    assert compute_shard(iter(frames), Chunk(start=0, stop=4), work).corrupt.tolist() == [False, False, True, False]


def test_a_decoder_is_closed_when_a_shard_fails(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL)
    decoders = []

    def remember(*given: object, **options: object) -> Iterator[DecodedFrame]:
        decoders.append(iter_frames(*given, **options))  # type: ignore[arg-type]
        return decoders[-1]

    def fail(frames: Iterator[DecodedFrame], _span: Chunk, _work: Work) -> ShardHogs:
        next(frames)
        raise MemoryError

    monkeypatch.setattr(extract, "iter_frames", remember)
    with pytest.raises(MemoryError):
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=fail)
    assert [decoder.gi_frame for decoder in decoders] == [None]


def test_lost_frames_keep_their_place_and_have_no_numbers(recording: Path, tmp_path: Path) -> None:
    index = probe(recording)[1]
    with av.open(recording) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(recording.read_bytes())
    place = packets[int(index.packets[30])]
    assert place.pos is not None
    content[place.pos : place.pos + place.size] = b"\xff" * place.size
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    path = run_recording(tmp_path / "whole", damaged, Recipe(hog=HogParams(pixels_per_cell=(8, 8))))

    group = open_group(path)
    corrupt, descriptors, histograms = (group[name][:] for name in ("corrupt", "descriptors", "histograms"))
    lost = np.isnan(descriptors).all(axis=1)
    assert lost[30]
    assert np.isnan(histograms[30]).all()
    assert corrupt[lost].all()
    assert not np.isnan(descriptors[~lost]).any()
    assert not corrupt[: index.gop_at(30).start].any()
    assert not corrupt[index.gop_at(30).stop :].any()
    record = read_record(path)
    assert (record.n_frames, record.n_corrupt) == (index.n_frames, corrupt.sum())
    *_, verdict = verify_store(path, record)
    assert isinstance(verdict, Verdict)
    assert verdict.is_sound
    # Whoever computes it, in whatever pieces: the same bytes.
    other = run_recording(
        tmp_path / "parts",
        damaged,
        Recipe(hog=HogParams(pixels_per_cell=(8, 8))),
        frames_per_shard=7,
        order=lambda chunks: chunks[::-1],
    )
    for name in ("corrupt", "descriptors", "histograms"):
        assert open_group(other)[name][:].tobytes() == group[name][:].tobytes()
    # And for some frames of it: what is told of them names their numbers in the recording.
    chosen = Recipe(hog=HogParams(pixels_per_cell=(8, 8)), frames=Selection(start=22, step=4))
    some = open_group(run_recording(tmp_path / "some", damaged, chosen, frames_per_shard=3))
    numbers = np.arange(22, N_FRAMES, 4)
    for name in ("corrupt", "descriptors", "histograms"):
        assert some[name][:].tobytes() == group[name][:][numbers].tobytes()
    told = [span for shard in some.attrs["shards"] for span in shard["corrupt"]]
    assert told == [[number, number + 1] for number in numbers if corrupt[number]]
    assert [30, 31] in told
