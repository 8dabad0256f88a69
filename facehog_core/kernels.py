"""Loops that Numba compiles: from cell histograms to descriptors, and over samples (see also `gradient_sums`).

They have one result on every machine: no fast math (a fused multiply-add or a reordered sum would change last
bits with the processor), and each sum is taken in an order that the code spells out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .params import BLOCK_NORMS

F = TypeVar("F", bound=Callable[..., Any])

#: What block normalisation adds to a norm so as not to divide by zero, and where L2-Hys clips (Dalal and Triggs).
EPSILON = 1e-5
HYSTERESIS = 0.2
L1, L1_SQRT, L2, L2_HYS = (BLOCK_NORMS[name] for name in ("L1", "L1-sqrt", "L2", "L2-Hys"))


def compiled(function: F) -> F:
    """Compile on the first call, keep the machine code on disk, and release the GIL while running."""
    # error_model="numpy": a division by zero gives inf instead of a test in every turn of the loop.
    return cast(F, njit(nogil=True, cache=True, error_model="numpy")(function))


@compiled
def differences(from_border: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Fill `out`, shape (cell_row, cell_col, bin), with what lies from each border on, but not from the next on."""
    for cell_row in range(out.shape[0]):
        for cell_col in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[cell_row, cell_col, k] = from_border[cell_row, cell_col, k] - from_border[cell_row, cell_col, k + 1]


@compiled
def normalised_blocks(
    histograms: NDArray[np.float32], block_rows: int, block_cols: int, norm: int, out: NDArray[np.float32]
) -> None:
    """Fill `out`, shape (n_frames, n_features), with the normalised blocks of each frame's `histograms`."""
    n_frames, n_cell_rows, n_cell_cols, n_bins = histograms.shape
    block = np.empty(block_rows * block_cols * n_bins)
    for frame in range(n_frames):
        start = 0
        for row in range(n_cell_rows - block_rows + 1):
            for col in range(n_cell_cols - block_cols + 1):
                i = 0
                for cell_row in range(row, row + block_rows):
                    for cell_col in range(col, col + block_cols):
                        for k in range(n_bins):
                            block[i] = histograms[frame, cell_row, cell_col, k]
                            i += 1
                _normalise(block, norm)
                for i in range(block.size):
                    out[frame, start + i] = block[i]
                start += block.size


@compiled
def _normalise(block: NDArray[np.float64], norm: int) -> None:
    """Normalise one block in place, in float64 and adding up in the order of its values."""
    if norm in (L2, L2_HYS):
        _divide_by_length(block)
        if norm == L2_HYS:
            for i in range(block.size):
                block[i] = np.minimum(block[i], HYSTERESIS)  # min() could lose a NaN.
            _divide_by_length(block)
    else:
        total = 0.0
        for i in range(block.size):
            total += block[i]
        for i in range(block.size):
            share = block[i] / (total + EPSILON)
            block[i] = np.sqrt(share) if norm == L1_SQRT else share


@compiled
def _divide_by_length(block: NDArray[np.float64]) -> None:
    total = 0.0
    for i in range(block.size):
        total += block[i] * block[i]
    length = np.sqrt(total + EPSILON**2)
    for i in range(block.size):
        block[i] /= length


@compiled
def holds_only(value: np.uint8, plane: NDArray[np.uint8]) -> bool:
    """Tell whether all samples of a plane are one and the same value: in one pass, up to the first row with another."""
    for row in range(plane.shape[0]):
        differs = np.uint8(0)
        for col in range(plane.shape[1]):
            differs |= plane[row, col] ^ value
        if differs:
            return False
    return True
