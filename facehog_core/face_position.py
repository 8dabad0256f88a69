"""Where the face lies against a reference picture of the inbox, in pixels.

By phase correlation [1]_ of the two pictures, averaged to a small size first: a face that moved moves as a whole. What
is found is believed only where the picture, moved back, looks like the reference.

References
----------
.. [1] Kuglin & Hines (1975), "The phase correlation image alignment method", IEEE International Conference on
   Cybernetics and Society, 163-165.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .errors import ConfigError
from .grey import grey_of
from .image import DamagedImageError, UnfitImageError, decode_image
from .recipe import Recipe
from .video import VideoInfo

# Pixels of the longer side, at most, after averaging: then it costs far less than to decode the frame.
SIDE = 128
# Parts of such a pixel that are told apart.
_PARTS = 8
_REMEDY = "Save a frame of a recording as a picture, or take `reference` out of facehog.toml."


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far what a picture shows lies from where the reference has it.

    Parameters
    ----------
    row, col : float
        Down and to the right, in pixels of the picture as it was given.
    likeness : float
        Pearson's correlation of the two, once moved back: 1 for the same picture.
    """

    row: float
    col: float
    likeness: float


def add_reference(
    info: VideoInfo, recipe: Recipe, attributes: Mapping[str, Any]
) -> tuple[NDArray[np.float32] | None, dict[str, Any]]:
    """Read a recipe's reference, if it names one.

    A reference that cannot be used is no fault of a recording: that is a warning.

    Parameters
    ----------
    info : VideoInfo
        The recording.
    recipe : Recipe
    attributes : mapping
        What else is known of the run.

    Returns
    -------
    ndarray of float32 or None
        The small picture that frames are compared with.
    dict
        The attributes, with what the reference is.
    """
    if recipe.reference is None:
        return None, dict(attributes)
    try:
        picture, digest = read_reference(Path(recipe.reference), info, recipe)
    except ConfigError as error:
        remark = f"Where the face lies is not known: {error}"
        return None, {**attributes, "warnings": [*attributes.get("warnings", []), remark]}
    return picture, {**attributes, "reference": {"path": recipe.reference, "digest": digest}}


def read_reference(path: Path, info: VideoInfo, recipe: Recipe) -> tuple[NDArray[np.float32], str]:
    """Read a reference picture.

    Returns
    -------
    ndarray of float32, shape (row, col)
        Cropped as frames are, and averaged.
    str
        xxh3_128 of the file.

    Raises
    ------
    ConfigError
        If it cannot be read, or is of another size than the crop and the frame.
    """
    levels, digest = read_picture(path)
    frame = recipe.turned_shape(info.width, info.height, info.rotation)
    crop = recipe.crop
    if crop and levels.shape == frame:
        levels = levels[crop.window]
    if levels.shape != (crop.shape if crop else frame):
        sizes = [f"{n_cols} x {n_rows}" for n_rows, n_cols in (levels.shape, frame, *([crop.shape] if crop else []))]
        fact = f"the reference has {sizes[0]} pixels, and a frame of {Path(info.path).name} has {sizes[1]}"
        raise ConfigError(path, fact + (f", the crop {sizes[2]}" if crop else ""), _REMEDY)
    n = recipe.downsample * count_averaged(recipe.frame_shape(info.width, info.height, info.rotation))
    return average(levels, n), digest


def read_picture(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Read a picture.

    Returns
    -------
    ndarray of uint8, shape (row, col)
        Its grey.
    str
        xxh3_128 of the file.

    Raises
    ------
    ConfigError
        If it cannot be read, or is none.
    """
    try:
        content = path.read_bytes()
        frame, _ = decode_image(content)
    except OSError as error:
        raise ConfigError(path, f"the reference cannot be read: {error.strerror}", _REMEDY) from error
    except (DamagedImageError, UnfitImageError) as error:
        raise ConfigError(path, f"the reference is no picture that can be read: {error}", _REMEDY) from error
    return grey_of(frame).to_uint8(), xxhash.xxh3_128_hexdigest(content)


def count_averaged(shape: tuple[int, int]) -> int:
    """Return over how many rows and columns a picture of this size (row, col) is averaged."""
    return math.ceil(max(shape) / SIDE)


def average(levels: NDArray[np.uint8], n: int) -> NDArray[np.float32]:
    """Make a picture n times smaller. The sums are of whole numbers: they come out the same whatever their order."""
    n_rows, n_cols = levels.shape[0] // n, levels.shape[1] // n
    rows = levels[: n_rows * n, : n_cols * n].reshape(n_rows, n, n_cols * n).sum(axis=1, dtype=np.uint32)
    small = rows.reshape(n_rows, n_cols, n).sum(axis=2, dtype=np.uint32)
    return np.asarray(small / (n * n), np.float32)


def locate(picture: NDArray[np.float32], reference: NDArray[np.float32]) -> Shift:
    """Find how far what one small picture shows lies from where the other has it, in its pixels.

    Parameters
    ----------
    picture, reference : ndarray of float32
        Of one shape.
    """
    # Here and not above: most inboxes have no reference, and it takes a second to import.
    from skimage.registration import phase_cross_correlation

    # To a Fourier transform the left edge follows the right one: what is near to the edges has no say.
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in reference.shape))
    fixed, moving = ((part - part.mean()) * window for part in (reference, picture))
    if not (fixed.any() and moving.any()):
        # One grey throughout: there is nothing to find.
        return Shift(row=0.0, col=0.0, likeness=0.0)
    back, _, _ = phase_cross_correlation(fixed, moving, upsample_factor=_PARTS)
    row, col = (-float(part) for part in back)
    return Shift(row=row, col=col, likeness=_compare(picture, reference, round(row), round(col)))


def _compare(picture: NDArray[np.float32], reference: NDArray[np.float32], row: int, col: int) -> float:
    """Correlate what both show, when one lies so many rows and columns from the other."""
    n_rows, n_cols = reference.shape
    seen = picture[max(row, 0) : n_rows + min(row, 0), max(col, 0) : n_cols + min(col, 0)]
    expected = reference[max(-row, 0) : n_rows - max(row, 0), max(-col, 0) : n_cols - max(col, 0)]
    first, second = (part - part.mean(dtype=np.float64) for part in (seen, expected))
    norm = math.sqrt(float((first * first).sum()) * float((second * second).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0
