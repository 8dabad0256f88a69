"""Law 2 on real Dask clusters: a store is the same bytes for any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from runs import ENDED, lay_out_run, run_recording

from facehog_core.crop import Crop
from facehog_core.extract import extract_chunk
from facehog_core.hog import HogParams
from facehog_core.recipe import Recipe
from facehog_core.sealing import seal_store
from facehog_core.store import read_work

SMALL = Recipe(
    hog=HogParams(pixels_per_cell=(16, 16), cells_per_block=(2, 2)), crop=Crop(x=3, y=5, width=120, height=80)
)
# Sought and counted, frames that are hidden, one decoder for all.
FORMS = ["open gop", "ts, fields", "edit list, b-frames", "one keyframe"]


@contextmanager
def cluster_of(n_workers: int, *, processes: bool) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=processes, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def run_on(client: Client, root: Path, recording: Path) -> Path:
    """Turn a recording into a sealed store, six frames a task."""
    paths = lay_out_run(root, recording, SMALL, frames_per_shard=6)
    chunks = list(read_work(paths).plan)
    # Each is computed, also where another run on this cluster was like it.
    receipts = client.gather(client.map(extract_chunk, [paths] * len(chunks), chunks, pure=False))
    return seal_store(paths, [receipt for of_chunk in receipts for receipt in of_chunk], ENDED)


def files_of(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def alone(write_form: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Return the files of the stores that are made without a cluster, by one decoder."""
    root = tmp_path_factory.mktemp("alone")
    return {
        form: files_of(run_recording(root / form, write_form(form), SMALL, frames_per_shard=6, shards_per_chunk=9))
        for form in FORMS
    }


@pytest.mark.parametrize(("n_workers", "processes"), [(1, False), (2, True), (3, False), (4, False)])
def test_stores_are_the_same_bytes_for_any_number_of_workers(
    write_form: Callable[[str], Path],
    alone: dict[str, dict[str, bytes]],
    tmp_path: Path,
    n_workers: int,
    processes: bool,
) -> None:
    with cluster_of(n_workers, processes=processes) as client:
        for form in FORMS:
            files = files_of(run_on(client, tmp_path / form, write_form(form)))
            assert arrays_in(files) == arrays_in(alone[form]), form


def arrays_in(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that hold values."""
    found = {name: content for name, content in files.items() if Path(name).name != "zarr.json"}
    assert len(found) > 4
    return found
