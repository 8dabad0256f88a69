from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from runs import BEGUN, ENDED, expected_arrays, fill_store, make_hogs, make_paths, make_store, make_work, shards_of

from facehog_core.errors import StoreError
from facehog_core.layout import Work
from facehog_core.sealed import open_group
from facehog_core.sealing import seal_store
from facehog_core.store import create_store, read_receipt, write_shard


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
