"""Whether runs in progress go on, stand still or have died: who holds their locks, and when each showed life."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from .catalogue import Catalogue
from .effort import Effort
from .locks import is_held
from .path_text import as_text, as_typed
from .provenance import RunRecord, describe_host
from .run_paths import RunPaths
from .schema import Fate

# A run shows no life while its recording is read, before it is described and after: 180 GB at 100 MB/s take so long.
STILL_AFTER = timedelta(minutes=30)


class Vigour(StrEnum):
    """What a run in progress is like."""

    ALIVE = "alive"
    STILL = "still"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is seen of a run in progress.

    Parameters
    ----------
    path : Path
        The recording.
    doing : str
        What it is at, in words.
    since : datetime
        Since when.
    sign_at : datetime
        Its last sign of life: that step, or frames that came to the disk after it.
    is_held : bool
        Whether a process works on it, be it slow or stopped.
    is_seen : bool
        Whether what it writes can be seen from here: a machine that shares the catalogue may have its stores elsewhere.
    """

    path: Path
    doing: str
    since: datetime
    sign_at: datetime
    is_held: bool
    is_seen: bool

    def silent_for(self, at: datetime) -> timedelta:
        """Return how long it has shown no life, at a moment; none by a clock that was set back since."""
        return max(at - self.sign_at, timedelta())

    def vigour(self, at: datetime) -> Vigour:
        """Say what it is like at a moment."""
        if not self.is_held:
            return Vigour.DEAD
        return Vigour.STILL if self.is_seen and self.silent_for(at) > STILL_AFTER else Vigour.ALIVE

    def tell(self, at: datetime) -> str:
        """Say it in words."""
        silent = _tell_span(self.silent_for(at))
        match self.vigour(at):
            case Vigour.DEAD:
                return f"its process is gone, {silent} after its last sign of life; `facehog up` goes on with it"
            case Vigour.STILL:
                return f"no sign of life for {silent}; its process is there, and is stopped or waits"
            case _ if not self.is_seen:
                return "its process is there; what it writes is not seen from here"
            case _:
                return f"last sign of life {silent} ago"

    def as_dict(self, at: datetime) -> dict[str, str]:
        """Return it as JSON values."""
        return {
            "path": as_text(self.path),
            "doing": self.doing,
            "since": self.since.isoformat(timespec="seconds"),
            "sign_at": self.sign_at.isoformat(timespec="seconds"),
            "vigour": self.vigour(at),
            "told": self.tell(at),
        }


def check_vitals(catalogue: Catalogue, store: Path) -> list[Vitals]:
    """Look at the runs in progress, those first that have shown no life for longest.

    Parameters
    ----------
    catalogue : Catalogue
    store : Path
        Folder of all stores. No recording is looked at: its share may hang.
    """
    found = (_look_at(catalogue, store, record) for record in catalogue.records(f"state={Fate.RUNNING}"))
    return sorted(filter(None, found), key=lambda vitals: vitals.sign_at)


def _look_at(catalogue: Catalogue, store: Path, record: RunRecord) -> Vitals | None:
    held = is_held(catalogue.location, str(record.path))
    # Only then: a run that ends notes it before it lets go, and is not dead.
    file = catalogue.file(record.path)
    if file is None or file.state is not Fate.RUNNING:
        return None
    begun = list(_find_begun(store, record))
    return Vitals(
        path=record.path,
        doing=record.reason,
        since=record.changed_at,
        sign_at=max([record.changed_at, *(at for paths in begun for at in _last_shard(paths))]),
        is_held=held,
        is_seen=bool(begun) or record.run_id is None or record.host.get("name") == describe_host()["name"],
    )


def _find_begun(store: Path, record: RunRecord) -> Iterator[RunPaths]:
    """Yield where a run writes, if that is there."""
    # A folder of images is called as it is: to see which it is would mean to look at the share.
    for name in {as_typed(record.path.stem), as_typed(record.path.name)}:
        paths = RunPaths(root=store, recording=name, run_id=record.run_id or "unknown")
        if paths.partial.is_dir():
            yield paths


def _last_shard(paths: RunPaths) -> Iterator[datetime]:
    """Yield when the last frames came to the disk, by the clock of the worker that wrote them, if that can be read."""
    # The run may end, and be tidied up, at any time.
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        newest = max(paths.receipts.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        effort = Effort(**json.loads(newest.read_text("utf-8"))["effort"])
        yield datetime.fromtimestamp(effort.ended_at, UTC)


def _tell_span(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    if seconds < 100:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} minutes" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
