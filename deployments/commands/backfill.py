"""Have a folder of old recordings described."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from facehog_core.catalogue import Catalogue
from facehog_core.disk import measure_room
from facehog_core.errors import ConfigError
from facehog_core.files import Glance
from facehog_core.pace import PastPace, measure_pace
from facehog_core.path_text import as_text
from facehog_core.provenance import now
from facehog_core.reconcile import NOT_ASKED_FOR
from facehog_core.scan import scan_inbox
from facehog_core.schema import Fate

from ..backlog import USUAL_PRIORITY, Backfill, Backlog
from ..config import Config
from ..display import aside, console, print_json
from .common import ConfigOption, JsonOption, configure, find_service, normalise

# Runs that are older say little of this machine, and of how it is set up now.
LOOK_BACK = timedelta(days=90)
MOST_RUNS = 1000
_OPEN = (Fate.WAITING, Fate.QUEUED, Fate.RUNNING)


def backfill(
    folder: Annotated[Path, typer.Argument(help="Recordings that lie outside of every inbox.", metavar="DIR")],
    priority: Annotated[
        int, typer.Option(help="Inboxes have 0: above that, these recordings come before new ones.", metavar="N")
    ] = USUAL_PRIORITY,
    cancel: Annotated[bool, typer.Option("--cancel", help="Ask for it no more; runs under way go on.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have all recordings of a folder described, oldest first, and estimate what that takes.

    The service does it, as the first inbox says; it may be down meanwhile, and goes on when it is up.
    """
    loaded, _ = configure(config)
    path, backlog = normalise(folder), Backlog(loaded)
    if cancel:
        _cancel(path, backlog, loaded)
        return
    backlog.add(Backfill(path=as_text(path), priority=priority))
    told = _estimate(path, loaded)
    if as_json:
        print_json(told)
        return
    console.print(_tell(told), markup=False)
    if not find_service(loaded):
        aside.print("The service is not up: `facehog up` begins with them.")


def _cancel(path: Path, backlog: Backlog, config: Config) -> None:
    if not backlog.remove(path):
        raise ConfigError(path, "nothing in it is asked for", "Name the folder as it was given to `facehog backfill`.")
    with Catalogue(config.catalogue, create=True) as catalogue:
        waiting = [glance.record for glance in catalogue.glance(path).values() if glance.state == Fate.WAITING]
        n_cancelled = sum(catalogue.set_fate(file.path, Fate.FAILED, NOT_ASKED_FOR, only_from=file) for file in waiting)
    console.print(f"{n_cancelled} recordings are not waited for any more")


def _estimate(path: Path, config: Config) -> dict[str, Any]:
    """Tell what there is to do, and what it takes if it goes as it went."""
    box = config.inboxes()[0]
    found = scan_inbox(path, box.patterns, depth=box.depth).found
    with Catalogue(config.catalogue, create=True) as catalogue:
        known = catalogue.glance(path)
        open_ = [
            signature.size_bytes
            for name, signature in found.items()
            if name not in known or _is_open(known[name]) or not known[name].is_like(signature)
        ]
        since = (now() - LOOK_BACK).date().isoformat()
        pace = measure_pace(catalogue.records(f"state=finished and changed>={since}", limit=MOST_RUNS))
    return {
        "path": as_text(path),
        "n_recordings": len(found),
        "n_open": len(open_),
        "open_bytes": sum(open_),
        "room_bytes": max(0, measure_room(config.store)),
        **_foresee(sum(open_), pace),
    }


def _is_open(glance: Glance) -> bool:
    return glance.state in _OPEN or glance.reason == NOT_ASKED_FOR


def _foresee(n_bytes: int, pace: PastPace | None) -> dict[str, Any]:
    if pace is None:
        return {"estimated_s": None, "store_bytes": None, "after_n_runs": 0}
    return {
        "estimated_s": round(n_bytes / pace.bytes_per_s, 1),
        "store_bytes": round(n_bytes * pace.store_per_byte),
        "after_n_runs": pace.n_runs,
    }


def _tell(told: dict[str, Any]) -> str:
    text = (
        f"{told['n_open']} of {told['n_recordings']} recordings are to be described, {told['open_bytes'] / 1e9:.1f} GB"
    )
    if told["estimated_s"] is None:
        return f"{text}; how long that takes is not known before one has been described here"
    lasts = timedelta(seconds=round(told["estimated_s"]))
    text += f": about {lasts} and {told['store_bytes'] / 1e9:.1f} GB of stores, as the last {told['after_n_runs']} took"
    if told["store_bytes"] > told["room_bytes"]:
        text += f". There is room for {told['room_bytes'] / 1e9:.1f} GB alone: it will wait for more"
    return text
