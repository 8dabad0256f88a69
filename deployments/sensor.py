"""Watch the inboxes and ask for a run of each recording that has settled.

What a scan finds, against what the catalogue knows, is the truth. Events of the file system only make the
next look come sooner: shares often send none, and a start, a crash or a full queue loses some.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from facehog_core.catalogue import Catalogue
from facehog_core.filesystems import is_network, name_filesystem
from facehog_core.intake import Looks, is_temporary_name
from facehog_core.reconcile import Inbox, Launcher, reconcile
from facehog_core.schema import Fate
from facehog_core.sequence import is_still_name
from flows.outage import is_outage

from .beats import beat
from .config_file import load_config
from .runner import bell_beside, make_launcher, start_log

log = logging.getLogger(__name__)

# After an event, so that a burst of them makes one look; seconds.
GATHER_S = 0.2
# Reading a file, as facehog itself does, is no news; nor is that it grows, which a camera's does all day.
_NO_NEWS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE, EVENT_TYPE_MODIFIED)


class Sensor:
    """Looks at inboxes again and again.

    Parameters
    ----------
    inboxes : sequence of Inbox
    catalogue : Catalogue
    launcher : Launcher
        Whoever runs what is asked for.
    interval_s : float
        Between two looks, in seconds, when nothing wakes it.
    on_look : callable, optional
        Called after each look, with what is wrong with inboxes, by their paths.
    """

    def __init__(
        self,
        inboxes: Sequence[Inbox],
        catalogue: Catalogue,
        launcher: Launcher,
        interval_s: float,
        on_look: Callable[[dict[str, str]], None] = lambda _: None,
    ) -> None:
        self._inboxes = inboxes
        self._catalogue = catalogue
        self._launcher = launcher
        self._interval_s = interval_s
        self._on_look = on_look
        self._looks = {inbox.path: Looks(inbox.settle_s) for inbox in inboxes}
        self._troubles: dict[Path, str] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look at the inboxes until `stop` is called."""
        events = _Events(self._wake.set)
        try:
            while not self._stopped.is_set():
                self._wake.clear()
                for inbox in self._inboxes:
                    self._look(inbox)
                    events.watch(inbox.path)
                self._on_look({str(inbox): trouble for inbox, trouble in self._troubles.items()})
                if self._wake.wait(self._pause_s()):
                    self._stopped.wait(GATHER_S)
        finally:
            events.stop()

    def stop(self) -> None:
        """Make `run` return after the look that it is at."""
        self._stopped.set()
        self._wake.set()

    def _look(self, inbox: Inbox) -> None:
        try:
            reconcile(inbox, self._catalogue, self._looks[inbox.path], self._launcher, time.monotonic())
        except OSError as error:
            self._note_trouble(inbox.path, f"cannot be looked at: {error.strerror or error}")
        except Exception as error:
            if not is_outage(error):
                raise
            self._note_trouble(inbox.path, f"Prefect does not take runs: {type(error).__name__}: {error}")
        else:
            self._note_trouble(inbox.path, None)

    def _note_trouble(self, inbox: Path, trouble: str | None) -> None:
        """Log what is wrong with an inbox once, and once that it is over."""
        before = self._troubles.get(inbox)
        if trouble == before:
            return
        if trouble is None:
            del self._troubles[inbox]
            log.info("%s: is well again", inbox)
        else:
            self._troubles[inbox] = trouble
            log.warning("%s: %s; tries again every %g s", inbox, trouble, self._interval_s)

    def _pause_s(self) -> float:
        """Return how long to sleep: less where a file waits to have stood still for long enough."""
        if any(file.state is Fate.WAITING for file in self._catalogue.files().values()):
            settles_s = min(inbox.settle_s for inbox in self._inboxes)
            return min(self._interval_s, max(settles_s / 4, GATHER_S))
        return self._interval_s


def _is_part(path: str) -> bool:
    """Say whether a path is part of what is still to become a recording: one image of a folder, or a copy's beginning.

    A camera makes thousands of images, and whoever copies them as many temporary files: not each is worth a look.
    """
    name = Path(path).name
    return is_still_name(name) or is_temporary_name(name)


class _Events(FileSystemEventHandler):
    """Calls back when something happens in a folder on a local disk.

    On network file systems the system tells of our own changes alone: there the looks have to do.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._observer = Observer()
        self._observer.start()
        self._watched: dict[Path, int] = {}

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in _NO_NEWS and not _is_part(os.fsdecode(event.dest_path or event.src_path)):
            self._callback()

    def watch(self, folder: Path) -> None:
        """Watch a folder, anew if it has been removed and made again in the meantime."""
        try:
            inode = folder.stat().st_ino
            if self._watched.get(folder) == inode or is_network(name_filesystem(folder)):
                return
            self._observer.unschedule_all()
            self._watched[folder] = inode
            for known in self._watched:
                self._observer.schedule(self, str(known), recursive=True)
        except OSError as error:
            self._watched.pop(folder, None)
            log.debug("%s: no events: %s", folder, error)

    def stop(self) -> None:
        self._observer.stop()
        self._observer.join()


def _tell(file: Path, troubles: dict[str, str]) -> None:
    beat(file, troubles=troubles)


def main() -> None:
    """Read the command line, and watch until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    start_log()
    config = load_config(given.config)
    with Catalogue(config.catalogue, create=True, identify=config.identify) as catalogue:
        launcher = make_launcher(config, given.scheduler, bell_beside(given.ready_file))
        inboxes, interval_s = config.inboxes(), config.sensor.interval_s
        sensor = Sensor(inboxes, catalogue, launcher, interval_s, partial(_tell, given.ready_file))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sensor.stop())
        beat(given.ready_file)
        sensor.run()


if __name__ == "__main__":
    main()
