from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import dask
import numpy as np
import pims
import pytest
import zarr
from runs import SMALL_HOG, make_paths, make_store, make_work, run_recording
from skimage.feature import hog
from zarr.storage import LocalStore

from facehog_core import layout
from facehog_core.crop import Crop
from facehog_core.errors import StoreError
from facehog_core.recipe import Recipe
from facehog_core.sealed import open_group
from facehog_core.session import open_session
from facehog_core.store import create_store

LAZY = Recipe(hog=SMALL_HOG)


@pytest.fixture(autouse=True)
def few_pictures_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make made-up pictures, which are small, come two to a block as those of real frames come ten."""
    monkeypatch.setattr(layout, "PICTURE_FILE_BYTES", 2 * 4 * 24 * 40)


@pytest.fixture(autouse=True)
def in_one_thread() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


def test_a_session_has_every_array_with_its_dims_and_coordinates(tmp_path: Path) -> None:
    session = open_session(make_store(tmp_path, make_work()))

    assert {name: array.dims for name, array in session.data_vars.items()} == {
        "descriptors": ("frame", "feature"),
        "histograms": ("frame", "cell_row", "cell_col", "orientation"),
        "images": ("frame", "row", "col"),
    }
    assert set(session.coords) == {"frame", "time_s", "n_dropped_after", "pts", "packet", "keyframe", "corrupt"}
    assert session.images.shape == (23, 24, 40)
    assert session.images.dtype == np.float32
    assert session.attrs["run_id"] == make_paths(tmp_path, make_work()).run_id


def test_a_path_may_be_text(tmp_path: Path) -> None:
    assert open_session(str(make_store(tmp_path, make_work()))).sizes["frame"] == 23


@pytest.mark.parametrize("name", ["zarr.json", "descriptors/c/1/0", "time_s/c/0"])
def test_a_damaged_store_is_refused_when_it_is_opened_and_no_fill_values_are_read(tmp_path: Path, name: str) -> None:
    path = make_store(tmp_path, make_work())
    (path / name).write_bytes((path / name).read_bytes()[:-1])
    with pytest.raises(StoreError, match=name):
        open_session(path)

    (path / name).unlink()
    with pytest.raises(StoreError, match="there is no store" if name == "zarr.json" else name):
        open_session(path)


def test_drawn_pictures_equal_those_that_are_stored(tmp_path: Path) -> None:
    drawn = open_session(make_store(tmp_path, make_work(recipe=LAZY)))
    stored = open_session(make_store(tmp_path, make_work(recipe=replace(LAZY, with_images=True))))

    assert "images" not in open_group(next(tmp_path.glob(f"*/*-{LAZY.digest[:8]}.zarr")))
    np.testing.assert_array_equal(drawn.images.values, stored.images.values)


@pytest.mark.parametrize(
    "index",
    [
        np.s_[5],
        np.s_[-1],
        np.s_[3:9],
        np.s_[::7],
        np.s_[20:2:-3],
        np.s_[[4, 4, 0, 22]],
        np.s_[7, 3:5, ::2],
        np.s_[:, 0, -1],
        np.s_[2:2],
        np.s_[...],
    ],
    ids=str,
)
def test_pictures_are_indexed_as_an_array_is(tmp_path: Path, index: Any) -> None:
    images = open_session(make_store(tmp_path, make_work())).images

    np.testing.assert_array_equal(images[index].values, images.values[index])


def test_pictures_equal_scikit_image(videos_dir: Path, tmp_path: Path) -> None:
    clip = videos_dir / "real" / "nwbvw_stub_h264.mp4"
    recipe = Recipe(crop=Crop(x=7, y=9, width=140, height=100))
    images = open_session(run_recording(tmp_path, clip, recipe)).images
    with av.open(clip) as container:
        frame = next(container.decode(video=0))
    grey = pims.as_grey(frame.to_ndarray(format="rgb24"))[recipe.crop.window]

    _, picture = hog(grey, 8, (32, 32), (1, 1), transform_sqrt=True, visualize=True)
    np.testing.assert_allclose(images[0].values, picture, rtol=0, atol=1e-5)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note what is read of stores: files and numbers of bytes."""
    reads: list[tuple[str, int]] = []
    get = LocalStore.get

    async def noted(self: LocalStore, key: str, *given: Any, **named: Any) -> Any:
        found = await get(self, key, *given, **named)
        if found is not None and "/c/" in key:
            reads.append((key, len(found)))
        return found

    monkeypatch.setattr(LocalStore, "get", noted)
    return reads


