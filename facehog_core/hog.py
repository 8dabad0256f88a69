"""Histograms of oriented gradients (HOG): parameters, cell histograms and descriptors, array in, array out.

Equal to `skimage.feature.hog` but for one rule: a gradient whose angle lies on the border of two bins belongs to the
bin above, on every machine. scikit-image leaves it to the last bit of ``arctan2``, which differs between versions.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels

BLOCK_NORMS = {"L1": kernels.L1, "L1-sqrt": kernels.L1_SQRT, "L2": kernels.L2, "L2-Hys": kernels.L2_HYS}

#: One bin a degree. More is a slip of the pen: 8-bit gradients have no finer angles to offer.
MAX_ORIENTATIONS = 180

_STORED_LEVELS = np.arange(256.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HogParams:
    """How a frame is described; the defaults are those of Dolensek et al. [1]_ for a mouse's face.

    Parameters
    ----------
    orientations : int
        Number of bins between 0 and 180 degrees, at most 180.
    pixels_per_cell : (int, int)
        Size of a cell in pixels, (row, col).
    cells_per_block : (int, int)
        Size of a block in cells, (row, col). Blocks overlap: each cell starts one.
    block_norm : {"L1", "L1-sqrt", "L2", "L2-Hys"}
        How a block is normalised.
    transform_sqrt : bool
        Take the square root of the grey levels first, which lifts dark regions.

    Raises
    ------
    ValueError
        If a value is not one of those allowed; the message names the field, the value and the choices.

    References
    ----------
    .. [1] Dolensek et al. (2020), Science 368:89, doi:10.1126/science.aaz9468
    """

    orientations: int = 8
    pixels_per_cell: tuple[int, int] = (32, 32)
    cells_per_block: tuple[int, int] = (1, 1)
    block_norm: str = "L2-Hys"
    transform_sqrt: bool = True

    def __post_init__(self) -> None:
        if not (_is_count(self.orientations) and self.orientations <= MAX_ORIENTATIONS):
            raise ValueError(
                f"orientations must be a whole number from 1 to {MAX_ORIENTATIONS}, got {self.orientations!r}"
            )
        object.__setattr__(self, "orientations", int(self.orientations))
        for name in ("pixels_per_cell", "cells_per_block"):
            object.__setattr__(self, name, _as_pair(name, getattr(self, name)))
        if self.block_norm not in list(BLOCK_NORMS):  # Not by hash: it may be anything that a file holds.
            raise ValueError(f"block_norm must be one of {', '.join(BLOCK_NORMS)}, got {self.block_norm!r}")
        if not isinstance(self.transform_sqrt, bool):
            raise ValueError(f"transform_sqrt must be true or false, got {self.transform_sqrt!r}")

    def n_cells(self, frame_shape: tuple[int, int]) -> tuple[int, int]:
        """Count the whole cells, (row, col), in a frame of `frame_shape` (row, col) pixels."""
        (n_rows, n_cols), (cell_rows, cell_cols) = frame_shape, self.pixels_per_cell
        return n_rows // cell_rows, n_cols // cell_cols

    def n_blocks(self, frame_shape: tuple[int, int]) -> tuple[int, int]:
        """Count the blocks, (row, col), in a frame of `frame_shape` (row, col) pixels.

        Raises
        ------
        ValueError
            If not one block fits into the frame.
        """
        (cell_rows, cell_cols), (block_rows, block_cols) = self.pixels_per_cell, self.cells_per_block
        n_cell_rows, n_cell_cols = self.n_cells(frame_shape)
        if n_cell_rows < block_rows or n_cell_cols < block_cols:
            raise ValueError(
                f"a frame of {frame_shape[0]} x {frame_shape[1]} pixels (row x col) cannot hold one block; "
                f"it needs at least {block_rows * cell_rows} x {block_cols * cell_cols}"
            )
        return n_cell_rows - block_rows + 1, n_cell_cols - block_cols + 1

    def n_features(self, frame_shape: tuple[int, int]) -> int:
        """Count the values in the descriptor of a frame of `frame_shape` (row, col) pixels.

        Raises
        ------
        ValueError
            If not one block fits into the frame.
        """
        (n_block_rows, n_block_cols), (block_rows, block_cols) = self.n_blocks(frame_shape), self.cells_per_block
        return n_block_rows * n_block_cols * block_rows * block_cols * self.orientations

    def as_dict(self) -> dict[str, Any]:
        """Give the fields as JSON has them; ``HogParams(**fields)`` makes them a `HogParams` again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def compute_hog(frames: NDArray[Any], params: HogParams) -> NDArray[np.float32]:
    """Describe each frame by its histograms of oriented gradients [1]_.

    Parameters
    ----------
    frames : ndarray of uint8 or float64, shape (n_frames, row, col)
        Grey levels from 0 to 255.
    params : HogParams

    Returns
    -------
    ndarray of float32, shape (n_frames, n_features)
        Each row as `skimage.feature.hog` gives it with ``feature_vector=True``.

    Raises
    ------
    ValueError
        If a frame cannot hold one block.

    References
    ----------
    .. [1] Dalal & Triggs (2005), CVPR, doi:10.1109/CVPR.2005.177
    """
    n_frames, n_rows, n_cols = frames.shape
    params.n_blocks((n_rows, n_cols))  # Too small a frame is found now.
    histograms = np.empty((n_frames, *params.n_cells((n_rows, n_cols)), params.orientations), np.float32)
    for frame, out in zip(frames, histograms, strict=True):
        compute_histograms(frame, params, out=out)
    return normalise_blocks(histograms, params)


