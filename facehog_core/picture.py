"""HOG pictures: in each cell one line per orientation, as bright as its gradients are strong.

The same pixels as `skimage.feature.hog` draws with ``visualize=True``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

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
    lines = _cut_lines(params, frame_shape)
    margin = lines.margin
    canvas = np.zeros((len(histograms), frame_shape[0] + 2 * margin, frame_shape[1] + 2 * margin), np.float32)
    _draw_cells(
        np.ascontiguousarray(histograms, np.float32),
        params.pixels_per_cell,
        (lines.row_kinds, lines.col_kinds),
        lines.borders,
        lines.pixels,
        canvas.shape[2],
        canvas.reshape(len(canvas), canvas.shape[1] * canvas.shape[2]),
    )
    pictures = np.ascontiguousarray(canvas[:, margin : margin + frame_shape[0], margin : margin + frame_shape[1]])
    pictures[np.isnan(histograms).all(axis=(1, 2, 3))] = np.nan
    return pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """The pixels of all lines. Most cells have the same ones, so they are found once for each kind of cell.

    Parameters
    ----------
    row_kinds, col_kinds : ndarray of intp, shape (n_cell_rows,) and (n_cell_cols,)
        The kind of the cells of each row and column of cells.
    borders : ndarray of intp, shape (n_row_kinds, n_col_kinds, orientations + 1)
        Where the pixels of each line begin and end.
    pixels : ndarray of uintp
        Pixels of the lines, by their places in a canvas that is numbered row by row, from the cell's first pixel on.
    margin : int
        By how many pixels the canvas is wider than the picture on each side.
    """

    row_kinds: NDArray[np.intp]
    col_kinds: NDArray[np.intp]
    borders: NDArray[np.intp]
    pixels: NDArray[np.uintp]
    margin: int


@functools.lru_cache(maxsize=8)
def _cut_lines(params: HogParams, frame_shape: tuple[int, int]) -> _Lines:
    # In cells one pixel wide lines reach out of the frame, where scikit-image gives up. They are cut.
    margin = 1 if min(params.pixels_per_cell) == 1 else 0
    row_ends, row_kinds = _line_ends(params, frame_shape, axis=0)
    col_ends, col_kinds = _line_ends(params, frame_shape, axis=1)
    width = frame_shape[1] + 2 * margin
    pixels: list[int] = []
    borders = np.zeros((len(row_ends), len(col_ends), params.orientations + 1), np.intp)
    for i, j in np.ndindex(borders.shape[:2]):
        borders[i, j, 0] = len(pixels)
        for k in range(params.orientations):
            line = _follow_line(*row_ends[i, k].tolist(), *col_ends[j, k].tolist())
            pixels += [(row + margin) * width + col + margin for row, col in line]
            borders[i, j, k + 1] = len(pixels)
    return _Lines(
        row_kinds=row_kinds, col_kinds=col_kinds, borders=borders, pixels=np.array(pixels, np.uintp), margin=margin
    )


def _line_ends(params: HogParams, frame_shape: tuple[int, int], axis: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the rows (or columns) of the first and last pixel of each line, in each kind of cell, and the cells' kinds.

    A line lies across the gradients of its bin, along the edge that they show. Its ends are counted from the cell's
    first pixel, shape (kind, orientation, 2).
    """
    radius, size = min(params.pixels_per_cell) // 2 - 1, params.pixels_per_cell[axis]
    middles = np.pi * (np.arange(params.orientations) + 0.5) / params.orientations
    ahead = radius * (-np.cos(middles) if axis == 0 else np.sin(middles))
    firsts = np.arange(params.n_cells(frame_shape)[axis]) * size
    # Truncated only after the sum, as in scikit-image: beside an axis 1e-16 decides, in some cells only.
    ends = ((firsts + size // 2)[:, None, None] + np.stack([ahead, -ahead], axis=-1)).astype(np.intp)
    return np.unique(ends - firsts[:, None, None], axis=0, return_inverse=True)


def _follow_line(row: int, last_row: int, col: int, last_col: int) -> Iterator[tuple[int, int]]:
    """Yield the pixels of a line, those of Bresenham's algorithm as `skimage.draw.line` has it."""
    n_rows, n_cols = abs(last_row - row), abs(last_col - col)
    row_step = 1 if last_row > row else -1
    col_step = 1 if last_col > col else -1
    is_steep = n_rows > n_cols
    long, short = max(n_rows, n_cols), min(n_rows, n_cols)
    excess = 2 * short - long
    for _ in range(long):
        yield row, col
        sidestep = excess >= 0
        if is_steep or sidestep:
            row += row_step
        if not is_steep or sidestep:
            col += col_step
        excess += 2 * short - (2 * long if sidestep else 0)
    yield row, col


@compiled
def _draw_cells(
    histograms: NDArray[np.float32],
    pixels_per_cell: tuple[int, int],
    kinds: tuple[NDArray[np.intp], NDArray[np.intp]],
    borders: NDArray[np.intp],
    pixels: NDArray[np.uintp],
    width: int,
    pictures: NDArray[np.float32],
) -> None:
    """Add the lines of each cell to pictures, shape (n_frames, pixel), of so many pixels in a row."""
    n_frames, n_cell_rows, n_cell_cols, n_orientations = histograms.shape
    row_kinds, col_kinds = kinds
    for frame in range(n_frames):
        picture = pictures[frame]
        for i in range(n_cell_rows):
            for j in range(n_cell_cols):
                # Unsigned, so that no pixel is looked at for being counted from the end.
                first = np.uintp(i * pixels_per_cell[0] * width + j * pixels_per_cell[1])
                ends = borders[row_kinds[i], col_kinds[j]]
                for k in range(n_orientations):
                    value = histograms[frame, i, j, k]
                    if not np.isnan(value):
                        for at in range(ends[k], ends[k + 1]):
                            picture[first + pixels[at]] += value
