"""Watch the inboxes and ask for a run of each recording that has settled.

What a scan finds, against what the catalogue knows, is the truth. Events of the file system only make the
next look come sooner: shares often send none, and a start, a crash or a full queue loses some.
"""

from __future__ import annotations

import argparse
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.inbox import Inbox
from facehog_core.reconcile import Due, Launcher, take_back, take_up
from facehog_core.schema import Fate
from flows.outage import is_outage

from .backlog import Backlog
from .beats import Heart
from .config_file import load_config
from .launching import bell_beside, make_launcher, wait_for
from .logs import start_log
from .signals import call_on_signals
from .store_room import StoreRoom
from .strays import Strays
from .watcher import SILENT, Watcher

log = logging.getLogger(__name__)

# Between two looks at what waits for its turn, when nobody wakes the sensor; seconds.
TICK_S = 0.5
# How long a watcher may take to end, seconds: one whose share does not answer never does.
PARTING_S = 2.0
# Runs that wait at Prefect for each that may go on: it takes one a second, mostly, and is asked every tick.
QUEUED_PER_RUN = 5
_PREFECT, _STORE, _CATALOGUE = "Prefect", "store", "catalogue"


class Sensor:
    """Watches inboxes, and asks for runs of what is due in them, those that have waited longest first.

    Parameters
    ----------
    inboxes : sequence of Inbox
    catalogue : Catalogue
    launcher : Launcher
        Whoever runs what is asked for.
    interval_s : float
        Between two looks at an inbox, in seconds, when nothing wakes it.
    most_queued : int
        Runs that may wait to begin at the same time; others wait in the catalogue.
    backlog : Backlog, optional
        Folders that are watched like inboxes until all in them have come to their end.
    hold : callable, optional
        Says why no run is to be begun now; None if nothing speaks against it.
    on_look : callable, optional
        Called again and again, with what is wrong with inboxes, by their paths.
    look_for_strays : callable, optional
        Called again and again; see `deployments.strays`.
    """

    def __init__(
        self,
        inboxes: Sequence[Inbox],
        catalogue: Catalogue,
        launcher: Launcher,
        interval_s: float,
        most_queued: int,
        backlog: Backlog | None = None,
        hold: Callable[[], str | None] = lambda: None,
        on_look: Callable[[dict[str, str]], None] = lambda _: None,
        look_for_strays: Callable[[], None] = lambda: None,
    ) -> None:
        self._catalogue = catalogue
        self._launcher = launcher
        self._interval_s = interval_s
        self._most_queued = most_queued
        self._hold = hold
        self._held: str | None = None
        self._on_look = on_look
        self._look_for_strays = look_for_strays
        self._backlog = backlog
        self._wake = threading.Event()
        self._watchers = [self._make_watcher(inbox) for inbox in inboxes]
        self._backfills: dict[Path, Watcher] = {}
        self._waiting: dict[Watcher, list[Due]] = {}
        self._troubles: dict[str, str] = {}
        self._stopped = False

    def run(self) -> None:
        """Watch the inboxes until `stop` is called."""
        for watcher in self._watchers:
            watcher.start()
        try:
            while not self._stopped:
                self._wake.wait(TICK_S)
                self._wake.clear()
                self._tick()
        finally:
            watchers = [*self._watchers, *self._backfills.values()]
            for watcher in watchers:
                watcher.stop()
            for watcher in watchers:
                watcher.join(PARTING_S)

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopped = True
        self._wake.set()

    def _make_watcher(self, inbox: Inbox, *, is_backfill: bool = False) -> Watcher:
        to_look = (self._catalogue, self._launcher, self._interval_s, self._wake.set)
        return Watcher(inbox, *to_look, is_backfill=is_backfill)

    def _see_to_backlog(self) -> None:
        """Watch the folders that are asked for, and no longer those that are done or not asked for any more."""
        if self._backlog is None:
            return
        asked = {inbox.path: inbox for inbox in self._backlog.inboxes()}
        for path, watcher in list(self._backfills.items()):
            is_asked = asked.get(path) is watcher.inbox
            if is_asked and not watcher.is_done:
                continue
            if is_asked:
                log.info("%s: all recordings of it have come to their end", path)
                self._backlog.remove(path)
                del asked[path]
            watcher.stop()
            del self._backfills[path]
            self._waiting.pop(watcher, None)
        for path in asked.keys() - self._backfills.keys():
            self._backfills[path] = watcher = self._make_watcher(asked[path], is_backfill=True)
            watcher.start()

    def _tick(self) -> None:
        troubles, is_news = {}, False
        self._see_to_backlog()
        watchers = [*self._watchers, *self._backfills.values()]
        for watcher in watchers:
            if (dues := watcher.take_dues()) is not None:
                self._waiting[watcher] = dues
                is_news = True
            if trouble := watcher.trouble:
                troubles[str(watcher.inbox.path)] = trouble
                # Runs of recordings that cannot be read would keep others from theirs. The next look finds them anew.
                self._waiting.pop(watcher, None)
        if held := self._hold():
            troubles[_STORE] = held
        is_news |= held != self._held
        self._held = held
        try:
            for watcher in watchers:
                if watcher.trouble == SILENT:
                    take_back(watcher.inbox.path, f"its share {SILENT}", self._catalogue, self._launcher)
            if any(self._waiting.values()) and (is_news or (held is None and self._room() > 0)):
                self._take_up()
            self._look_for_strays()
        except CatalogueError as error:
            troubles[_CATALOGUE] = str(error)
        except Exception as error:
            if not is_outage(error):
                raise
            troubles[_PREFECT] = f"does not take runs: {type(error).__name__}: {error}"
        self._tell(troubles)
        self._on_look(dict(troubles))

    def _room(self) -> int:
        """Return how many runs may be asked for. What others queue who share the catalogue is at their own server."""
        watched = [watcher.inbox.path for watcher in (*self._watchers, *self._backfills.values())]
        return self._most_queued - self._catalogue.count(Fate.QUEUED, under=watched)

    def _take_up(self) -> None:
        """Ask for runs of what waits, as far as there is room."""
        dues = [due for waiting in self._waiting.values() for due in waiting]
        _, rest = take_up(dues, self._catalogue, self._launcher, self._room(), self._held)
        left = {due.file.path: due for due in rest}
        self._waiting = {
            watcher: [left[due.file.path] for due in waiting if due.file.path in left]
            for watcher, waiting in self._waiting.items()
        }

    def _tell(self, troubles: dict[str, str]) -> None:
        """Log each trouble once, and once that it is over."""
        for what, trouble in troubles.items():
            if self._troubles.get(what) != trouble:
                log.warning("%s: %s; tries again every %g s", what, trouble, self._interval_s)
        for what in self._troubles.keys() - troubles.keys():
            log.info("%s: is well again", what)
        self._troubles = troubles


def main() -> None:
    """Read the command line, and watch until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("--owner")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--after", type=Path)
    given = parser.parse_args()
    start_log()
    wait_for(given.after)
    config = load_config(given.config)
    with Catalogue(config.catalogue, create=True, identify=config.identify) as catalogue:
        launcher = make_launcher(config, given.scheduler, given.owner, bell_beside(given.ready_file))
        inboxes, interval_s = config.inboxes(), config.sensor.interval_s
        most_queued, heart = QUEUED_PER_RUN * config.prefect.max_runs, Heart(given.ready_file)
        room = StoreRoom(config.store, catalogue)
        room.start()
        backlog, strays = Backlog(config), Strays(config, catalogue, launcher)
        sensor = Sensor(
            inboxes,
            catalogue,
            launcher,
            interval_s,
            most_queued,
            backlog,
            lambda: room.trouble,
            lambda troubles: heart.go_on(troubles=troubles),
            strays.look,
        )
        call_on_signals(sensor.stop)
        heart.go_on()
        sensor.run()
        room.stop()


if __name__ == "__main__":
    main()
