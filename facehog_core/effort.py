"""How long describing frames takes, and what for: what a progress line and a run's record say of speed.

It stands in receipts and beside a run's times, and never in what is compared byte for byte.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

T = TypeVar("T")

# A worker that has ended no shard for so many times the longest one has died, or serves others.
GONE_AFTER_SHARDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What one shard took.

    Parameters
    ----------
    worker : str
        Who did it: machine, process and thread.
    began_at : float
        When, in seconds since 1970.
    first_frame_s : float
        From then on until the decoder gave the first frame.
    decoding_s : float
        Spent waiting for the decoder, the first frame included.
    describing_s : float
        Spent on what comes after it: grey, crop, histograms, descriptors.
    writing_s : float
        Spent on compressing, writing and reaching the disk.
    """

    worker: str
    began_at: float
    first_frame_s: float
    decoding_s: float
    describing_s: float
    writing_s: float = 0.0

    @property
    def ended_at(self) -> float:
        """When the shard was on the disk, in seconds since 1970."""
        return self.began_at + self.decoding_s + self.describing_s + self.writing_s


@dataclass(slots=True)
class Stopwatch:
    """Takes the time of one shard while it is described."""

    began_at: float = field(default_factory=time.time)
    _began_s: float = field(default_factory=time.perf_counter)
    _decoding_s: float = 0.0
    _first_frame_s: float | None = None

    def decoding(self, frames: Iterator[T]) -> Iterator[T]:
        """Yield what a decoder yields, and add up how long it took to do so."""
        while True:
            before_s = time.perf_counter()
            frame = next(frames, None)
            after_s = time.perf_counter()
            self._decoding_s += after_s - before_s
            if frame is None:
                return
            if self._first_frame_s is None:
                self._first_frame_s = after_s - self._began_s
            yield frame

    def read(self) -> Effort:
        """Return what the shard took up to now."""
        all_s = time.perf_counter() - self._began_s
        return Effort(
            worker=f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}",
            began_at=self.began_at,
            first_frame_s=all_s if self._first_frame_s is None else self._first_frame_s,
            decoding_s=self._decoding_s,
            describing_s=all_s - self._decoding_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a run is.

    Parameters
    ----------
    frames_per_s : float
        Of all workers together.
    decoder_share : float
        Which part of the workers' time went into decoding, 0 to 1. Were all else free, the run would be as many times
        faster as 1 is greater than it: so it is the share of the decoder's limit that is reached.
    """

    frames_per_s: float
    decoder_share: float

    def __str__(self) -> str:
        return f"{self.frames_per_s:.0f} frames a second, {100 * self.decoder_share:.0f} % of the decoder's limit"

    def tell_left(self, n_frames: int) -> str:
        """Say how long so many frames will take."""
        left_s = round(n_frames / self.frames_per_s)
        if left_s < 100:
            return f"{left_s} s left"
        hours, minutes = divmod(-(-left_s // 60), 60)
        return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


def measure_pace(shards: Iterable[tuple[int, Effort]]) -> Pace | None:
    """Measure how fast workers are, from the shards that they have ended.

    Parameters
    ----------
    shards : iterable of (int, Effort)
        Frames of a shard, and what it took.

    Returns
    -------
    Pace or None
        None if no shard is ended.

    Notes
    -----
    A worker's time runs from the beginning of its first shard to the end of its last one: also what passes between
    two shards counts, and what it has not ended yet does not.
    """
    ended = [(n_frames, effort) for n_frames, effort in shards if effort.ended_at > effort.began_at]
    if not ended:
        return None
    latest = max(effort.ended_at for _, effort in ended)
    longest_s = max(effort.ended_at - effort.began_at for _, effort in ended)
    frames_per_s = decoding_s = all_s = 0.0
    for _, group in groupby(sorted(ended, key=_worker), key=_worker):
        mine = list(group)
        until = max(effort.ended_at for _, effort in mine)
        spent_s = until - min(effort.began_at for _, effort in mine)
        all_s += spent_s
        decoding_s += sum(effort.decoding_s for _, effort in mine)
        if latest - until <= GONE_AFTER_SHARDS * longest_s:
            frames_per_s += sum(n_frames for n_frames, _ in mine) / spent_s
    return Pace(frames_per_s=frames_per_s, decoder_share=min(decoding_s / all_s, 1.0))


def _worker(shard: tuple[int, Effort]) -> str:
    return shard[1].worker
