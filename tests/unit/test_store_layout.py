from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from runs import BEGUN, ENDED, WITH_IMAGES, data_files, expected_arrays, fill_store, make_paths, make_store, make_work

from facehog_core import layout
from facehog_core.layout import Work
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group
from facehog_core.sealing import seal_store
from facehog_core.store import create_store

works = st.builds(
    lambda n_frames, shard, with_images: make_work(
        n_frames, shard=shard, recipe=replace(WITH_IMAGES, with_images=with_images)
    ),
    st.integers(1, 40),
    st.integers(1, 20),
    st.booleans(),
)


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
