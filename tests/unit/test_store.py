from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from runs import BEGUN, ENDED, SMALL_HOG, fill_store, make_hogs, make_paths, make_store, make_work, shards_of

from facehog_core import layout, store
from facehog_core.chunking import Chunk
from facehog_core.effort import Effort
from facehog_core.errors import StoreError
from facehog_core.layout import Work
from facehog_core.picture import render_pictures
from facehog_core.progress import Progress, measure_progress
from facehog_core.receipts import ShardReceipt, count_frames, tell_damage
from facehog_core.recipe import Recipe
from facehog_core.sealed import open_group, read_record
from facehog_core.source import name_recording
from facehog_core.store import (
    RunPaths,
    create_store,
    discard_partial,
    read_receipt,
    read_work,
    seal_store,
    write_shard,
)
from facehog_core.verify import verify_store

WITH_IMAGES = Recipe(hog=SMALL_HOG, with_images=True)


@pytest.fixture
def work() -> Work:
    return make_work()


@pytest.fixture
def paths(tmp_path: Path, work: Work) -> RunPaths:
    return make_paths(tmp_path / "store", work)


def expected_arrays(work: Work) -> dict[str, np.ndarray]:
    """Return what a sealed store has to hold."""
    parts = [make_hogs(work, span) for span in shards_of(work)]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("histograms", "descriptors", "corrupt")
    }
    arrays |= {"pts": work.index.pts, "packet": work.index.packets, "keyframe": work.index.is_keyframe}
    arrays |= {"frame": np.arange(work.plan.n_frames)}
    arrays |= {"time_s": work.index.time_s(work.info.time_base)}
    arrays |= {"n_dropped_after": np.zeros(work.index.n_frames, np.uint32)}
    if work.recipe.with_images:
        arrays |= {"images": render_pictures(arrays["histograms"], work.recipe.hog, work.frame_shape)}
    return arrays


works = st.builds(
    lambda n_frames, shard, with_images: make_work(
        n_frames, shard=shard, recipe=replace(WITH_IMAGES, with_images=with_images)
    ),
    st.integers(1, 40),
    st.integers(1, 20),
    st.booleans(),
)


# -- what others read -------------------------------------------------------------------------------------


@given(works)
def test_a_store_reads_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, work: Work) -> None:
    group = open_group(make_store(tmp_path_factory.mktemp("store"), work))

    expected = expected_arrays(work)
    assert set(group.array_keys()) == set(expected)
    for name, values in expected.items():
        assert group[name].dtype == values.dtype
        np.testing.assert_array_equal(group[name][:], values)


def test_xarray_reads_every_array_with_its_dims_and_coordinates(tmp_path: Path) -> None:
    work = make_work(recipe=WITH_IMAGES)
    path = make_store(tmp_path, work)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(path, consolidated=True)

    assert {name: dataset[name].dims for name in dataset.variables} == {
        "histograms": ("frame", "cell_row", "cell_col", "orientation"),
        "descriptors": ("frame", "feature"),
        "images": ("frame", "row", "col"),
        "frame": ("frame",),
        "time_s": ("frame",),
        "n_dropped_after": ("frame",),
        "pts": ("frame",),
        "packet": ("frame",),
        "keyframe": ("frame",),
        "corrupt": ("frame",),
    }
    assert set(dataset.coords) == {"frame", "time_s", "n_dropped_after", "pts", "packet", "keyframe", "corrupt"}
    for name, values in expected_arrays(work).items():
        assert dataset[name].dtype == values.dtype
        np.testing.assert_array_equal(dataset[name].values, values)
    assert dataset.attrs["source"] == work.info.as_dict()
    assert Recipe.from_dict(dataset.attrs["recipe"]) == work.recipe


def test_tensorstore_reads_every_array(tmp_path: Path) -> None:
    work = make_work(recipe=WITH_IMAGES)
    path = make_store(tmp_path, work)

    for name, values in expected_arrays(work).items():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}
        array = tensorstore.open(spec, open=True).result(timeout=60)
        np.testing.assert_array_equal(array.read().result(timeout=60), values)
        assert array.domain.labels == tuple(zarr.open_array(path / name).metadata.dimension_names)


