"""How far a run has got, by the receipts that it has written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from .effort import Pace
from .errors import StoreError
from .receipts import ShardReceipt, pace_of
from .run_paths import RunPaths
from .sealed import UNREADABLE
from .store import open_working


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has got, in frames that are on disk, and how fast it is; no pace before its first shard."""

    n_done: int
    n_frames: int
    pace: Pace | None = None

    def __str__(self) -> str:
        done = f"{self.n_done} of {self.n_frames} frames"
        return f"{done}; {self.pace}, {self.pace.tell_left(self.n_frames - self.n_done)}" if self.pace else done


def measure_progress(paths: RunPaths, since: float = 0.0) -> Progress | None:
    """Look how far a run has got, from its receipts; None while nothing is laid out.

    Parameters
    ----------
    paths : RunPaths
    since : float, optional
        When the run began, in seconds since 1970: what is older counts as done and not for its pace.
    """
    try:
        n_frames = int(open_working(paths).attrs["plan"]["n_frames"])  # type: ignore[call-overload,index,arg-type]
    except (StoreError, KeyError):
        return None
    receipts = list(_read_receipts(paths))
    n_done = sum(receipt.stop - receipt.start for receipt in receipts)
    return Progress(n_done=n_done, n_frames=n_frames, pace=pace_of(receipts, since))


def _read_receipts(paths: RunPaths) -> Iterator[ShardReceipt]:
    """Read the receipts that there are, without a look at what they are for."""
    for file in paths.receipts.glob("*.json"):
        # The run may end, and be tidied up, at any time.
        with suppress(OSError, *UNREADABLE):
            yield ShardReceipt.from_dict(json.loads(file.read_text("utf-8")))
