"""A run as .npz: the arrays as the store has them, and the provenance as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .exporting import Export


def write(export: Export) -> list[str]:
    """Write it, not compressed, as `numpy.savez` does; an array at a time, in blocks."""
    run = export.run
    with ZipFile(export.path, "x", ZIP_STORED) as file:
        for name in (*run.columns, *export.arrays):
            _write(file, name, run.shape(name), run.dtype(name), export.blocks(name))
        for name, value in (("masked", run.masked), ("provenance", np.array(export.provenance))):
            if value is not None:
                _write(file, name, value.shape, value.dtype, [value])
    return []


def _write(
    file: ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]
) -> None:
    head = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    # 64 bits for sizes, since how long it will be is not known when it begins.
    with file.open(f"{name}.npy", "w", force_zip64=True) as array:
        npy.write_array_header_1_0(array, head)
        for values in blocks:
            array.write(values.tobytes())
