"""A copy of a catalogue that is on a server: Datasette reads SQLite alone."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from facehog_core.archive import back_up
from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.errors import CatalogueError
from facehog_core.provenance import now

log = logging.getLogger(__name__)

# Between two looks whether something was written, seconds.
LOOK_S = 5.0
# The server is to be busy with copies no more than a tenth of the time.
MOST_BUSY = 0.1


class Copy:
    """A SQLite file that follows a catalogue, some seconds behind it.

    Parameters
    ----------
    catalogue : Catalogue
    url : str
        Where that is.
    path : Path
        The file.
    """

    def __init__(self, catalogue: Catalogue, url: str, path: Path) -> None:
        self._catalogue, self._url, self.path = catalogue, url, path
        self._stamp: int | None = None
        self.made_at: datetime = now()
        self.trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="copy", daemon=True)
        self.renew()

    def renew(self) -> None:
        """Copy what was written since it was last done, if something was."""
        stamp, began_at = self._catalogue.stamp(), now()
        if stamp == self._stamp:
            return
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            new = Path(folder) / "new.db"
            back_up(self._url, new)
            # In one piece: who reads meanwhile sees the one before, and then this one.
            with closing(sqlite3.connect(new)) as source, closing(sqlite3.connect(self.path)) as target:
                source.backup(target)
        self._stamp, self.made_at = stamp, began_at

    def tell(self) -> str:
        """Say what it is, how old, and why if that is not meant."""
        when = f"{self.made_at.astimezone():%Y-%m-%d %H:%M:%S}"
        return f"a copy of {Database(self._url).name}, made at {when}" + (f" ({self.trouble})" if self.trouble else "")

    def __enter__(self) -> Copy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        rest_s = LOOK_S
        while not self._stop.wait(rest_s):
            began_s = time.monotonic()
            try:
                self.renew()
                self.trouble = ""
            except (CatalogueError, sqlite3.Error, OSError) as error:
                self.trouble = str(error)
                log.warning("the copy that is shown grows old: %s", error)
            rest_s = max(LOOK_S, (time.monotonic() - began_s) / MOST_BUSY)
