"""Frames of every pixel format, made up sample by sample."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

SHARES = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "gray": (1, 1), "nv12": (2, 2)}
"""Pixels, (rows, cols), that share a colour sample."""


def share_of(pixel_format: str) -> tuple[int, int]:
    return next(share for name, share in SHARES.items() if name in pixel_format)


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.unsignedinteger]]:
    """Return the planes, (row, col, value), without the padding of their lines, to write to."""
    dtype, views = np.dtype(np.uint16 if "10le" in frame.format.name else np.uint8), []
    for number, plane in enumerate(frame.planes):
        n_values = 2 if frame.format.name == "nv12" and number else 1
        lines = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        views.append(lines[:, : plane.width * n_values].reshape(plane.height, plane.width, n_values))
    return views


def make_frame(
    pixel_format: str, shape: tuple[int, int], seed: int, *, neutral: bool = False, color_range: int = 1
) -> av.VideoFrame:
    """Make a frame of noise, (row, col) pixels; a neutral one has no colour."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(shape[1], shape[0], pixel_format)
    frame.color_range, frame.colorspace = color_range, 1
    most = 1024 if "10le" in pixel_format else 256
    for number, plane in enumerate(planes_of(frame)):
        plane[:] = most // 2 if number and neutral else rng.integers(0, most, plane.shape)
    return frame


def disturb(frame: av.VideoFrame, covered: NDArray[np.bool_], seed: int) -> None:
    """Write noise into the samples of a frame that belong to covered pixels alone."""
    rng = np.random.default_rng(seed)
    most = 1024 if "10le" in frame.format.name else 256
    rows, cols = np.nonzero(~covered)
    for number, plane in enumerate(planes_of(frame)):
        share = share_of(frame.format.name) if number else (1, 1)
        is_seen = np.zeros(plane.shape[:2], bool)
        is_seen[rows // share[0], cols // share[1]] = True
        plane[~is_seen] = rng.integers(0, most, plane[~is_seen].shape)
