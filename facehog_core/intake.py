"""Which names in an inbox are recordings, and when a file, or a folder of images, has stood still for long enough.

Nothing here knows who looks, or how a run is asked for. A file is settled when its size, time and inode have
stood still for a while by our own clock: the clock of a share may be wrong, and events of a share may never
come. A folder of images is settled when all of its images have.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

__all__ = ["Looks", "is_recording_name", "is_temporary_name"]

log = logging.getLogger(__name__)

# Names that copying programs give to what they have not finished (rsync, browsers, WinSCP, editors).
TEMPORARY = (
    "*.part", "*.partial", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "*.download", "*.incomplete", "*~", ".*",
    "~*",
)  # fmt: skip

# How the name of the file ends that says what is to be done to the recording beside it.
SIDECARS = (".facehog.toml", ".facehog.json")


@dataclass(slots=True)
class Looks:
    """Remembers since when each file has looked as it does.

    Parameters
    ----------
    settle_s : float
        How long a file must stand still, in seconds.
    """

    settle_s: float
    _since: dict[str, tuple[object, float]] = field(default_factory=dict)
    _judged: dict[str, object] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def is_settled(self, path: str, signature: object, began_s: float, ended_s: float) -> bool:
        """Take a look into account, and say whether the file has stood still for long enough.

        Parameters
        ----------
        path : str
        signature : object
            What it looks like now; anything that is equal as long as nothing changes.
        began_s, ended_s : float
            When the look at all files began and ended, by a monotonic clock in seconds: a share may take its time, and
            when within it this file was looked at nobody knows.
        """
        before = self._since.get(path)
        if before is None or before[0] != signature:
            self._since[path] = signature, ended_s
            return self.settle_s <= 0
        return began_s - before[1] >= self.settle_s

    def start_anew(self) -> None:
        """Let all files stand still anew: while nobody can look at them, whoever writes them may rest as well."""
        self._since.clear()

    def is_judged(self, path: str, told: object) -> bool:
        """Say whether a file that was refused has been judged by the same facts before; note them if not."""
        if self._judged.get(path) == told:
            return True
        self._judged[path] = told
        return False

    def forget_judgement(self, path: str) -> None:
        """Judge a file anew at the next look: this time its facts could not be had."""
        self._judged.pop(path, None)

    def forget_all_but(self, paths: Container[str]) -> None:
        """Forget files that are gone or at rest, so that the memory does not grow for ever."""
        self._since = {path: look for path, look in self._since.items() if path in paths}
        self._judged = {path: told for path, told in self._judged.items() if path in paths}

    def tell_once(self, message: str) -> None:
        """Log what was seen, unless an earlier look has."""
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def is_recording_name(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a file name matches a pattern and is neither a temporary one nor a sidecar's."""
    lower = name.lower()
    return _matches(lower, tuple(patterns)) and not lower.endswith(SIDECARS) and not _matches(lower, TEMPORARY)


def is_temporary_name(name: str) -> bool:
    """Say whether a file name is one of those that copying programs give."""
    return _matches(name.lower(), TEMPORARY)


def _matches(lower: str, patterns: tuple[str, ...]) -> bool:
    return _compile(patterns).match(lower) is not None


@lru_cache(maxsize=64)
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Make one expression of all patterns: of 10,000 names each is matched at each look."""
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns))
