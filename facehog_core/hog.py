"""Histograms of oriented gradients (HOG): parameters, cell histograms and descriptors, array in, array out.

Equal to `skimage.feature.hog` but for one rule: a gradient whose angle lies on the border of two bins belongs to the
bin above, on every machine. scikit-image leaves it to the last bit of ``arctan2``, which differs between versions.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import gradient_sums, kernels
from .params import BLOCK_NORMS, HogParams

_STORED_LEVELS = np.arange(256.0)


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
        borders_of_pass = from_border[..., first : min(first + gradient_sums.BINS_PER_PASS, params.orientations)]
        gradient_sums.cumulative_histograms(frame, brightness, borders, *params.pixels_per_cell, borders_of_pass)
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
    step = gradient_sums.BINS_PER_PASS
    # A pass is always as long: nothing lies beyond -inf.
    borders = [*gradient_sums.bin_borders(orientations).tolist(), *[-math.inf] * step]
    return tuple((first, tuple(borders[first : first + step])) for first in range(0, orientations, step))
