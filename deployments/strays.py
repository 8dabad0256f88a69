"""Files for which nobody will do anything any more: they are not left waiting, queued or running for ever.

Nobody looks at a file outside of inboxes and of folders that are asked for: one that was processed from Prefect's UI,
say, or whose inbox was taken out of facehog.toml.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from facehog_core.catalogue import Catalogue
from facehog_core.files import FileRecord
from facehog_core.path_text import from_text
from facehog_core.reconcile import NOT_ASKED_FOR, Launcher, Life
from facehog_core.schema import Fate

from .backlog import list_watched
from .config import Config

log = logging.getLogger(__name__)

# Between two looks, seconds. What is a stray at two of them is one: `facehog process` ends in between.
LOOK_S = 60.0
_UNFINISHED = "state=waiting,queued,running"
_DIED = "its run died without a word, and no inbox holds it; `facehog process` goes on with what is not done yet"


class Strays:
    """Looks for such files, and says that they have failed.

    Parameters
    ----------
    config : Config
    catalogue : Catalogue
    launcher : Launcher
        Is asked how runs fare.
    clock : callable, optional
        Returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        launcher: Launcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._catalogue = catalogue
        self._launcher = launcher
        self._clock = clock
        self._look_at_s = clock()
        self._seen: dict[Path, FileRecord] = {}

    def look(self) -> None:
        """Look, if it is time to."""
        # The catalogue of a server may be that of other machines, of whose inboxes nobody knows here.
        if self._config.catalogue_file is None or self._clock() < self._look_at_s:
            return
        self._look_at_s = self._clock() + LOOK_S
        before, self._seen = self._seen, self._find()
        for path, file in self._seen.items():
            if before.get(path) == file:
                reason = NOT_ASKED_FOR if file.state is Fate.WAITING else _DIED
                log.warning("%s: %s", path, reason)
                self._catalogue.set_fate(path, Fate.FAILED, reason, only_from=file)

    def _find(self) -> dict[Path, FileRecord]:
        watched = list_watched(self._config)
        unfinished = (Path(from_text(path)) for (path,) in self._catalogue.rows(_UNFINISHED, columns=("path",)))
        outside = [path for path in unfinished if not any(map(path.is_relative_to, watched))]
        files = [file for path in outside if (file := self._catalogue.file(path)) and not file.state.is_settled]
        return {file.path: file for file in files if self._launcher.life_of(file) is not Life.ALIVE}
