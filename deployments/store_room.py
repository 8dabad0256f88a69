"""Watch whether the store's disk has room, in a thread of its own: it may be on a share that does not answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from facehog_core.disk import measure_room

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
    """

    def __init__(self, store: Path) -> None:
        super().__init__(name="store room", daemon=True)
        self.store = store
        self._asked_at_s: float | None = None
        self._trouble: str | None = None
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until `stop` is called."""
        while not self._stopped.is_set():
            self._asked_at_s = time.monotonic()
            try:
                is_full = measure_room(self.store) <= 0
                self._trouble = "the store's disk is full: waits for room" if is_full else None
            except OSError as error:
                self._trouble = f"the store's disk cannot be looked at ({error.strerror}): waits for it"
            self._asked_at_s = None
            self._stopped.wait(LOOK_S)

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