def compute_histograms(
    frame: NDArray[Any],
    params: HogParams,
    *,
    levels: NDArray[np.float64] | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Compute the histogram of oriented gradients of each cell of one frame, before block normalisation.

    Parameters
    ----------
    frame : ndarray of uint8 or float64, shape (row, col)
        Stored values, read in place whatever the strides (a crop of a decoder's plane is not copied), or grey
        levels from 0 to 255 themselves.
    params : HogParams
    levels : ndarray of float64, shape (256,), optional
        The grey level that each value of a uint8 frame stands for; by default the value itself.
    out : ndarray of float32, shape (cell_row, cell_col, orientation), optional
        Where to put the result.

    Returns
    -------
    ndarray of float32, shape (cell_row, cell_col, orientation)
        Sums of gradient magnitudes per pixel of the cell, in grey levels (their roots with ``transform_sqrt``).
        Empty if no cell fits.

    Raises
    ------
    ValueError
        If `frame`, `levels` or `out` has another shape or type.
    """
    if frame.ndim != 2 or frame.dtype not in (np.uint8, np.float64):
        raise ValueError(f"frame must be a 2-D array of uint8 or float64, got {frame.ndim}-D {frame.dtype}")
    shape = (*params.n_cells(frame.shape), params.orientations)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out must be float32 of shape {shape}, got {out.dtype} of shape {out.shape}")
    if levels is None:
        if frame.dtype == np.float64:
            # Any pixel may have a level of its own: the frame is the table, and each pixel looks up itself.
            levels, frame = frame.ravel(), np.arange(frame.size, dtype=np.uint32).reshape(frame.shape)
        else:
            levels = _STORED_LEVELS
    elif frame.dtype != np.uint8 or levels.dtype != np.float64 or levels.shape != (256,):
        raise ValueError(
            f"levels must be 256 of float64 and go with a uint8 frame, "
            f"got {levels.dtype} of shape {levels.shape} and a frame of {frame.dtype}"
        )
    if out.size == 0:
        return out

    brightness = np.sqrt(levels) if params.transform_sqrt else levels
    # What lies from each border on, up to 180 degrees: half the comparisons of bin by bin. Rounding cannot make a bin
    # negative, since a sum of more magnitudes in the same order is never smaller.
    from_border = np.zeros((*shape[:2], params.orientations + 1))
    for first, borders in _passes(params.orientations):
        borders_of_pass = from_border[..., first : min(first + kernels.BINS_PER_PASS, params.orientations)]
        kernels.cumulative_histograms(frame, brightness, borders, *params.pixels_per_cell, borders_of_pass)
    kernels.differences(from_border, out)
    return out


def normalise_blocks(histograms: NDArray[np.float32], params: HogParams) -> NDArray[np.float32]:
    """Normalise the blocks of each frame's cell histograms: its descriptor.

    facehog's descriptors are this function of the stored float32 histograms, so that they follow from a store without
    decoding again. A frame's descriptor does not depend on the frames beside it.

    Parameters
    ----------
    histograms : ndarray of float32, shape (n_frames, cell_row, cell_col, orientation)
        As `compute_histograms` gives them.
    params : HogParams

    Returns
    -------
    ndarray of float32, shape (n_frames, n_features)
        In the order of `skimage.feature.hog`: block row, block col, cell row, cell col, orientation.

    Raises
    ------
    ValueError
        If a frame cannot hold one block, or `histograms` has another shape or type.
    """
    if histograms.ndim != 4 or histograms.shape[3] != params.orientations or histograms.dtype != np.float32:
        raise ValueError(
            f"histograms must be float32 of shape (n_frames, cell_row, cell_col, {params.orientations}), "
            f"got {histograms.dtype} of shape {histograms.shape}"
        )
    n_frames, n_cell_rows, n_cell_cols, _ = histograms.shape
    cell_rows, cell_cols = params.pixels_per_cell
    n_features = params.n_features((n_cell_rows * cell_rows, n_cell_cols * cell_cols))
    descriptors = np.empty((n_frames, n_features), np.float32)
    kernels.normalised_blocks(
        np.ascontiguousarray(histograms), *params.cells_per_block, BLOCK_NORMS[params.block_norm], descriptors
    )
    return descriptors


@functools.cache
def _passes(orientations: int) -> tuple[tuple[int, tuple[float, ...]], ...]:
    """Cut the borders of bins into passes of the kernel: the first of each, and all of them."""
    step = kernels.BINS_PER_PASS
    # A pass is always as long: nothing lies beyond -inf.
    borders = [*kernels.bin_borders(orientations).tolist(), *[-math.inf] * step]
    return tuple((first, tuple(borders[first : first + step])) for first in range(0, orientations, step))


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _as_pair(name: str, value: object) -> tuple[int, int]:
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_count, value))):
        raise ValueError(f"{name} must be two whole numbers (row, col) of at least 1, got {value!r}")
    return int(value[0]), int(value[1])
