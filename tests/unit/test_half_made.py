from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runs import BEGUN, WITH_IMAGES, data_files, fill_store, make_hogs, make_paths, make_store, make_work, shards_of
from spoiled import damages

from facehog_core import store
from facehog_core.layout import Work
from facehog_core.progress import measure_progress
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group
from facehog_core.store import create_store, discard_partial, read_receipt, read_work, write_shard


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