def test_frames_without_a_time_are_counted(tmp_path: Path, work: Work) -> None:
    index = replace(work.index, pts=np.full(23, np.iinfo(np.int64).min), is_seekable=False)
    dataset = xr.open_zarr(make_store(tmp_path, replace(work, index=index)))

    assert dataset.time_s.values.tolist() == list(range(23))
    assert dataset.time_s.attrs["unit"] == "frames, not seconds"
    assert "n_dropped_after" not in dataset.coords
    assert dataset.pts.dtype == np.int64
    assert (dataset.pts == np.iinfo(np.int64).min).all()


def test_all_frames_of_a_shard_are_compressed_together(tmp_path: Path, work: Work) -> None:
    group = open_group(make_store(tmp_path, work))

    assert group["histograms"].chunks == (10, 3, 5, 4)
    assert group["descriptors"].chunks == (10, 2 * 4 * 2 * 2 * 4)
    assert {group[name].shards[0] for name in ("histograms", "descriptors", "corrupt")} == {10}


# 80 bytes of histograms and 256 of descriptors are in a row of cells or blocks of each of 10 frames.
@pytest.mark.parametrize(("most_bytes", "n_rows"), [(1, (1, 1)), (1600, (1, 1)), (2400, (3, 1)), (5120, (3, 2))])
def test_rows_of_cells_are_compressed_apart_where_they_are_much(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch, most_bytes: int, n_rows: tuple[int, int]
) -> None:
    monkeypatch.setattr(layout, "INNER_CHUNK_BYTES", most_bytes)
    path = make_store(tmp_path, work)
    group = open_group(path)

    assert group["histograms"].chunks == (10, n_rows[0], 5, 4)
    assert group["descriptors"].chunks == (10, n_rows[1] * 64)
    for name, values in expected_arrays(work).items():
        np.testing.assert_array_equal(group[name][:], values)


def test_frames_that_are_not_described_are_nan(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)

    assert np.isnan(zarr.open_array(paths.working / "descriptors")[:]).all()
    assert np.isnan(zarr.open_array(paths.working / "histograms")[:]).all()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("sealed"), make_work(recipe=WITH_IMAGES))


def data_files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("c/**/*") if file.is_file())


@given(st.data())
def test_every_stored_byte_is_under_a_checksum(sealed: Path, data: st.DataObject) -> None:
    file = sealed / data.draw(st.sampled_from(data_files(sealed)))
    content = file.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = content[place] ^ (1 << data.draw(st.integers(0, 7)))
    file.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
    name = file.relative_to(sealed).parts[0]
    try:
        with pytest.raises((ValueError, RuntimeError)):
            open_group(sealed)[name][:]
    finally:
        file.write_bytes(content)


# -- from partial to final --------------------------------------------------------------------------------


