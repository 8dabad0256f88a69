"""HOG pictures: in each cell one line per orientation, as bright as its gradients are strong.

The same pixels as `skimage.feature.hog` draws with ``visualize=True``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kernels import compiled
from .params import HogParams


def render_pictures(
    histograms: NDArray[np.float32], params: HogParams, frame_shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw the cell histograms of each frame.

    Parameters
    ----------
    histograms : ndarray of float32, shape (n_frames, cell_row, cell_col, orientation)
        As `compute_histograms` gives them.
    params : HogParams
    frame_shape : (int, int)
        Size of the frames in pixels, (row, col).

    Returns
    -------
    ndarray of float32, shape (n_frames, row, col)
        Nothing is drawn in cells that are NaN; where all are, so is the whole picture.

    Raises
    ------
    ValueError
        If frames of `frame_shape` do not have such histograms.
    """
    shape = (*params.n_cells(frame_shape), params.orientations)
    if histograms.shape[1:] != shape:
        raise ValueError(
            f"frames of {frame_shape[0]} x {frame_shape[1]} pixels have histograms of shape {shape}, "
            f"got {histograms.shape[1:]}"
        )
    pictures = np.zeros((len(histograms), *frame_shape), np.float32)
    _draw_cells(np.ascontiguousarray(histograms, np.float32), *_line_ends(params, frame_shape), pictures)
    pictures[np.isnan(histograms).all(axis=(1, 2, 3))] = np.nan
    return pictures


def _line_ends(params: HogParams, frame_shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the rows, shape (cell_row, orientation, 2), and the columns of the first and last pixel of each line.

    A line lies across the gradients of its bin, along the edge that they show.
    """
    radius = min(params.pixels_per_cell) // 2 - 1
    middles = np.pi * (np.arange(params.orientations) + 0.5) / params.orientations
    across = radius * np.stack([-np.cos(middles), np.cos(middles)], axis=-1)
    along = radius * np.stack([np.sin(middles), -np.sin(middles)], axis=-1)

    def ends(axis: int, offsets: NDArray[np.float64]) -> NDArray[np.intp]:
        size = params.pixels_per_cell[axis]
        centres = np.arange(params.n_cells(frame_shape)[axis]) * size + size // 2
        # Truncated only after the sum, as in scikit-image: beside an axis 1e-16 decides, in some cells only.
        return (centres[:, None, None] + offsets).astype(np.intp)

    return ends(0, across), ends(1, along)


@compiled
def _draw_cells(
    histograms: NDArray[np.float32], rows: NDArray[np.intp], cols: NDArray[np.intp], pictures: NDArray[np.float32]
) -> None:
    n_frames, n_cell_rows, n_cell_cols, n_orientations = histograms.shape
    for frame in range(n_frames):
        picture = pictures[frame]
        for i in range(n_cell_rows):
            for j in range(n_cell_cols):
                for k in range(n_orientations):
                    value = histograms[frame, i, j, k]
                    if not np.isnan(value):
                        _add_line(picture, rows[i, k, 0], cols[j, k, 0], rows[i, k, 1], cols[j, k, 1], value)


@compiled
def _add_line(
    picture: NDArray[np.float32], row: int, col: int, last_row: int, last_col: int, value: np.float32
) -> None:
    """Add `value` to the pixels of a line, those of Bresenham's algorithm as `skimage.draw.line` has it."""
    n_rows, n_cols = abs(last_row - row), abs(last_col - col)
    row_step = 1 if last_row > row else -1
    col_step = 1 if last_col > col else -1
    is_steep = n_rows > n_cols
    long, short = max(n_rows, n_cols), min(n_rows, n_cols)
    excess = 2 * short - long
    for _ in range(long):
        _add(picture, row, col, value)
        sidestep = excess >= 0
        if is_steep or sidestep:
            row += row_step
        if not is_steep or sidestep:
            col += col_step
        excess += 2 * short - (2 * long if sidestep else 0)
    _add(picture, row, col, value)


@compiled
def _add(picture: NDArray[np.float32], row: int, col: int, value: np.float32) -> None:
    # In cells one pixel wide a horizontal line reaches out of the frame, where scikit-image gives up.
    if 0 <= row < picture.shape[0] and 0 <= col < picture.shape[1]:
        picture[row, col] += value
