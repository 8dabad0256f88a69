"""A run as CSV: one line a frame, one column a value. Any program reads it; it is large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exporting import Export, name_values

# As many digits as bring every float32 and float64 back exactly.
_DIGITS = {4: "%.9g", 8: "%.17g"}


def write(export: Export) -> list[str]:
    """Write it. Yes and no are 1 and 0; what is not known is ``nan``."""
    run = export.run
    names = [*run.columns, *(value for name in export.arrays for value in name_values(run, name))]
    with export.path.open("x", encoding="ascii", newline="") as file:
        file.write(",".join(names) + "\n")
        for block in export.rows():
            columns = [_as_text(values) for values in block.values()]
            file.writelines(",".join(line) + "\n" for line in zip(*columns, strict=True))
    return []


def _as_text(values: NDArray[Any]) -> list[str]:
    """Write the values of each frame, separated by commas."""
    rows = values.reshape(len(values), -1)
    one = "%d" if rows.dtype.kind != "f" else _DIGITS[rows.dtype.itemsize]
    form = ",".join([one] * rows.shape[1])
    return [form % tuple(row) for row in np.asarray(rows).tolist()]