def test_a_store_has_its_final_name_only_when_it_is_whole(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    receipts = []
    for span in shards_of(work):
        assert [child.name for child in paths.folder.iterdir()] == [f"{paths.run_id}.partial"]
        receipts.append(write_shard(paths, span, make_hogs(work, span)))
    assert not paths.final.exists()

    assert seal_store(paths, receipts, ENDED) == paths.final
    assert list(paths.folder.iterdir()) == [paths.final]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp"])
def test_no_name_leads_out_of_the_folder_of_all_stores(tmp_path: Path, name: str) -> None:
    for names in ((name, "run-1"), ("m12", name)):
        with pytest.raises(ValueError, match="a folder of stores cannot be called"):
            RunPaths(root=tmp_path, recording=names[0], run_id=names[1])
    for odd in ("...mp4", "....mp4", "..mp4"):
        assert (
            RunPaths(root=tmp_path, recording=name_recording(tmp_path / odd), run_id="r").final.parents[1] == tmp_path
        )


def test_receipts_may_come_in_any_order(paths: RunPaths, work: Work) -> None:
    sealed = seal_store(paths, reversed(fill_store(paths, work)), ENDED)

    assert [shard["start"] for shard in open_group(sealed).attrs["shards"]] == [0, 10, 20]


@pytest.mark.parametrize(
    ("kept", "reached"), [([], 0), ([0], 10), ([0, 1], 20), ([1, 2], 0), ([0, 2], 10), ([0, 0, 1, 2], 10)]
)
def test_a_store_that_is_not_whole_is_not_published(paths: RunPaths, work: Work, kept: list[int], reached: int) -> None:
    receipts = fill_store(paths, work)
    with pytest.raises(StoreError, match=f"only the first {reached} of 23 frames are described without a gap"):
        seal_store(paths, [receipts[number] for number in kept], ENDED)
    assert not paths.final.exists()

    assert seal_store(paths, receipts, ENDED).exists()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


DAMAGES = {"is missing": Path.unlink, "bytes and not the": truncate, "has other bytes than": flip}
damages = pytest.mark.parametrize(("said", "damage"), DAMAGES.items(), ids=["deleted", "truncated", "flipped"])


@damages
def test_a_damaged_store_is_not_published_until_the_shard_is_written_again(
    paths: RunPaths, work: Work, said: str, damage: Callable[[Path], None]
) -> None:
    receipts = fill_store(paths, work)
    name = sorted(receipts[1].files)[0]
    damage(paths.working / name)
    with pytest.raises(StoreError, match=f"{name} .*{said}"):
        seal_store(paths, receipts, ENDED)
    assert not paths.final.exists()

    write_shard(paths, shards_of(work)[1], make_hogs(work, shards_of(work)[1]))
    assert seal_store(paths, receipts, ENDED).exists()


def test_sealing_again_changes_nothing(paths: RunPaths, work: Work) -> None:
    receipts = fill_store(paths, work)
    sealed = seal_store(paths, receipts, ENDED)
    before = {file: file.read_bytes() for file in sealed.rglob("*") if file.is_file()}
    # A seal that was cut off before its last step leaves this.
    paths.receipts.mkdir(parents=True)

    assert seal_store(paths, receipts, ENDED | {"attempt": 2}) == sealed
    assert {file: file.read_bytes() for file in sealed.rglob("*") if file.is_file()} == before
    assert list(paths.folder.iterdir()) == [sealed]


@pytest.mark.parametrize("recording", ["m12", "copy"])
def test_an_old_store_stays_until_the_new_one_is_whole(paths: RunPaths, work: Work, recording: str) -> None:
    of_old = replace(paths, recording=recording)
    old = seal_store(of_old, fill_store(of_old, work), ENDED)
    before = {file: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    receipts = fill_store(paths, work)
    truncate(paths.working / sorted(receipts[1].files)[0])
    with pytest.raises(StoreError, match="bytes and not the"):
        seal_store(paths, receipts, ENDED | {"attempt": 2}, old)
    assert {file: file.read_bytes() for file in old.rglob("*") if file.is_file()} == before

    write_shard(paths, shards_of(work)[1], make_hogs(work, shards_of(work)[1]))
    assert read_record(seal_store(paths, receipts, ENDED | {"attempt": 2}, old)).attempt == 2
    assert list(paths.root.glob("*/*")) == [paths.final]


def test_what_a_killed_writer_left_is_gone_after_sealing(paths: RunPaths, work: Work) -> None:
    receipts = fill_store(paths, work)
    for name in ("descriptors/c/0/0.0123456789abcdef.partial", "zarr.json.0123456789abcdef.partial"):
        (paths.working / name).write_bytes(b"half a shard")

    assert not list(seal_store(paths, receipts, ENDED).rglob("*.partial"))


def test_a_seal_that_was_cut_off_before_publishing_is_done_again(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = fill_store(paths, work)

    def die(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "flush_tree", die)
        with pytest.raises(KeyboardInterrupt):
            seal_store(paths, receipts, ENDED)
    assert not paths.final.exists()
    create_store(paths, work, BEGUN)
    again = [read_receipt(paths, span) for span in shards_of(work)]

    assert again == receipts
    assert read_record(seal_store(paths, receipts, ENDED | {"attempt": 2})).attempt == 2


def test_warnings_come_when_a_run_is_planned_and_when_it_ends_each_once(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_store(paths, work, BEGUN | {"warnings": ["a clock ran backwards.", "it is dark."]})
    hogs = [
        replace(made, corrupt=np.zeros_like(made.corrupt)) for made in (make_hogs(work, s) for s in shards_of(work))
    ]
    receipts = [write_shard(paths, span, made) for span, made in zip(shards_of(work), hogs, strict=True)]
    ended = ENDED | {"warnings": ["the end is cut off."]}

    def die(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "flush_tree", die)
        with pytest.raises(KeyboardInterrupt):
            seal_store(paths, receipts, ended)
    record = read_record(seal_store(paths, receipts, ended))
    assert record.warnings == ["a clock ran backwards.", "it is dark.", "the end is cut off."]
    assert record.reason == "23 frames are described; with 3 warnings"


# -- going on ---------------------------------------------------------------------------------------------


def test_what_a_run_does_is_read_from_its_store(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    assert {child.name for child in paths.partial.iterdir()} == {"receipts", "index.npz", "store.zarr", "claim"}
    read = read_work(paths)

    assert (read.info, read.recipe, read.plan) == (work.info, work.recipe, work.plan)
    assert read.index.is_seekable
    np.testing.assert_array_equal(read.index.pts, work.index.pts)
    np.testing.assert_array_equal(read.index.is_keyframe, work.index.is_keyframe)


def test_an_attempt_finds_the_receipts_of_the_one_before(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    first, second, _ = shards_of(work)
    receipt = write_shard(paths, first, make_hogs(work, first))
    create_store(paths, work, BEGUN)

    assert read_receipt(paths, first) == receipt
    assert read_receipt(paths, second) is None


@damages
@pytest.mark.parametrize("array", ["histograms", "descriptors", "corrupt", "images"])
def test_a_receipt_is_believed_only_if_its_files_are_what_it_says(
    tmp_path: Path, array: str, said: str, damage: Callable[[Path], None]
) -> None:
    work = make_work(recipe=WITH_IMAGES)
    paths = make_paths(tmp_path, work)
    receipts = fill_store(paths, work)
    (name, *_) = [name for name in receipts[0].files if name.startswith(array)]
    damage(paths.working / name)

    assert read_receipt(paths, shards_of(work)[0]) is None
    assert [read_receipt(paths, span) for span in shards_of(work)[1:]] == receipts[1:]


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b'{"start": 0', b"[]", b'{"start": 0, "files": []}', b"\xff"])
def test_a_receipt_that_cannot_be_read_is_none(paths: RunPaths, work: Work, content: bytes) -> None:
    fill_store(paths, work)
    span = shards_of(work)[0]
    (paths.receipts / f"{span}.json").write_bytes(content)

    assert read_receipt(paths, span) is None


def test_what_agrees_is_kept_with_all_that_is_done(paths: RunPaths, work: Work) -> None:
    receipts = fill_store(paths, work)
    create_store(paths, work, BEGUN)

    assert [read_receipt(paths, span) for span in shards_of(work)] == receipts


@pytest.mark.parametrize(
    ("change", "begun"),
    [
        ({}, {"software": {"av": "18.2.0"}}),
        ({"shard": 12}, BEGUN),
        ({"mtime_ns": 1}, BEGUN),
        ({"path": "/elsewhere/m12.mp4"}, BEGUN),
    ],
    ids=["software", "plan", "changed source", "moved source"],
)
def test_what_is_half_made_by_another_version_or_of_another_source_is_discarded(
    paths: RunPaths, work: Work, change: dict[str, object], begun: dict[str, object]
) -> None:
    fill_store(paths, work)
    changed = make_work(**change)  # type: ignore[arg-type]
    create_store(paths, changed, begun)

    assert read_work(paths).plan == changed.plan
    assert not list(paths.receipts.iterdir())
    assert not data_files(paths.working / "histograms")


@pytest.mark.parametrize("content", [None, b"", b"\0" * 50, b'{"zarr_format": 3}', b"[]", b'{"node_type": "group"'])
def test_what_is_half_made_and_cannot_be_read_is_discarded(paths: RunPaths, work: Work, content: bytes | None) -> None:
    fill_store(paths, work)
    (paths.working / "zarr.json").unlink()
    if content is not None:
        (paths.working / "zarr.json").write_bytes(content)
    create_store(paths, work, BEGUN)

    assert not list(paths.receipts.iterdir())
    assert make_store(paths.root, work).exists()


def everything_in(path: Path) -> list[str]:
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*"))


def test_whatever_is_missing_of_what_is_half_made_the_run_ends_with_the_same_store(tmp_path: Path) -> None:
    work = make_work(2)
    expected = make_store(tmp_path / "expected", work)
    template = make_paths(tmp_path / "template", work)
    create_store(template, work, BEGUN)
    first = shards_of(work)[0]
    write_shard(template, first, make_hogs(work, first))
    for number, name in enumerate(name for name in everything_in(template.partial) if "/c/" not in name):
        paths = make_paths(tmp_path / str(number), work)
        shutil.copytree(template.partial, paths.partial)
        missing = paths.partial / name
        shutil.rmtree(missing) if missing.is_dir() else missing.unlink()

        sealed = make_store(paths.root, work)
        assert everything_in(sealed) == everything_in(expected), name
        assert open_group(sealed).attrs.asdict() == open_group(expected).attrs.asdict(), name


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"mouse"])
def test_what_is_half_made_with_an_index_that_cannot_be_read_is_discarded(
    paths: RunPaths, work: Work, content: bytes
) -> None:
    create_store(paths, work, BEGUN)
    paths.index.write_bytes(content)
    create_store(paths, work, BEGUN)

    np.testing.assert_array_equal(read_work(paths).index.pts, work.index.pts)


def test_a_removal_that_is_cut_off_leaves_nothing_under_the_runs_name(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_store(paths, work)
    with monkeypatch.context() as patch:
        # As on NFS, where a file that somebody holds open stays until it is let go of.
        patch.setattr(store.shutil, "rmtree", lambda path, **_: (path / "index.npz").unlink(missing_ok=True))
        discard_partial(paths)
        assert not paths.partial.exists()
        create_store(paths, work, BEGUN)
        assert not list(paths.receipts.iterdir())
        create_store(paths, make_work(shard=12), BEGUN)
        assert read_work(paths).plan.frames_per_shard == 12

    assert make_store(paths.root, work).exists()
    assert list(paths.folder.iterdir()) == [paths.final], "the rest is removed when it can be"


def test_a_folder_that_cannot_be_renamed_is_removed_in_its_place(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    fill_store(paths, work)
    monkeypatch.setattr(Path, "rename", refuse)
    discard_partial(paths)

    assert not list(paths.root.iterdir())


@damages
def test_an_array_that_was_laid_out_and_is_damaged_before_sealing_is_not_published(
    paths: RunPaths, work: Work, said: str, damage: Callable[[Path], None]
) -> None:
    receipts = fill_store(paths, work)
    damage(paths.working / "time_s" / "c" / "0")
    with pytest.raises(StoreError, match=f"time_s/c/0 .*{said}"):
        seal_store(paths, receipts, ENDED)

    assert make_store(paths.root, work).exists()


def test_a_store_that_was_not_laid_out_to_the_end_is_laid_out_again(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "flush_tree", die)
        with pytest.raises(KeyboardInterrupt):
            create_store(paths, work, BEGUN)
    assert measure_progress(paths) is None

    assert make_store(paths.root, work).exists()
    assert list(paths.folder.iterdir()) == [paths.final]


def test_progress_is_what_is_on_the_disk(paths: RunPaths, work: Work) -> None:
    assert measure_progress(paths) is None
    create_store(paths, work, BEGUN)
    assert measure_progress(paths) == Progress(n_done=0, n_frames=23)
    last = shards_of(work)[-1]
    write_shard(paths, last, make_hogs(work, last))
    assert measure_progress(paths) == Progress(n_done=3, n_frames=23)


def test_progress_tells_the_pace_of_this_run_and_not_of_an_earlier_one(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    first = shards_of(work)[0]
    effort = Effort(worker="rig:1:1", began_at=100.0, first_frame_s=0.1, decoding_s=3.0, describing_s=1.0)
    receipt = write_shard(paths, first, replace(make_hogs(work, first), effort=effort))
    assert receipt.effort is not None
    assert receipt.effort.writing_s > 0
    assert read_receipt(paths, first) == receipt

    found = measure_progress(paths, since=99.0)
    assert found is not None
    assert found.pace is not None
    took_s = 4.0 + receipt.effort.writing_s
    assert found.pace.frames_per_s == pytest.approx(10 / took_s)
    assert found.pace.decoder_share == pytest.approx(3 / took_s)
    assert str(found).startswith("10 of 23 frames; 2 frames a second, ")
    assert measure_progress(paths, since=101.0) == Progress(n_done=10, n_frames=23)


def test_how_long_a_shard_took_is_not_sealed(tmp_path: Path, work: Work) -> None:
    sealed = []
    for number in (1, 2):
        paths = make_paths(tmp_path / str(number), work)
        create_store(paths, work, BEGUN)
        effort = Effort(worker=f"rig:{number}:1", began_at=number, first_frame_s=0, decoding_s=number, describing_s=1)
        receipts = [write_shard(paths, span, replace(make_hogs(work, span), effort=effort)) for span in shards_of(work)]
        sealed.append((seal_store(paths, receipts, ENDED) / "zarr.json").read_bytes())
    assert sealed[0] == sealed[1]


# -- one shard --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 9), (1, 10), (0, 20), (5, 15), (10, 23), (20, 22), (21, 23), (20, 30), (30, 40)]
)
def test_only_one_whole_shard_is_written(paths: RunPaths, work: Work, start: int, stop: int) -> None:
    create_store(paths, work, BEGUN)
    span = Chunk(start=start, stop=stop)
    with pytest.raises(StoreError, match=f"frames {span} are not one whole shard of 10"):
        write_shard(paths, span, make_hogs(work, span))

    assert not list(paths.receipts.iterdir())
    assert not data_files(paths.working / "histograms")


def test_results_of_another_length_are_refused(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    one = make_hogs(work, Chunk(start=0, stop=1))
    with pytest.raises(ValueError, match=r"histograms of frames 0-10 must be \(10, 3, 5, 4\), got \(1, 3, 5, 4\)"):
        write_shard(paths, Chunk(start=0, stop=10), one)

    assert not list(paths.receipts.iterdir())


def test_writing_a_shard_twice_leaves_the_same_bytes(tmp_path: Path) -> None:
    work = make_work(recipe=WITH_IMAGES)
    paths = make_paths(tmp_path, work)
    receipts = fill_store(paths, work)
    before = {name: (paths.working / name).read_bytes() for name in data_files(paths.working)}
    again = [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)]

    assert again == receipts
    assert {name: (paths.working / name).read_bytes() for name in data_files(paths.working)} == before


def test_a_shard_without_anything_in_it_is_written_too(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    span = shards_of(work)[0]
    hogs = make_hogs(work, span)
    nothing = replace(hogs, histograms=np.full_like(hogs.histograms, np.nan), corrupt=np.zeros_like(hogs.corrupt))
    receipt = write_shard(paths, span, nothing)

    assert set(receipt.files) == {"histograms/c/0/0/0/0", "descriptors/c/0/0", "corrupt/c/0"}
    assert set(receipt.files) <= set(data_files(paths.working))


def test_shards_written_by_threads_at_the_same_time_are_whole(tmp_path: Path) -> None:
    work = make_work(200, shard=5)
    paths = make_paths(tmp_path, work)
    create_store(paths, work, BEGUN)
    with ThreadPoolExecutor(8) as threads:
        receipts = list(
            threads.map(
                lambda span: write_shard(
                    paths, span, replace(make_hogs(work, span), corrupt=np.zeros(len(span), np.bool_))
                ),
                shards_of(work),
            )
        )

    np.testing.assert_array_equal(
        open_group(seal_store(paths, receipts, ENDED))["descriptors"][:], expected_arrays(work)["descriptors"]
    )


def test_a_receipt_tells_what_is_in_the_shard(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    span = shards_of(work)[1]
    hogs = make_hogs(work, span)
    receipt = write_shard(paths, span, hogs)

    assert (receipt.start, receipt.stop) == (10, 20)
    assert (receipt.digest, receipt.grey) == (hogs.digest, ["luma table"])
    assert count_frames(receipt.corrupt) == hogs.corrupt.sum()
    assert receipt.lost == []
    assert ShardReceipt.from_dict(json.loads((paths.receipts / "10-20.json").read_text())) == receipt


def test_a_digest_changes_with_every_value(work: Work) -> None:
    hogs = make_hogs(work, shards_of(work)[0])
    digests = {hogs.digest}
    for name in ("histograms", "descriptors", "corrupt"):
        values = getattr(hogs, name).copy()
        values.flat[-1] = not values.flat[-1]
        digests.add(replace(hogs, **{name: values}).digest)

    assert len(digests) == 4


# Three do not divide the ten of a shard.
@pytest.mark.parametrize("n_file_bytes", [1, 3 * 4 * 24 * 40, 2**25], ids=["one", "three", "many"])
def test_pictures_are_written_by_files_of_a_few_that_no_two_shards_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_file_bytes: int
) -> None:
    monkeypatch.setattr(layout, "PICTURE_FILE_BYTES", n_file_bytes)
    work = make_work(shard=10, recipe=WITH_IMAGES)
    paths = make_paths(tmp_path, work)
    receipts = fill_store(paths, work)
    files = [name for receipt in receipts for name in receipt.files if name.startswith("images")]

    assert len(files) == len(set(files))
    group = open_group(seal_store(paths, receipts, ENDED))
    assert group["images"].shards[0] * 4 * 24 * 40 <= max(n_file_bytes, 4 * 24 * 40)
    np.testing.assert_array_equal(group["images"][:], expected_arrays(work)["images"])


# -- when a run is given up -------------------------------------------------------------------------------


def test_a_run_that_is_given_up_leaves_nothing(paths: RunPaths, work: Work) -> None:
    fill_store(paths, work)
    discard_partial(paths)

    assert not list(paths.root.iterdir())
    discard_partial(paths)


def test_other_runs_of_the_recording_stay_when_one_is_given_up(paths: RunPaths, work: Work) -> None:
    other = make_store(paths.root, replace(work, recipe=WITH_IMAGES))
    fill_store(paths, work)
    discard_partial(paths)

    assert list(paths.folder.iterdir()) == [other]


def test_nothing_is_written_for_a_run_that_was_given_up(paths: RunPaths, work: Work) -> None:
    create_store(paths, work, BEGUN)
    discard_partial(paths)
    span = shards_of(work)[0]
    with pytest.raises(StoreError, match="the store in progress is gone"):
        write_shard(paths, span, make_hogs(work, span))

    assert not list(paths.root.iterdir())


@pytest.mark.parametrize("name", ["histograms", "descriptors", "corrupt"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_given_up_while_a_shard_is_written_leaves_nothing(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch, name: str, when: str
) -> None:
    create_store(paths, work, BEGUN)
    get_array = store._get_array

    def give_up(group: zarr.Group, wanted: str) -> zarr.Array:
        if wanted == name and when == "before":
            discard_partial(paths)
        array = get_array(group, wanted)
        if wanted == name:
            discard_partial(paths)
        return array

    monkeypatch.setattr(store, "_get_array", give_up)
    span = shards_of(work)[0]
    with pytest.raises(StoreError, match="the store in progress is gone"):
        write_shard(paths, span, make_hogs(work, span))

    assert not list(paths.root.iterdir())


def test_a_run_is_not_given_up_because_one_file_is_not_found(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_store(paths, work, BEGUN)
    first, second, _ = shards_of(work)
    receipt = write_shard(paths, first, make_hogs(work, first))

    def lose(path: Path, *_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(store, "write_durably", lose)
    with pytest.raises(FileNotFoundError):
        write_shard(paths, second, make_hogs(work, second))
    assert read_receipt(paths, first) == receipt


@pytest.mark.parametrize("name", ["histograms", "descriptors", "corrupt"])
def test_a_writer_that_was_given_up_takes_nothing_from_a_store_that_is_published_meanwhile(
    paths: RunPaths, work: Work, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    receipts = fill_store(paths, work)
    encode = store.encode_shards

    def publish_first(array: zarr.Array, *given: Any) -> Any:
        found = list(encode(array, *given))
        if array.basename == name:
            seal_store(paths, receipts, ENDED)
        return found

    span = shards_of(work)[1]
    with monkeypatch.context() as patch:
        patch.setattr(store, "encode_shards", publish_first)
        with pytest.raises(StoreError, match="the store in progress is gone"):
            write_shard(paths, span, make_hogs(work, span))

    assert list(paths.folder.iterdir()) == [paths.final]
    *_, verdict = verify_store(paths.final)
    assert verdict.problems == []


# -- a full disk ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk):
        pytest.skip("a small disk can be mounted by root on Linux only")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def mount(*arguments: str | Path) -> int:
    try:
        return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode
    except FileNotFoundError:
        return 1


def fill_up(disk: Path) -> None:
    with suppress(OSError), (disk / "others' data").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def test_a_shard_on_a_full_disk_is_told_leaves_no_receipt_and_is_written_when_there_is_room(
    small_disk: Path,
) -> None:
    work = make_work(n_frames=2000, shard=1000)
    paths = make_paths(small_disk, work)
    create_store(paths, work, BEGUN)
    first, second = shards_of(work)
    receipt = write_shard(paths, first, make_hogs(work, first))
    with pytest.raises(StoreError, match=r"the disk is full .*Make room"):
        write_shard(paths, second, make_hogs(work, second))

    assert read_receipt(paths, first) == receipt
    assert [file.name for file in paths.receipts.iterdir()] == [f"{first}.json"]
    assert not paths.final.exists()
    assert mount("-o", "remount,size=64m", small_disk) == 0
    receipts = [receipt, write_shard(paths, second, make_hogs(work, second))]
    np.testing.assert_array_equal(
        open_group(seal_store(paths, receipts, ENDED))["descriptors"][:], expected_arrays(work)["descriptors"]
    )


def test_a_store_that_finds_no_room_is_laid_out_when_there_is_some(small_disk: Path, work: Work) -> None:
    paths = make_paths(small_disk / "store", work)
    fill_up(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        create_store(paths, work, BEGUN)

    (small_disk / "others' data").unlink()
    assert make_store(small_disk / "store", work).exists()


def test_a_seal_that_finds_no_room_publishes_nothing_until_there_is_some(small_disk: Path, work: Work) -> None:
    paths = make_paths(small_disk, work)
    receipts = fill_store(paths, work)
    fill_up(small_disk)
    with pytest.raises(StoreError, match="the disk is full"):
        seal_store(paths, receipts, ENDED)
    assert not paths.final.exists()

    (small_disk / "others' data").unlink()
    assert seal_store(paths, receipts, ENDED).exists()


# -- what a sealed store says -----------------------------------------------------------------------------


def test_a_sealed_store_says_all_that_the_catalogue_does(paths: RunPaths, work: Work) -> None:
    receipts = fill_store(paths, work)
    record = read_record(seal_store(paths, receipts, ENDED))

    assert record.path == Path(work.info.path)
    assert (record.state, record.run_id, record.digest) == ("finished", paths.run_id, work.info.digest)
    assert (record.stream, record.recipe) == (work.info.as_dict(), work.recipe.as_dict())
    assert (record.software, record.host) == (BEGUN["software"], ENDED["host"])
    assert (record.attempt, record.flow_run_id) == (1, "flow-1")
    assert record.started_at == datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    assert record.finished_at == record.changed_at == datetime.fromisoformat("2026-11-21T12:01:00+00:00")
    n_corrupt = count_frames(span for receipt in receipts for span in receipt.corrupt)
    assert (record.n_frames, record.n_corrupt, record.grey) == (23, n_corrupt, ["luma table"])
    assert record.reason == f"23 frames are described, {n_corrupt} of them corrupt; with 1 warning"
    assert record.warnings == [f"{tell_damage(receipts)}."]
    assert record.warnings[0].startswith(f"{n_corrupt} of 23 frames are corrupt: ")
    assert (record.store, record.size_bytes) == (paths.final, 1000)
    assert record.arrays["descriptors"] == {
        "shape": [23, work.recipe.hog.n_features(work.frame_shape)],
        "dtype": "float32",
        "dims": ["frame", "feature"],
    }


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\0" * 9])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.zarr"
    if content is not None:
        path.mkdir()
        (path / "zarr.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.zarr: (there is no store|its metadata cannot be read)"):
        open_group(path)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_bytes(b"mouse")
    with pytest.raises(StoreError, match="there is no store"):
        open_group(tmp_path / "a.zarr")


def test_a_store_in_progress_or_of_something_else_is_no_sealed_one(paths: RunPaths, work: Work) -> None:
    fill_store(paths, work)
    zarr.create_group(paths.root / "other.zarr")
    for path in (paths.working, paths.root / "other.zarr"):
        with pytest.raises(StoreError, match="this is no sealed store of facehog"):
            open_group(path)
