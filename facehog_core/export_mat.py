"""A run as .mat of version 7.3, which is HDF5: it can be written in blocks, and hold more than 2 GB.

`scipy.io.savemat` writes version 5, which holds no variable of 2 GB and is written in one piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exporting import Export, need

# MATLAB knows its files by what stands in the first 128 of 512 bytes before HDF5's own: text, then version and order.
_USER_BLOCK_BYTES = 512
_HEAD = b"MATLAB 7.3 MAT-file, Created by: facehog HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\0\2IM"
_CLASSES = {"float32": "single", "float64": "double"}
# HDF5 compresses so much together.
_CHUNK_BYTES = 2**20


def write(export: Export) -> list[str]:
    """Write it. Arrays have the frames first, columns are n x 1."""
    h5py, run = need("h5py"), export.run
    with h5py.File(export.path, "x", userblock_size=_USER_BLOCK_BYTES) as file:
        for name in (*run.columns, *export.arrays):
            shape = run.shape(name) if len(run.shape(name)) > 1 else (*run.shape(name), 1)
            variable = _make(file, name, shape, run.dtype(name), run.frames_per_block)
            for (start, stop), values in zip(run.spans(), export.blocks(name), strict=True):
                variable[..., start:stop] = values.T
        if (masked := run.masked) is not None:
            _make(file, "masked", masked.shape, masked.dtype, len(masked))[...] = masked.T
        _write_text(file, "provenance", export.provenance)
    with export.path.open("r+b") as raw:
        raw.write(_HEAD)
    return []


def _make(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], n_together: int) -> Any:
    """Make a variable of a shape as MATLAB has it, first dimension first; HDF5 has it last."""
    kind = np.dtype(np.uint8) if dtype == np.bool_ else dtype
    variable = file.create_dataset(
        name,
        shape[::-1],
        kind,
        chunks=_cut(shape, kind.itemsize, n_together)[::-1],
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    _classify(variable, "logical" if dtype == np.bool_ else _CLASSES.get(dtype.name, dtype.name))
    if dtype == np.bool_:
        variable.attrs["MATLAB_int_decode"] = np.int32(1)
    return variable


def _cut(shape: tuple[int, ...], n_bytes: int, n_together: int) -> tuple[int, ...]:
    """Choose what is compressed together: all frames of a block, and as many values of each as fit."""
    cut = [min(shape[0], n_together)]
    for length in shape[:0:-1]:
        most = max(1, _CHUNK_BYTES // (n_bytes * int(np.prod(cut))))
        cut.insert(1, min(length, most))
    return tuple(cut)


def _write_text(file: Any, name: str, text: str) -> None:
    codes: NDArray[np.uint16] = np.frombuffer(text.encode("utf-16-le"), "<u2")
    variable = file.create_dataset(name, data=codes[:, None])
    _classify(variable, "char")
    variable.attrs["MATLAB_int_decode"] = np.int32(2)


def _classify(variable: Any, name: str) -> None:
    variable.attrs["MATLAB_class"] = np.bytes_(name)
