from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent

from deployments.sensor import _Events


@pytest.fixture
def woken() -> Iterator[tuple[_Events, Event]]:
    """Return what takes the system's events, and whether it has called."""
    called = Event()
    events = _Events(called.set)
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
    woken: tuple[_Events, Event], event: FileSystemEvent, is_news: bool
) -> None:
    events, called = woken
    events.on_any_event(event)
    assert called.is_set() is is_news


def test_a_folder_that_is_moved_into_an_inbox_wakes_the_sensor(tmp_path: Path, woken: tuple[_Events, Event]) -> None:
    events, called = woken
    (tmp_path / "inbox").mkdir()
    (tmp_path / "m12").mkdir()
    events.watch(tmp_path / "inbox")
    (tmp_path / "m12").rename(tmp_path / "inbox" / "m12")
    assert called.wait(60)
