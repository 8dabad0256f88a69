"""When a fault strikes, and how long it lasts: at a moment of a recording's way that is drawn, never after its end."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from outcome import Shards, find_shards
from service_lab import ServiceLab

from facehog_core.schema import Fate

# How far a recording may be when something breaks: it lies there; its run was asked for; it runs; so many of its
# shards, of which it has five, are described.
LANDED, QUEUED, RUNS = range(3)
STAGES = range(RUNS + 3)
_END = 100
# Of so many recordings one is met on its way, also where the machine looks away for a while.
MOST_TRIES = 20


def reach(
    lab: ServiceLab, land: Callable[[], list[Path]], moment: random.Random, first: int = LANDED
) -> tuple[list[Path], Shards]:
    """Let recordings land until one of them is met on its way.

    Parameters
    ----------
    lab : ServiceLab
    land : callable
        Lets recordings land, and returns where; the first of them is looked at.
    moment : Random
        Draws how far it is to be.
    first : int, optional
        The earliest of `STAGES`.

    Returns
    -------
    recordings : list of Path
        All that have landed.
    shards : Shards
        Those that are described by now.
    """
    landed: list[Path] = []
    stage = moment.choice(STAGES[first:])
    for _ in range(MOST_TRIES):
        target, *others = land()
        landed += [target, *others]
        lab.wait_for(
            lambda target=target: _stage_of(lab, target) >= stage, f"stage {stage} of {target.name}", rest_s=0.02
        )
        shards = find_shards(lab, landed)
        if _stage_of(lab, target) < _END:
            return landed, shards
    raise AssertionError(f"none of {MOST_TRIES} recordings was met at stage {stage}: they are too short")


def last(moment: random.Random, least_s: float, most_s: float) -> None:
    """Let a fault last for as long as is drawn, or, where no rounds are asked for, no longer than it has to."""
    time.sleep(moment.uniform(least_s, most_s) if "FACEHOG_TEST_ROUNDS" in os.environ else least_s)


def _stage_of(lab: ServiceLab, target: Path) -> int:
    file = lab.file(target)
    match file.state if file else None:
        case None | Fate.WAITING:
            return LANDED
        case Fate.QUEUED:
            return QUEUED
        case Fate.RUNNING:
            return RUNS + len(list(lab.store.glob(f"{target.stem}/*.partial/receipts/*.json")))
        case _:
            return _END
