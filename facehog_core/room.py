"""Whether a run finds room for its store."""

from __future__ import annotations

import os
from pathlib import Path

import zarr

from .disk import check_room
from .store import RunPaths

# Of what an array takes before it is compressed: measured on recordings of mice, pictures take 0.14 of it, histograms
# up to 0.98 and descriptors up to 0.73.
_SHARES = {"images": 0.2}


def check_room_for(paths: RunPaths) -> None:
    """Check that what is still to be written of a store fits on its disk.

    Parameters
    ----------
    paths : RunPaths
        Of a run whose working store is laid out.

    Raises
    ------
    DiskFullError
        If it does not: how much it takes and how much there is.
    """
    group = zarr.open_group(paths.working, mode="r", use_consolidated=False)
    needed = sum(_SHARES.get(name, 1.0) * array.nbytes for name, array in group.arrays())
    check_room(paths.folder, max(0, round(needed) - _size_of(paths.working)))


def _size_of(folder: Path) -> int:
    return sum((Path(where) / name).stat().st_size for where, _, names in os.walk(folder) for name in names)