def test_one_picture_costs_the_histograms_of_one_shard(tmp_path: Path, fetched: list[tuple[str, int]]) -> None:
    path = make_store(tmp_path, make_work(400, shard=200))
    images = open_session(path).images
    fetched.clear()
    images.data[315].compute()

    assert {key for key, _ in fetched} == {"histograms/c/1/0/0/0"}


def test_one_cell_of_all_frames_costs_its_rows_and_not_all_cells(
    tmp_path: Path, fetched: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "INNER_CHUNK_BYTES", 1)  # One row of cells.
    path = make_store(tmp_path, make_work(400, shard=200))
    session = open_session(path)
    fetched.clear()
    session.histograms.data[:, 1, 2].compute()

    files = [path / f"histograms/c/{shard}/0/0/0" for shard in (0, 1)]
    assert {path / key for key, _ in fetched} == set(files)
    # One row of three, and the index of each file.
    assert sum(n for _, n in fetched) < 0.4 * sum(file.stat().st_size for file in files)


def test_opening_a_session_and_looking_at_descriptors_draws_no_picture(
    tmp_path: Path, fetched: list[tuple[str, int]]
) -> None:
    path = make_store(tmp_path, make_work())
    fetched.clear()
    session = open_session(path)
    assert not [key for key, _ in fetched if key.startswith(("histograms", "descriptors"))]

    session.descriptors[3].compute()
    assert {key for key, _ in fetched} & {"histograms/c/0/0/0/0", "descriptors/c/0/0"} == {"descriptors/c/0/0"}


def test_pictures_that_are_stored_are_read_and_not_drawn(tmp_path: Path, fetched: list[tuple[str, int]]) -> None:
    images = open_session(make_store(tmp_path, make_work(recipe=replace(LAZY, with_images=True)))).images
    fetched.clear()
    images.data[3].compute()

    assert {key.split("/")[0] for key, _ in fetched} == {"images"}


def test_pictures_come_by_blocks_of_a_few(tmp_path: Path) -> None:
    images = open_session(make_store(tmp_path, make_work(shard=20))).images

    assert images.data.chunksize == (2, 24, 40)


def test_pictures_can_be_drawn_in_another_process(tmp_path: Path) -> None:
    images = open_session(make_store(tmp_path, make_work())).images[:3]

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images)).values, images.values)


def test_a_store_that_is_not_sealed_is_no_session(tmp_path: Path) -> None:
    work = make_work()
    paths = make_paths(tmp_path, work)
    create_store(paths, work, {"software": {}})
    zarr.open_group(paths.working)
    for path in (paths.working, tmp_path / "nothing.zarr"):
        with pytest.raises(StoreError):
            open_session(path)


@pytest.mark.parametrize("name", ["descriptors", "histograms", "corrupt", "pts", "frame"])
def test_a_bit_that_has_changed_is_told_with_the_file_when_it_is_read(tmp_path: Path, name: str) -> None:
    path = make_store(tmp_path, make_work())
    (*_, file) = sorted(file for file in (path / name / "c").rglob("*") if file.is_file())
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)

    with pytest.raises(
        StoreError, match=f"{file.relative_to(path).as_posix()} has other bytes .*process --force"
    ) as told:
        open_session(path)[name].load()
    assert told.value.path == str(path)


def test_what_a_changed_bit_does_not_touch_is_read(tmp_path: Path) -> None:
    path = make_store(tmp_path, make_work())
    file = path / "descriptors" / "c" / "2" / "0"
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))

    session = open_session(path)
    assert np.isfinite(session.descriptors[:20].values).all()
    assert np.isfinite(session.images[19].values).all()
    with pytest.raises(StoreError, match="descriptors/c/2/0"):
        session.descriptors[18:].mean().compute()
