from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from runs import (
    BEGUN,
    ENDED,
    WITH_IMAGES,
    data_files,
    expected_arrays,
    fill_store,
    make_hogs,
    make_paths,
    make_store,
    make_work,
    shards_of,
)

from facehog_core import store
from facehog_core.chunking import Chunk
from facehog_core.effort import Effort
from facehog_core.errors import StoreError
from facehog_core.layout import Work
from facehog_core.progress import Progress, measure_progress
from facehog_core.receipts import ShardReceipt, count_frames
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group
from facehog_core.sealing import seal_store
from facehog_core.store import create_store, discard_partial, read_receipt, write_shard


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
