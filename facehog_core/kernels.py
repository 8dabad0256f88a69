"""The loops over pixels, most of them those of the histograms of oriented gradients, compiled by Numba.

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

#: An angle at most so far (radians) from the border between two bins lies on it. Each of the 2**32 gradients that
#: 8-bit grey or its roots can make is within 1e-13 of a border, by rounding, or beyond 1e-11 (tried: 8, 9, 12 bins).
TIE_RAD = 1e-12

#: Cotangents up to this one lie just below 180 degrees, on the border of the first bin.
LOWEST_COTANGENT = -1 / np.tan(TIE_RAD)

#: Borders of bins that one pass over a frame compares with: as many as the default `HogParams` has bins. Only with a
#: fixed number can the loop over them be unrolled, and the one over columns around it become vector instructions.
BINS_PER_PASS = 8

#: What block normalisation adds to a norm so as not to divide by zero, and where L2-Hys clips (Dalal and Triggs).
EPSILON = 1e-5
HYSTERESIS = 0.2
L1, L1_SQRT, L2, L2_HYS = (BLOCK_NORMS[name] for name in ("L1", "L1-sqrt", "L2", "L2-Hys"))


def compiled(function: F) -> F:
    """Compile on the first call, keep the machine code on disk, and release the GIL while running."""
    # error_model="numpy": a division by zero gives inf instead of a test in every turn of the loop.
    return cast(F, njit(nogil=True, cache=True, error_model="numpy")(function))


def bin_borders(orientations: int) -> NDArray[np.float64]:
    """Give the cotangents between which the gradients of each bin lie.

    The cotangent ``g_col / g_row`` falls from inf to -inf while the angle rises from 0 to 180 degrees, and a gradient
    and its opposite share it. So it tells the bin by comparisons, without an arctangent. It errs by some 1e-16 of
    itself, far less than the `TIE_RAD` by which each border is moved down to catch what lies on it.

    Parameters
    ----------
    orientations : int
        Number of bins between 0 and 180 degrees.

    Returns
    -------
    ndarray of float64, shape (orientations,)
        Bin ``k`` holds ``borders[k] >= cotangent > borders[k + 1]``, and the last one all that is left.
    """
    angles = np.pi * np.arange(1, orientations) / orientations
    return np.concatenate([[np.inf], 1 / np.tan(angles - TIE_RAD)])


@compiled
def cumulative_histograms(
    frame: NDArray[np.unsignedinteger],
    table: NDArray[np.float64],
    borders: tuple[float, ...],
    cell_rows: int,
    cell_cols: int,
    out: NDArray[np.float64],
) -> None:
    """Fill `out`, shape (cell_row, cell_col, border), with the gradient magnitudes per pixel from each border on.

    `frame` holds places in `table`, which gives their brightness. Pixels beyond the last whole cell count only as
    neighbours. `borders` are the lower borders of `BINS_PER_PASS` bins, as `bin_borders` gives them.
    """
    n_cell_rows, n_cell_cols, n_borders = out.shape
    band = np.empty((cell_rows + 2, frame.shape[1] + 2))
    # Columns are summed first, and into their cells in the end: so the loop over columns can use vector
    # instructions of any width, and no sum depends on it.
    column_sums = np.empty((BINS_PER_PASS, n_cell_cols * cell_cols))
    for cell_row in range(n_cell_rows):
        _read_band(frame, table, cell_row * cell_rows, band)
        column_sums[:] = 0.0
        _add_gradients(band, borders, column_sums)
        for cell_col in range(n_cell_cols):
            for k in range(n_borders):
                total = 0.0
                for col in range(cell_col * cell_cols, (cell_col + 1) * cell_cols):
                    total += column_sums[k, col]
                out[cell_row, cell_col, k] = total / (cell_rows * cell_cols)


@compiled
def differences(from_border: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Fill `out`, shape (cell_row, cell_col, bin), with what lies from each border on, but not from the next on."""
    for cell_row in range(out.shape[0]):
        for cell_col in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[cell_row, cell_col, k] = from_border[cell_row, cell_col, k] - from_border[cell_row, cell_col, k + 1]


@compiled
def _read_band(
    frame: NDArray[np.unsignedinteger],
    table: NDArray[np.float64],
    first_row: int,
    band: NDArray[np.float64],
) -> None:
    """Look up the brightness of a row of cells, and of one pixel around it, into `band`.

    Around the frame its second and last but one rows and columns are repeated: differences across the frame's edge
    are then 0, as in scikit-image.
    """
    n_rows, n_cols = frame.shape
    for i in range(band.shape[0]):
        row = first_row + i - 1
        if row < 0:
            row = min(1, n_rows - 1)
        elif row == n_rows:
            row = max(0, n_rows - 2)
        for col in range(n_cols):
            band[i, col + 1] = table[frame[row, col]]
        band[i, 0] = band[i, min(2, n_cols)]
        band[i, n_cols + 1] = band[i, max(1, n_cols - 1)]


@compiled
def _add_gradients(band: NDArray[np.float64], borders: tuple[float, ...], column_sums: NDArray[np.float64]) -> None:
    """Add the magnitude of each pixel's gradient to the sums of its column, for each border that it is not below."""
    for row in range(band.shape[0] - 2):
        for col in range(column_sums.shape[1]):
            g_row = band[row + 2, col + 1] - band[row, col + 1]
            g_col = band[row + 1, col + 2] - band[row + 1, col]
            magnitude = np.sqrt(g_row * g_row + g_col * g_col)
            cotangent = g_col / g_row
            # Just below 180 degrees is on the border of the first bin. A zero gradient (NaN) adds 0 to it.
            cotangent = cotangent if cotangent > LOWEST_COTANGENT else np.inf
            for k in range(BINS_PER_PASS):
                # Adding or not, instead of adding the magnitude or 0, is one vector instruction and not two.
                total = column_sums[k, col]
                column_sums[k, col] = total + magnitude if cotangent <= borders[k] else total


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
