from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from mounts import can_mount, mount_tmpfs, unmount
from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent

from deployments.events import Events


@pytest.fixture
def woken(tmp_path: Path) -> Iterator[tuple[Events, Event]]:
    """Return what takes the system's events, and whether it has called."""
    called = Event()
    (tmp_path / "inbox").mkdir()
    events = Events(tmp_path / "inbox", called.set)
    yield events, called
    events.stop()


@pytest.mark.parametrize(
    ("event", "is_news"),
    [
        (FileCreatedEvent("inbox/m12.mp4"), True),
        (FileMovedEvent("inbox/m12.mp4.part", "inbox/m12.mp4"), True),
        (FileCreatedEvent("inbox/m12.mp4.part"), False),
        (FileCreatedEvent("inbox/m12/img00001.png"), False),
        (FileMovedEvent("inbox/m12/.img00001.png.Xy12", "inbox/m12/img00001.png"), False),
    ],
)
def test_a_recording_that_lands_wakes_the_sensor_and_one_of_many_images_does_not(
    woken: tuple[Events, Event], event: FileSystemEvent, is_news: bool
) -> None:
    events, called = woken
    events.on_any_event(event)
    assert called.is_set() is is_news


def test_a_folder_that_is_moved_into_an_inbox_wakes_the_sensor(tmp_path: Path, woken: tuple[Events, Event]) -> None:
    events, called = woken
    (tmp_path / "m12").mkdir()
    events.watch()
    (tmp_path / "m12").rename(tmp_path / "inbox" / "m12")
    assert called.wait(60)


@pytest.mark.skipif(not can_mount(), reason="mounts a disk: on Linux, as root")
def test_a_disk_that_is_mounted_over_an_inbox_is_watched(tmp_path: Path, woken: tuple[Events, Event]) -> None:
    events, called = woken
    inbox = tmp_path / "inbox"
    events.watch()
    mount_tmpfs(inbox, 2**20)
    try:
        events.watch()
        called.clear()
        (inbox / "m12.mp4").touch()
        assert called.wait(60)
    finally:
        unmount(inbox)
