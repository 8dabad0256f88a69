"""Events of the file system, which make the next look come sooner."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from facehog_core.filesystems import is_network, name_filesystem
from facehog_core.intake import is_temporary_name
from facehog_core.sequence import is_still_name

log = logging.getLogger(__name__)

# Reading a file, as facehog itself does, is no news; nor is that it grows, which a camera's does all day.
_NO_NEWS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE, EVENT_TYPE_MODIFIED)
# Who takes the events off a disk that fails may not come back; seconds.
_STOP_S = 2.0


def _is_part(path: str) -> bool:
    """Say whether a path is part of what is still to become a recording: one image of a folder, or a copy's beginning.

    A camera makes thousands of images, and whoever copies them as many temporary files: not each is worth a look.
    """
    name = Path(path).name
    return is_still_name(name) or is_temporary_name(name)


class Events(FileSystemEventHandler):
    """Calls back when something happens in a folder on a local disk.

    On network file systems the system tells of our own changes alone: there the looks have to do.

    Parameters
    ----------
    folder : Path
    callback : callable
    """

    def __init__(self, folder: Path, callback: Callable[[], None]) -> None:
        self._folder = folder
        self._callback = callback
        self._observer = Observer()
        self._observer.start()
        self._watched: tuple[int, int] | None = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take an event from the system."""
        if event.event_type not in _NO_NEWS and not _is_part(os.fsdecode(event.dest_path or event.src_path)):
            self._callback()

    def watch(self) -> None:
        """Watch the folder, anew if it has been removed and made again, or mounted, in the meantime."""
        try:
            found = self._folder.stat()
            place = found.st_dev, found.st_ino
            if self._watched == place:
                return
            self._observer.unschedule_all()
            self._watched = place
            if not is_network(name_filesystem(self._folder)):
                self._observer.schedule(self, str(self._folder), recursive=True)
        except OSError as error:
            self._watched = None
            log.debug("%s: no events: %s", self._folder, error)

    def stop(self) -> None:
        """Watch no more."""
        self._observer.stop()
        self._observer.join(_STOP_S)
