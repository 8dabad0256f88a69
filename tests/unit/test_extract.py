from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pims
import pytest
import zarr
from barcode import write_recording
from numpy.typing import NDArray
from runs import BEGUN, ENDED, lay_out_run, make_paths, make_work, run_recording
from skimage.feature import hog
from small_runs import N_FRAMES, SMALL, assert_same_bytes, shards_of

from facehog_core import extract
from facehog_core.chunking import Chunk
from facehog_core.crop import Crop
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import ChangedError, CropError, StoreError
from facehog_core.extract import check_crop, compute_shard, extract_chunk, plan_run
from facehog_core.hog import HogParams, normalise_blocks
from facehog_core.layout import Work
from facehog_core.picture import render_pictures
from facehog_core.receipts import ShardHogs
from facehog_core.recipe import Recipe
from facehog_core.rounding import round_bits
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.selection import Selection
from facehog_core.store import discard_partial, read_receipt, read_work
from facehog_core.verify import Verdict, verify_store
from facehog_core.video import probe

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
