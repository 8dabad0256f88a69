"""Watch whether the store's disk has room, in a thread of its own: it may be on a share that does not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from facehog_core.catalogue import Catalogue
from facehog_core.disk import measure_room
from facehog_core.errors import CatalogueError
from facehog_core.store_root import FACT, is_missing

# Between two looks, seconds.
LOOK_S = 2.0
# How long a disk may take to answer, seconds.
ANSWER_S = 30.0


class StoreRoom(threading.Thread):
    """Looks again and again how much room there is.

    Parameters
    ----------
    store : Path
        Folder of all stores.
    catalogue : Catalogue
        Knows which there are.
    """

    def __init__(self, store: Path, catalogue: Catalogue) -> None:
        super().__init__(name="store room", daemon=True)
        self.store = store
        self._catalogue = catalogue
        self._asked_at_s: float | None = None
        self._trouble: str | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until `stop` is called."""
        while not self._stopped.is_set():
            self._asked_at_s = time.monotonic()
            try:
                self._trouble = self._find_trouble()
            except CatalogueError as error:
                self._trouble = str(error)
            except OSError as error:
                self._trouble = f"the store's disk cannot be looked at ({error.strerror}): waits for it"
            self._asked_at_s = None
            self._stopped.wait(LOOK_S)

    def _find_trouble(self) -> str | None:
        if is_missing(self.store, self._catalogue):
            return f"{self.store}: {FACT}"
        return "the store's disk is full: waits for room" if measure_room(self.store) <= 0 else None

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    @property
    def trouble(self) -> str | None:
        """Why no run is to be begun now; None if there is room."""
        asked_at_s = self._asked_at_s
        if asked_at_s is not None and time.monotonic() - asked_at_s > ANSWER_S:
            return "the store's disk does not answer: waits for it"
        return self._trouble
