from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from runs import BEGUN, ENDED, fill_store, make_hogs, make_paths, make_store, shards_of
from spoiled import damages, truncate

from facehog_core import sealing, store
from facehog_core.effort import Effort
from facehog_core.errors import StoreError
from facehog_core.layout import Work
from facehog_core.receipts import count_frames, tell_damage
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.source import name_recording
from facehog_core.store import create_store, read_receipt, write_shard
from facehog_core.verify import verify_store


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
        patch.setattr(sealing, "flush_tree", die)
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
        patch.setattr(sealing, "flush_tree", die)
        with pytest.raises(KeyboardInterrupt):
            seal_store(paths, receipts, ended)
    record = read_record(seal_store(paths, receipts, ended))
    assert record.warnings == ["a clock ran backwards.", "it is dark.", "the end is cut off."]
    assert record.reason == "23 frames are described; with 3 warnings"


@damages
def test_an_array_that_was_laid_out_and_is_damaged_before_sealing_is_not_published(
    paths: RunPaths, work: Work, said: str, damage: Callable[[Path], None]
) -> None:
    receipts = fill_store(paths, work)
    damage(paths.working / "time_s" / "c" / "0")
    with pytest.raises(StoreError, match=f"time_s/c/0 .*{said}"):
        seal_store(paths, receipts, ENDED)

    assert make_store(paths.root, work).exists()


def test_how_long_a_shard_took_is_not_sealed(tmp_path: Path, work: Work) -> None:
    sealed = []
    for number in (1, 2):
        paths = make_paths(tmp_path / str(number), work)
        create_store(paths, work, BEGUN)
        effort = Effort(worker=f"rig:{number}:1", began_at=number, first_frame_s=0, decoding_s=number, describing_s=1)
        receipts = [write_shard(paths, span, replace(make_hogs(work, span), effort=effort)) for span in shards_of(work)]
        sealed.append((seal_store(paths, receipts, ENDED) / "zarr.json").read_bytes())
    assert sealed[0] == sealed[1]


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
