"""How the service is: its parts, what waits, what failed, and how much space there is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from facehog_core.catalogue import Catalogue
from facehog_core.disk import find_existing
from facehog_core.errors import CatalogueError
from facehog_core.path_text import as_text
from facehog_core.patience import Patient
from facehog_core.provenance import now
from facehog_core.schema import Fate
from facehog_core.story import StoryEvent
from facehog_core.vitals import Vigour, check_vitals

from .config import Config
from .pulse import Condition

# What is said of a service until all its parts were of use once.
STARTING = "facehog is still starting"
# A store takes 25 kB a frame at the default parameters: 1 GB is 40,000 frames.
LITTLE_SPACE_BYTES = 5 * 10**9
# How long the store's disk may take to answer, seconds.
ANSWER_S = 5.0
# Failures are counted so far back.
A_DAY = timedelta(days=1)
# So long no run may begin or end while recordings are queued. A host of the runner takes seconds to take one.
STANDSTILL = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the service: a process of it, or a server that it uses.

    Parameters
    ----------
    name : str
    condition : Condition
    n_restarts : int
        How often it had to be started again since the service is up.
    pid : int or None
        None for a server that is not the service's own.
    facts : mapping
        What it says of itself: ``workers`` of the cluster, ``last_look_s`` (how long ago) of the sensor and the runner,
        ``troubles`` of the sensor (what is wrong with an inbox, by its path).
    """

    name: str
    condition: Condition
    n_restarts: int = 0
    pid: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Say what is wrong with it."""
        if self.condition is not Condition.WELL:
            return [f"{self.name}: {_CONDITIONS[self.condition]}"]
        problems = [f"{self.name}: there are no workers"] if self.facts.get("workers") == 0 else []
        return problems + [f"inbox {inbox}: {trouble}" for inbox, trouble in self.facts.get("troubles", {}).items()]


_CONDITIONS = {
    Condition.STARTING: "is starting",
    Condition.SILENT: "does not answer",
    Condition.ENDED: "has ended, and is started again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the catalogue says of recordings.

    Parameters
    ----------
    n_waiting, n_queued, n_running : int
    n_stuck : int
        Of those that are queued, how many wait though no run has begun or ended for long.
    n_failed, n_quarantined : int
        Within the last day.
    n_wrong : int
        Runs that verification has found wrong, in their store or their recording, and that nobody has mended since.
    oldest_waiting : dict or None
        ``path``, ``since`` and ``reason`` of the file that waits longest.
    running : list of dict
        `facehog_core.vitals.Vitals.as_dict` of each run in progress, those first that have shown no life for longest;
        empty if the store's disk cannot be looked at.
    """

    n_waiting: int = 0
    n_queued: int = 0
    n_running: int = 0
    n_stuck: int = 0
    n_failed: int = 0
    n_quarantined: int = 0
    n_wrong: int = 0
    oldest_waiting: dict[str, str] | None = None
    running: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the service is.

    Parameters
    ----------
    at : str
        When it was looked at.
    is_up : bool
    is_well : bool
        Whether there are no problems.
    problems : list of str
        What is wrong, in words.
    parts : list of Part
    files : Files
    free_bytes : int or None
        On the disk of the store; None if it cannot be looked at.
    """

    at: str
    is_up: bool
    is_well: bool
    problems: list[str]
    parts: list[Part]
    files: Files
    free_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Health:
        """Read what `as_dict` returned."""
        parts = [Part(**part | {"condition": Condition(part["condition"])}) for part in values["parts"]]
        return cls(**{**values, "parts": parts, "files": Files(**values["files"])})


def measure_health(
    config: Config,
    parts: list[Part],
    *,
    is_up: bool,
    problems: list[str] | None = None,
    disk: StoreDisk | None = None,
) -> Health:
    """Look at catalogue and disk, and join it with what is known of the parts.

    Parameters
    ----------
    config : Config
    parts : list of Part
    is_up : bool
    problems : list of str, optional
        What is known to be wrong already.
    disk : StoreDisk, optional
        For whoever asks again and again.
    """
    found, disk = list(problems or []), disk or StoreDisk(config)
    for part in parts:
        found += part.problems()
    try:
        files = _count_files(config, disk)
    except CatalogueError as error:
        files = Files()
        found.append(str(error))
    if files.n_stuck:
        long = f"{STANDSTILL.total_seconds() / 60:.0f} minutes"
        found.append(f"runner: {files.n_stuck} recordings are queued, and no run has begun for {long}; see runner.log")
    # Where others go on, one that stands still may wait for the workers that they have.
    is_any_alive = any(run["vigour"] == Vigour.ALIVE for run in files.running)
    troubled = {Vigour.DEAD} if is_any_alive else {Vigour.DEAD, Vigour.STILL}
    found += [f"{run['path']}: {run['told']}" for run in files.running if run["vigour"] in troubled]
    if files.n_wrong:
        runs = "run was" if files.n_wrong == 1 else "runs were"
        found.append(f"verification: {files.n_wrong} {runs} found wrong; see `facehog find verdict=wrong`")
    free_bytes = disk.free()
    if free_bytes is None:
        found.append(f"store {config.store}: its disk cannot be looked at")
    elif free_bytes < LITTLE_SPACE_BYTES:
        found.append(f"store {config.store}: {free_bytes / 1e9:.1f} GB are free")
    return Health(
        at=now().isoformat(timespec="seconds"),
        is_up=is_up,
        is_well=not found,
        problems=found,
        parts=parts,
        files=files,
        free_bytes=free_bytes,
    )


def _count_files(config: Config, disk: StoreDisk) -> Files:
    if config.catalogue_file and not config.catalogue_file.exists():
        return Files()
    with Catalogue(config.catalogue) as catalogue:
        lately = now() - A_DAY
        oldest, n_queued = catalogue.oldest(Fate.WAITING), catalogue.count(Fate.QUEUED)
        return Files(
            n_waiting=catalogue.count(Fate.WAITING),
            n_queued=n_queued,
            n_running=catalogue.count(Fate.RUNNING),
            n_stuck=n_queued if _stands_still(catalogue) else 0,
            n_failed=catalogue.count(Fate.FAILED, lately),
            n_quarantined=catalogue.count(Fate.QUARANTINED, lately),
            n_wrong=catalogue.count_wrong(),
            oldest_waiting=_describe(*oldest) if oldest else None,
            running=disk.vitals(),
        )


def _stands_still(catalogue: Catalogue) -> bool:
    since, oldest = now() - STANDSTILL, catalogue.oldest(Fate.QUEUED)
    if oldest is None or oldest[1].at > since or catalogue.count(Fate.RUNNING):
        return False
    return not any(catalogue.count(state, since) for state in Fate if state.is_settled)


def _describe(path: Path, event: StoryEvent) -> dict[str, str]:
    return {"path": as_text(path), "since": event.at.isoformat(timespec="seconds"), "reason": event.reason}


def measure_free(place: Path) -> int | None:
    """Return how much space there is where a folder is, or is going to be, in bytes; None if that cannot be known."""
    try:
        return shutil.disk_usage(find_existing(place)).free
    except OSError:
        return None


class StoreDisk:
    """Asks the disk of the stores, and waits no longer than one can for a share that hangs.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self._free = Patient(ANSWER_S, lambda: measure_free(config.store))
        self._vitals = Patient(ANSWER_S, lambda: _read_vitals(config))

    def free(self) -> int | None:
        """Return how much space there is, in bytes; None if that cannot be known."""
        try:
            return self._free()
        except TimeoutError:
            return None

    def vitals(self) -> list[dict[str, str]]:
        """Return what is seen of the runs in progress; nothing if that cannot be known."""
        try:
            return self._vitals()
        except OSError:  # It takes too long, or fails.
            return []


def _read_vitals(config: Config) -> list[dict[str, str]]:
    with Catalogue(config.catalogue) as catalogue:
        return [vitals.as_dict(now()) for vitals in check_vitals(catalogue, config.store)]
