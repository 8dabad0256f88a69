"""Folders of recordings that are to be described once: like inboxes, until all in them have come to their end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from facehog_core.disk import write_durably
from facehog_core.errors import ConfigError
from facehog_core.inbox import Inbox
from facehog_core.path_text import as_text, from_text

from .config import Config

# After what lands in inboxes.
USUAL_PRIORITY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A folder whose recordings are to be described.

    Parameters
    ----------
    path : str
        As `facehog_core.path_text` writes it.
    priority : int, optional
        Against inboxes, which have 0 unless it is set.
    """

    path: str
    priority: int = USUAL_PRIORITY


class Backlog:
    """The folders that were asked for, each in a small file: whoever asks and whoever watches share nothing else.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder = config.state_dir / "backlog"
        self._read: dict[str, Inbox] = {}

    def add(self, backfill: Backfill) -> None:
        """Ask for a folder; asking again sets its priority anew.

        Raises
        ------
        ConfigError
            If it is no folder, or an inbox has to do with it.
        """
        path = Path(from_text(backfill.path))
        if not path.is_dir():
            raise ConfigError(path, "it is no folder", "Name one that holds recordings, or `facehog process` a file.")
        for box in self._config.inbox:
            if path.is_relative_to(box.path) or box.path.is_relative_to(path):
                fact = f"it is, or holds, or is within the inbox {box.path}"
                raise ConfigError(path, fact, "What is in an inbox is found by itself: see `facehog find`.")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._file_of(path), json.dumps(asdict(backfill)))

    def remove(self, path: Path) -> bool:
        """Ask for a folder no more, and say whether it was asked for."""
        file = self._file_of(path)
        is_there = file.exists()
        file.unlink(missing_ok=True)
        return is_there

    def inboxes(self) -> list[Inbox]:
        """Return the folders as inboxes: with what the first inbox says of everything else."""
        try:
            files = sorted(file for file in self._folder.iterdir() if file.suffix == ".json")
        except FileNotFoundError:
            return []
        known, self._read = self._read, {}
        for file in files:
            # Read when it is new or was changed, and not at each look.
            key = f"{file.name} {file.stat().st_mtime_ns}"
            self._read[key] = known.get(key) or self._make_inbox(json.loads(file.read_text("utf-8")))
        return list(self._read.values())

    def _make_inbox(self, told: dict[str, Any]) -> Inbox:
        backfill = Backfill(**told)
        return replace(self._config.inboxes()[0], path=Path(from_text(backfill.path)), priority=backfill.priority)

    def _file_of(self, path: Path) -> Path:
        return self._folder / f"{xxhash.xxh3_64_hexdigest(as_text(path).encode())}.json"


def list_watched(config: Config) -> list[Path]:
    """Return the folders whose recordings are taken up by themselves: the inboxes, and those that are asked for."""
    return [box.path for box in config.inbox] + [inbox.path for inbox in Backlog(config).inboxes()]


def is_watched(path: Path, config: Config) -> bool:
    """Say whether a recording is taken up by itself."""
    return any(map(path.is_relative_to, list_watched(config)))
