"""Whether runs that go on at the same time find room for their stores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zarr
from runs import BEGUN, ENDED, make_hogs, make_work, shards_of

from facehog_core import disk
from facehog_core.errors import DiskFullError
from facehog_core.room import check_room_for
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.store import create_store, write_shard


def test_what_runs_in_progress_will_take_is_no_room_for_those_that_began_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_work(2000, shard=1000)
    first, second = (RunPaths(root=tmp_path, recording=name, run_id=f"run-{name}", token=name) for name in ("b", "a"))
    for number, paths in enumerate((first, second)):
        create_store(paths, work, BEGUN)
        os.utime(paths.claim, (0, 1000 + number))
    needed = sum(array.nbytes for _, array in zarr.open_group(first.working, mode="r").arrays())
    monkeypatch.setattr(disk, "measure_room", lambda _: 1.5 * needed)

    check_room_for(first, [second])
    check_room_for(second)
    with pytest.raises(DiskFullError, match=r"room for 0.0 GB beside the 0.0 GB that other runs go on to take\."):
        check_room_for(second, [first])
    # One that goes on after a rest comes after those that began meanwhile.
    create_store(again := RunPaths(root=tmp_path, recording="b", run_id="run-b", token="again"), work, BEGUN)
    check_room_for(second, [again])
    with pytest.raises(DiskFullError):
        check_room_for(again, [second])

    receipts = [write_shard(second, span, make_hogs(work, span)) for span in shards_of(work)]
    check_room_for(again, [second])
    seal_store(second, receipts, ENDED)
    check_room_for(again, [second])
