"""Look at a frame: how bright and how sharp it is, and where the face lies in it."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from .face_position import average, count_averaged, locate
from .mask import with_neighbours
from .quality import FrameLook
from .view import View

_WHITE = 255


def look_at_frame(
    frame: VideoFrame, number: int, view: View, reference: NDArray[np.float32] | None = None
) -> FrameLook:
    """Measure one frame.

    Parameters
    ----------
    frame : av.VideoFrame
    number : int
        Its number in the recording.
    view : View
        What is described of it.
    reference : ndarray of float32, optional
        As `facehog_core.face_position.read_reference` returns it.
    """
    levels, hidden = view.levels_of(frame), view.hidden
    seen = levels if hidden is None else levels[~hidden]
    shift = likeness = None
    brightness = int(seen.sum(dtype=np.int64)) / seen.size
    if reference is not None:
        # What is under a mask is made of one grey: an edge is a little of a face that never moves.
        shown = levels if hidden is None else np.where(hidden, np.uint8(round(brightness)), levels)
        n = count_averaged(view.frame_shape)
        found = locate(average(shown, n), reference)
        pixels = n * view.recipe.downsample
        shift, likeness = (round(found.row * pixels, 2), round(found.col * pixels, 2)), round(found.likeness, 4)
    return FrameLook(
        frame=number,
        brightness=round(brightness, 3),
        saturated=round(int(np.count_nonzero(seen == _WHITE)) / seen.size, 6),
        focus=round(measure_focus(levels, hidden), 3),
        shift=shift,
        likeness=likeness,
    )


def measure_focus(levels: NDArray[np.uint8], hidden: NDArray[np.bool_] | None = None) -> float:
    """Measure how sharp a picture is: the variance of its Laplacian [1]_, without its outermost pixels.

    Parameters
    ----------
    levels : ndarray of uint8, shape (row, col)
    hidden : ndarray of bool, shape (row, col), optional
        Pixels that have no say, nor those beside them.

    References
    ----------
    .. [1] Pech-Pacheco et al. (2000), "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR,
       doi:10.1109/ICPR.2000.903548
    """
    grey = levels.astype(np.int16)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    if hidden is not None:
        laplacian = laplacian[~with_neighbours(hidden)[1:-1, 1:-1]]
    n = laplacian.size
    # Whole numbers: the sums are exact.
    total = int(laplacian.sum(dtype=np.int64))
    squares = int(np.square(laplacian, dtype=np.int32).sum(dtype=np.int64))
    return (n * squares - total * total) / (n * n) if n else 0.0
