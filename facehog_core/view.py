"""What of one decoded frame is described: grey, turned, cropped, averaged, without what is under a mask.

In this order: grey -> rotation -> crop -> downsampling -> cell histograms -> masked cells. No pixel under a mask has a
say in any stored number. A gradient looks at the pixels beside its own, so a cell is masked when one of its pixels, or
a direct neighbour of one, is under a mask. Masked cells are NaN in the histograms, and 0 in the descriptors: they
enter the normalisation of their blocks as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from .errors import CropError, ViewError
from .grey import Grey, grey_of, has_luma, is_neutral, luma_grey, paint_over
from .hog import compute_histograms, normalise_blocks
from .mask import blocks_with_any, with_neighbours
from .params import HogParams
from .recipe import Recipe
from .video import VideoInfo

_CHANGE_MASKS = "Change `masks`: they are in pixels of the whole frame, before the crop."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What a recipe describes of the frames of one recording; each process makes its own.

    Parameters
    ----------
    info : VideoInfo
    recipe : Recipe

    Raises
    ------
    ViewError
        If the masks leave nothing, one of them is outside of the frame, or the frames cannot be turned or have no Y.
    CropError
        If the crop reaches outside of the frame, or holds no block.
    """

    info: VideoInfo
    recipe: Recipe
    _covered: NDArray[np.bool_] | None = field(init=False, repr=False)
    _hidden: NDArray[np.bool_] | None = field(init=False, repr=False)
    _masked: NDArray[np.bool_] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_luma()
        self._check_turns()
        self._check_crop()
        covered = self._cover() if self.recipe.masks else None
        hidden = None if covered is None else self._hide(covered)
        masked = None if hidden is None else self._mask_cells(hidden)
        object.__setattr__(self, "_covered", covered)
        object.__setattr__(self, "_hidden", hidden)
        object.__setattr__(self, "_masked", masked)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Size of what is described, (row, col)."""
        return self.recipe.frame_shape(self.info.width, self.info.height, self.info.rotation)

    @property
    def masked(self) -> NDArray[np.bool_] | None:
        """Which cells are masked, shape (cell_row, cell_col); None if there are no masks."""
        return self._masked

    @property
    def hidden(self) -> NDArray[np.bool_] | None:
        """Which pixels of what is described are under a mask, shape (row, col); None if there are no masks."""
        return self._hidden

    @property
    def n_turns(self) -> int:
        """Quarter turns counterclockwise by which frames are turned."""
        return self.info.rotation // 90 % 4 if self.recipe.apply_rotation else 0

    def make_histograms(self, n_frames: int) -> NDArray[np.float32]:
        """Return room for the histograms of so many frames."""
        hog = self.recipe.hog
        return np.empty((n_frames, *hog.n_cells(self.frame_shape), hog.orientations), np.float32)

    def describe(self, frame: VideoFrame, out: NDArray[np.float32]) -> str:
        """Describe a frame.

        Parameters
        ----------
        frame : av.VideoFrame
        out : ndarray of float32, shape (cell_row, cell_col, orientation)
            Where its cell histograms go.

        Returns
        -------
        str
            The way by which it was made grey.
        """
        grey = self._make_grey(frame)
        values, levels = self.look(grey)
        compute_histograms(values, self.recipe.hog, levels=levels, out=out)
        if self._masked is not None:
            out[self._masked] = np.nan
        return grey.way

    def look(self, grey: Grey) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """Turn, crop and average the grey of a whole frame.

        Returns
        -------
        values : ndarray of uint8 or float64, shape (row, col)
        levels : ndarray of float64, shape (256,), or None
            As in `Grey`. Without downsampling `values` is where the decoder put it: nothing is copied.
        """
        crop = self.recipe.crop
        values = np.rot90(grey.values, self.n_turns) if self.n_turns else grey.values
        values = values[crop.window] if crop else values
        if self.recipe.downsample == 1:
            return values, grey.levels
        return average_blocks(values if grey.levels is None else grey.levels[values], self.recipe.downsample), None

    def levels_of(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the grey of what is described of a frame in whole levels, shape (row, col)."""
        return Grey(*self.look(self._make_grey(frame))).to_uint8()

    def normalise(self, histograms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make the descriptors that follow from cell histograms and the masked cells."""
        return normalise_cells(histograms, self.recipe.hog, self._masked)

    def _make_grey(self, frame: VideoFrame) -> Grey:
        if self.recipe.grey == "luma":
            return luma_grey(frame)
        if self._covered is not None and not is_neutral(frame):
            # Colour reaches beyond its pixel: by shared and interpolated samples, and by the way that it decides.
            frame = paint_over(frame, np.rot90(self._covered, -self.n_turns))
        return grey_of(frame)

    def _check_luma(self) -> None:
        if self.recipe.grey == "luma" and not has_luma(self.info.pixel_format):
            raise ViewError(
                self.info.path, f"its frames, in {self.info.pixel_format}, have no Y plane", 'Set `grey = "rgb"`.'
            )

    def _check_turns(self) -> None:
        if self.recipe.apply_rotation and self.info.rotation % 90:
            raise ViewError(
                self.info.path,
                f"it asks to be shown turned by {self.info.rotation} degrees, and only quarter turns can be applied",
                "Set `apply_rotation = false`: frames are then described as stored.",
            )

    def _check_crop(self) -> None:
        recipe, hog = self.recipe, self.recipe.hog
        n_rows, n_cols = recipe.turned_shape(self.info.width, self.info.height, self.info.rotation)
        if recipe.crop and not recipe.crop.fits(n_cols, n_rows):
            raise CropError(
                self.info.path,
                f"the crop {recipe.crop.as_list()} (x, y, width, height) reaches outside of the frame of "
                f"{n_cols} x {n_rows} pixels{' as it is turned' if self.n_turns else ''}",
                "Change `crop` of the inbox or of the file beside the recording, or give --crop.",
            )
        rows, cols = self.frame_shape
        least = [hog.pixels_per_cell[axis] * hog.cells_per_block[axis] for axis in (0, 1)]
        if rows < least[0] or cols < least[1]:
            after = f" (after downsampling by {recipe.downsample})" if recipe.downsample > 1 else ""
            raise CropError(
                self.info.path,
                f"{cols} x {rows} pixels{after} hold no block of {least[1]} x {least[0]}",
                f"Make `crop` larger, or pixels_per_cell{' or downsample' if after else ''} smaller.",
            )

    def _cover(self) -> NDArray[np.bool_]:
        """Say of each pixel of the whole frame, turned if it is to be, whether it is under a mask."""
        shape = self.recipe.turned_shape(self.info.width, self.info.height, self.info.rotation)
        covered = np.zeros(shape, np.bool_)
        for mask in self.recipe.masks:
            covers = mask.covers(shape)
            if not covers.any():
                raise ViewError(
                    self.info.path,
                    f"the mask {mask.as_dict()} covers no pixel of the frame of {shape[1]} x {shape[0]} pixels",
                    _CHANGE_MASKS,
                )
            covered |= covers
        return covered

    def _hide(self, covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
        n, crop = self.recipe.downsample, self.recipe.crop
        return blocks_with_any(covered[crop.window] if crop else covered, (n, n))

    def _mask_cells(self, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
        masked = blocks_with_any(with_neighbours(hidden), self.recipe.hog.pixels_per_cell)
        if masked.all():
            raise ViewError(self.info.path, f"the masks leave none of its {masked.size} cells", _CHANGE_MASKS)
        return masked


def average_blocks(grey: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Average grey over blocks of `n` x `n` pixels; pixels that do not fill a block are dropped.

    The sum is taken row by row in the order of the pixels, so that its last bit is the same on every machine.
    """
    n_rows, n_cols = grey.shape[0] // n, grey.shape[1] // n
    total = np.zeros((n_rows, n_cols))
    for row in range(n):
        for col in range(n):
            total += grey[row : n_rows * n : n, col : n_cols * n : n]
    return total / (n * n)


def normalise_cells(
    histograms: NDArray[np.float32], params: HogParams, masked: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Make the descriptors that follow from cell histograms of which some cells are masked.

    Parameters
    ----------
    histograms : ndarray of float32, shape (n_frames, cell_row, cell_col, orientation)
        All NaN where a frame is lost: its descriptor is then NaN.
    params : HogParams
    masked : ndarray of bool, shape (cell_row, cell_col), or None
        The cells that enter their blocks as zeros.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_features)
    """
    if masked is None:
        return normalise_blocks(histograms, params)
    zeroed = histograms.copy()
    zeroed[:, masked] = 0
    descriptors = normalise_blocks(zeroed, params)
    descriptors[np.isnan(histograms).all(axis=(1, 2, 3))] = np.nan
    return descriptors
