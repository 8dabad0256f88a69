"""Watch one inbox, in a thread of its own: a share that does not answer keeps nobody waiting but its own watcher."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.files import FileRecord
from facehog_core.inbox import Inbox
from facehog_core.lookout import Lookout
from facehog_core.reconcile import Due, Launcher, Life, RunRequest
from flows.outage import is_outage

from .events import Events

log = logging.getLogger(__name__)

# After an event, so that a burst of them makes one look; seconds.
GATHER_S = 0.2
# How long a share may take for one answer, seconds. An NFS server that is restarted takes as long.
ANSWER_S = 30.0
# Of one core: what looking may take where nothing is new, and where something has still to settle.
CALM_SHARE, BUSY_SHARE = 0.008, 0.05
# How often an interval may be stretched for that: a recording is not to wait for minutes.
MOST_INTERVALS = 6
SILENT = "does not answer; nothing is concluded from that, and the other inboxes go on"


class Watcher(threading.Thread):
    """Looks at an inbox again and again.

    Parameters
    ----------
    inbox : Inbox
    catalogue : Catalogue
    launcher : Launcher
        Is asked how runs fare.
    interval_s : float
        Between two looks, in seconds, when nothing wakes it.
    on_look : callable
        Called after each look.
    is_backfill : bool, optional
        Whether it is watched until all in it have come to their end.
    """

    def __init__(
        self,
        inbox: Inbox,
        catalogue: Catalogue,
        launcher: Launcher,
        interval_s: float,
        on_look: Callable[[], None],
        *,
        is_backfill: bool = False,
    ) -> None:
        # A thread that waits for a share that never answers must not keep the process from its end.
        super().__init__(name=f"watch {inbox.path}", daemon=True)
        self.inbox = inbox
        self._lookout = Lookout(inbox, catalogue, beat=self._beat, is_backfill=is_backfill)
        self._launcher = _Unhurried(launcher, self._rest)
        self._interval_s = interval_s
        self._on_look = on_look
        self._asked_at_s: float | None = None
        self._trouble: str | None = None
        self._dues: list[Due] | None = None
        self._wake = threading.Event()
        self._stopped = False

    def run(self) -> None:
        """Look at the inbox until `stop` is called."""
        while not self._stopped:
            try:
                self._go_on()
            except Exception as error:
                # Nobody thought of it. It may pass, and other inboxes must not wait for that.
                log.exception("%s: cannot be watched", self.inbox.path)
                self._trouble = f"cannot be looked at: {type(error).__name__}: {error}"
                self._rest()
                self._on_look()
                self._wake.wait(self._interval_s)

    def _go_on(self) -> None:
        events = Events(self.inbox.path, self._wake.set)
        try:
            while not self._stopped:
                self._wake.clear()
                began_s = time.thread_time()
                self._look()
                self._beat()
                events.watch()
                self._rest()
                took_s = time.thread_time() - began_s
                if self._wake.wait(self._pause_s(took_s)) and not self._stopped:
                    time.sleep(max(GATHER_S, took_s / BUSY_SHARE))
        finally:
            events.stop()

    def stop(self) -> None:
        """Make the thread end after the look that it is at."""
        self._stopped = True
        self._wake.set()

    def take_dues(self) -> list[Due] | None:
        """Return what the last look found due, once; None if there was no look since."""
        dues, self._dues = self._dues, None
        return dues

    @property
    def trouble(self) -> str | None:
        """What is wrong with the inbox now."""
        asked_at_s = self._asked_at_s
        if asked_at_s is not None and time.monotonic() - asked_at_s > ANSWER_S:
            return SILENT
        return self._trouble

    @property
    def is_done(self) -> bool:
        """Whether the last look found nothing of which anything is still to be expected."""
        return self._lookout.is_done

    def _beat(self) -> None:
        self._asked_at_s = time.monotonic()

    def _rest(self) -> None:
        self._asked_at_s = None

    def _look(self) -> None:
        try:
            self._dues = self._lookout.look(self._launcher)
        except OSError as error:
            place = "" if error.filename in (None, str(self.inbox.path)) else f"{error.filename}: "
            self._trouble = f"cannot be looked at: {place}{error.strerror or error}"
        except CatalogueError as error:
            self._trouble = f"is not looked at: {error}"
        except Exception as error:
            if not is_outage(error):
                raise
            self._trouble = f"Prefect does not tell how runs fare: {type(error).__name__}: {error}"
        else:
            self._trouble = self._lookout.trouble
        self._rest()
        self._on_look()

    def _pause_s(self, took_s: float) -> float:
        """Return how long to sleep: less where a file has still to stand still."""
        if self._trouble is None and self._lookout.is_settling:
            settles_s = max(self.inbox.settle_s / 4, GATHER_S, took_s / BUSY_SHARE)
            return min(settles_s, self._interval_s)
        return min(max(self._interval_s, took_s / CALM_SHARE), MOST_INTERVALS * self._interval_s)


class _Unhurried:
    """A launcher that tells when it is asked: what it takes is not the share's fault."""

    def __init__(self, launcher: Launcher, before: Callable[[], None]) -> None:
        self._launcher = launcher
        self._before = before

    def request(self, request: RunRequest) -> str:
        self._before()
        return self._launcher.request(request)

    def life_of(self, file: FileRecord) -> Life:
        self._before()
        return self._launcher.life_of(file)

    def withdraw(self, file: FileRecord) -> None:
        self._before()
        self._launcher.withdraw(file)
