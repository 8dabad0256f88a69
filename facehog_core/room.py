"""Whether a run finds room for its store."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

import zarr

from .disk import check_room
from .run_paths import RunPaths

# Of what an array takes before it is compressed: measured on recordings of mice, pictures take 0.14 of it, histograms
# up to 0.98 and descriptors up to 0.73.
_SHARES = {"images": 0.2}


def check_room_for(paths: RunPaths, others: Iterable[RunPaths] = ()) -> None:
    """Check that what is still to be written of a store fits on its disk.

    Parameters
    ----------
    paths : RunPaths
        Of a run whose working store is laid out.
    others : iterable of RunPaths
        Of runs in progress. What those need that began before comes first: if each took the room to be its own, none
        of them could end.

    Raises
    ------
    DiskFullError
        If it does not: how much it takes and how much there is.
    """
    promised_bytes = sum(_measure_need(other) for other in others if _began_at(other) < _began_at(paths))
    check_room(paths.folder, _measure_need(paths), promised_bytes)


def _began_at(paths: RunPaths) -> tuple[float, str]:
    try:
        return paths.claim.stat().st_mtime_ns, paths.run_id
    except FileNotFoundError:
        return math.inf, paths.run_id


def _measure_need(paths: RunPaths) -> int:
    """Return how many bytes are still to be written of a working store; 0 if it is gone."""
    try:
        group = zarr.open_group(paths.working, mode="r", use_consolidated=False)
        needed = sum(_SHARES.get(name, 1.0) * array.nbytes for name, array in group.arrays())
        return max(0, round(needed) - _size_of(paths.working))
    except FileNotFoundError:  # It is published by now.
        return 0


def _size_of(folder: Path) -> int:
    return sum((Path(where) / name).stat().st_size for where, _, names in os.walk(folder) for name in names)
