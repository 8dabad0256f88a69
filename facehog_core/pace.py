"""How fast recordings have been described, and what that says of those that wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .provenance import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPace:
    """What finished runs took.

    Parameters
    ----------
    n_runs : int
    bytes_per_s : float
        Of recordings, while at least one run was under way: as many at once as there were.
    store_per_byte : float
        Bytes of stores for each byte of recordings.
    """

    n_runs: int
    bytes_per_s: float
    store_per_byte: float


def measure_pace(records: Iterable[RunRecord]) -> PastPace | None:
    """Measure how fast runs were that are finished; None if there is none."""
    spans: list[tuple[datetime, datetime]] = []
    n_bytes = n_store_bytes = 0
    for record in records:
        if record.started_at and record.finished_at and record.store_size_bytes is not None:
            spans.append((record.started_at, record.finished_at))
            n_bytes += record.size_bytes
            n_store_bytes += record.store_size_bytes
    busy_s = _join(spans).total_seconds()
    if not n_bytes or busy_s <= 0:
        return None
    return PastPace(n_runs=len(spans), bytes_per_s=n_bytes / busy_s, store_per_byte=n_store_bytes / n_bytes)


def _join(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """Return the time that is in at least one of the spans."""
    total, until = timedelta(), None
    for start, stop in sorted(spans):
        begin = start if until is None else max(start, until)
        if stop > begin:
            total += stop - begin
            until = stop
    return total
