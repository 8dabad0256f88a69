"""The disk of all stores is not mounted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from barcode import write_recording
from lab import Lab

from deployments import store_room
from deployments.store_room import StoreRoom
from facehog_core import Catalogue
from facehog_core.schema import Fate
from facehog_core.store_root import FACT, is_missing

pytestmark = pytest.mark.usefixtures("prefect_server")


def wait_for(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


@pytest.mark.parametrize("is_mount_point", [True, False])
def test_while_the_disk_of_the_stores_is_not_mounted_nothing_is_written_beneath_it_and_all_wait(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mount_point: bool
) -> None:
    monkeypatch.setattr(store_room, "LOOK_S", 0.02)
    assert lab.process(write_recording(tmp_path / "first.mp4", 5)).is_completed()
    second = write_recording(tmp_path / "second.mp4", 7)
    disk = lab.store.rename(tmp_path / "disk")
    if is_mount_point:
        lab.store.mkdir()
    with Catalogue(lab.catalogue) as catalogue:
        room = StoreRoom(lab.store, catalogue)
        room.start()
        wait_for(lambda: FACT in (room.trouble or ""))
        assert lab.process(second).name == "GivenBack"
        file = catalogue.file(second)
        assert file is not None
        assert (file.state, FACT in file.reason) == (Fate.WAITING, True)
        assert list(lab.store.iterdir() if is_mount_point else []) == []
        assert lab.store.exists() is is_mount_point
        if is_mount_point:
            lab.store.rmdir()
        disk.rename(lab.store)
        wait_for(lambda: room.trouble is None)
        room.stop()
        room.join()
    assert lab.process(second).is_completed()


def test_a_folder_that_is_new_or_another_one_may_be_empty_and_one_that_was_emptied_by_hand_once_it_is_said(
    lab: Lab, tmp_path: Path
) -> None:
    with Catalogue(lab.catalogue, create=True) as catalogue:
        assert not is_missing(lab.store, catalogue)
        lab.process(write_recording(tmp_path / "first.mp4", 5))
        assert not is_missing(lab.store, catalogue)
        assert not is_missing(tmp_path / "other", catalogue)
        shutil.rmtree(lab.store)
        assert is_missing(lab.store, catalogue)
        lab.store.mkdir()
        (lab.store / "emptied on purpose").touch()
        assert not is_missing(lab.store, catalogue)
