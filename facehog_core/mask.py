"""The parts of each frame that have no say: boxes and polygons over a lick spout, a cable, a lamp."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crop import Rectangle

MUST_BE = "a list of { box = [x, y, width, height] } and { polygon = [[x, y], [x, y], [x, y], ...] }, in pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Rectangle):
    """A rectangle of pixels that have no say."""

    def as_dict(self) -> dict[str, Any]:
        """Return the box as the configuration writes it."""
        return {"box": self.as_list()}

    def covers(self, frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Say of each pixel of a frame, (row, col), whether it is under the box."""
        covered = np.zeros(frame_shape, np.bool_)
        covered[self.window] = True
        return covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygon:
    """An area with straight edges. A pixel is under it if the pixel's middle is.

    Parameters
    ----------
    points : tuple of (float, float)
        Its corners (x, y), at least three, in pixels from the frame's upper left corner: the middle of the first
        pixel is at (0.5, 0.5), so that the corners of a box are those of the pixels' grid. Where edges cross, what is
        enclosed twice is outside.

    Raises
    ------
    ValueError
        If there are fewer than three points, or one is no pair of finite numbers.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(map(_as_point, self.points)))
        if len(self.points) < 3:
            raise ValueError(f"a polygon needs at least three points, got {len(self.points)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the polygon as the configuration writes it."""
        return {"polygon": [list(point) for point in self.points]}

    def covers(self, frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Say of each pixel of a frame, (row, col), whether it is under the polygon."""
        covered = np.zeros(frame_shape, np.bool_)
        rows, cols = np.arange(frame_shape[0]) + 0.5, np.arange(frame_shape[1]) + 0.5
        for (x, y), (next_x, next_y) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            # A row whose middle is level with a corner crosses one of the two edges that meet there, not both.
            crossed = np.flatnonzero((rows >= min(y, next_y)) & (rows < max(y, next_y)))
            if crossed.size:
                at_x = x + (rows[crossed] - y) * ((next_x - x) / (next_y - y))
                # Right of an odd number of edges is inside.
                covered[crossed] ^= cols >= at_x[:, np.newaxis]
        return covered


Mask = Box | Polygon


def _as_point(value: Any) -> tuple[float, float]:
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_finite, value))):
        raise ValueError(f"a polygon's point must be two numbers x, y, got {value!r}")
    return float(value[0]), float(value[1])


def _is_finite(value: Any) -> bool:
    # Not by math.isfinite, which cannot take an integer that is larger than any float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_masks(values: Iterable[Mapping[str, Any]]) -> tuple[Mask, ...]:
    """Make masks from tables, as the configuration writes them.

    Raises
    ------
    ValueError
        If a table is neither a box nor a polygon, or wrong in itself.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"masks must be {MUST_BE}, got {values!r}")
    return tuple(map(_read_mask, values))


def _read_mask(table: Any) -> Mask:
    match table:
        case {"box": [x, y, width, height]} if len(table) == 1:
            return Box(x=x, y=y, width=width, height=height)
        case {"polygon": [*points]} if len(table) == 1:
            return Polygon(points=tuple(points))
        case _:
            raise ValueError(
                f"a mask must be {{box = [x, y, width, height]}} or {{polygon = [[x, y], ...]}}, got {table!r}"
            )


def blocks_with_any(pixels: NDArray[np.bool_], block: tuple[int, int]) -> NDArray[np.bool_]:
    """Say of each whole block of (rows, cols) pixels whether one of its pixels is true."""
    n_rows, n_cols = pixels.shape[0] // block[0], pixels.shape[1] // block[1]
    blocks = pixels[: n_rows * block[0], : n_cols * block[1]].reshape(n_rows, block[0], n_cols, block[1])
    return np.asarray(blocks.any(axis=(1, 3)))


def with_neighbours(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add to what is true the pixels above, below and beside it: those whose gradients look at it."""
    wider = pixels.copy()
    wider[1:] |= pixels[:-1]
    wider[:-1] |= pixels[1:]
    wider[:, 1:] |= pixels[:, :-1]
    wider[:, :-1] |= pixels[:, 1:]
    return wider
