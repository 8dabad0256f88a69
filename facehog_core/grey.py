"""Grey as the 2020 recipe makes it: RGB by swscale, then 0.2125 R + 0.7154 G + 0.0721 B.

A monochrome camera's H264 has neutral chroma, and then R = G = B is a function of Y alone. So a neutral frame
needs no RGB: its Y plane is read in place, and a table of 256 grey levels says what each Y means. The table
is not computed from a standard but seen: a ramp of all levels is sent through the very conversion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from .kernels import holds_only

# The weights of pims.as_grey and skimage.color.rgb2gray, from ITU-R BT.709.
RED, GREEN, BLUE = 0.2125, 0.7154, 0.0721

N_LEVELS = 256
NEUTRAL = np.uint8(128)

_STORED_LEVELS = np.arange(float(N_LEVELS))
_STORED_LEVELS.flags.writeable = False
_DEEP = re.compile(r"(?:gray|yuv4\d\dp)\d\d?(?P<order>le|be)")

# Pixel formats with 8-bit Y in the first plane and chroma in the others: bytes of a chroma sample there.
_CHROMA_BYTES = {
    "gray": 0,
    "yuv420p": 1,
    "yuvj420p": 1,
    "yuv422p": 1,
    "yuvj422p": 1,
    "yuv444p": 1,
    "yuvj444p": 1,
    "nv12": 2,
}


@dataclass(frozen=True, slots=True)
class Grey:
    """The grey of one frame: Y with a table that says what it means, or the grey itself.

    Parameters
    ----------
    values : ndarray of uint8 or float64, shape (height_px, width_px)
        The Y plane as stored, if there are `levels`; grey from 0 to 255 if not.
    levels : ndarray of float64, shape (256,), or None
        The grey of each Y; integers.
    way : str
        How the grey was found: ``"luma table"``, ``"rgb"``, ``"16-bit grey"``, or ``"luma"`` where it is Y as stored.
    """

    values: NDArray[Any]
    levels: NDArray[np.float64] | None = None
    way: str = "rgb"

    def to_float(self) -> NDArray[np.float64]:
        """Return the grey as float64, shape (height_px, width_px); not rounded."""
        grey: NDArray[np.float64] = self.values if self.levels is None else self.levels[self.values]
        return grey

    def to_uint8(self) -> NDArray[np.uint8]:
        """Return the grey as uint8, shape (height_px, width_px); that of colour is rounded to the nearest."""
        if self.levels is None:
            grey: NDArray[np.uint8] = np.rint(np.minimum(self.values, N_LEVELS - 1)).astype(np.uint8)
        else:
            grey = self.levels.astype(np.uint8)[self.values]
        return grey


def grey_of(frame: VideoFrame) -> Grey:
    """Find the grey of a frame, by the table where its chroma is neutral and through RGB where not.

    Grey of 16 bits (a still image's) is scaled from 0 to 255 and not rounded.

    Parameters
    ----------
    frame : av.VideoFrame

    Returns
    -------
    Grey
        Its `values` may be the frame's own Y plane: read-only, and holding the frame in memory.
    """
    if frame.format.name == "gray16le":
        return Grey(_grey_of_16_bits(frame), way="16-bit grey")
    if is_neutral(frame) and (levels := grey_levels(frame)) is not None:
        return Grey(luma_of(frame), levels, way="luma table")
    return Grey(grey_of_rgb(frame))


def luma_grey(frame: VideoFrame) -> Grey:
    """Take the Y of a frame as its grey, as it is stored: whatever its range is tagged as, and without its chroma.

    Parameters
    ----------
    frame : av.VideoFrame

    Returns
    -------
    Grey
        From 0 to 255. Y of more than 8 bits is divided by the power of two that makes it 8 bits, so that the same
        brightness has the same level, and keeps its fraction: 10 bits end at 255.75. Grey of 16 bits (a still
        image's, where 65535 is white) ends at 255.

    Raises
    ------
    ValueError
        If frames of its pixel format have no Y plane.
    """
    if frame.format.name in _CHROMA_BYTES:
        return Grey(luma_of(frame), _STORED_LEVELS, way="luma")
    if frame.format.name == "gray16le":
        return Grey(_grey_of_16_bits(frame), way="luma")
    if not (deep := _DEEP.fullmatch(frame.format.name)):
        raise ValueError(f"a frame in {frame.format.name} has no Y plane")
    (y, *_), bits = frame.planes, frame.format.components[0].bits
    samples = _lines(y).view("<u2" if deep["order"] == "le" else ">u2")[:, : y.width]
    return Grey(samples / 2.0 ** (bits - 8), way="luma")


def has_luma(pixel_format: str) -> bool:
    """Say whether frames of a pixel format have a Y plane that `luma_grey` can take."""
    return pixel_format in _CHROMA_BYTES or _DEEP.fullmatch(pixel_format) is not None


def paint_over(frame: VideoFrame, covered: NDArray[np.bool_]) -> VideoFrame:
    """Copy a frame, with one and the same grey in place of some pixels.

    Parameters
    ----------
    frame : av.VideoFrame
    covered : ndarray of bool, shape (height_px, width_px)
        The pixels to paint over. A colour sample that several pixels share is painted over if all of them are.

    Returns
    -------
    av.VideoFrame
        A neutral one, if only what is painted over was not.
    """
    painted = VideoFrame(frame.width, frame.height, frame.format.name)
    painted.color_range, painted.colorspace = frame.color_range, frame.colorspace
    for number, (plane, target) in enumerate(zip(frame.planes, painted.planes, strict=True)):
        parts = [part for part in frame.format.components if part.plane == number]
        depth = parts[0].bits
        n_values = len(parts) * plane.width
        values = _lines(target).view(np.uint8 if depth <= 8 else np.uint16)[:, :n_values]
        values[:] = _lines(plane).view(values.dtype)[:, :n_values]
        is_covered = _all_covered(covered, (plane.height, plane.width))
        # Half of what a sample can be: neutral in chroma, and as good as any other value in Y or RGB.
        values.reshape(plane.height, plane.width, len(parts))[is_covered] = 1 << (depth - 1)
    return painted


def _all_covered(covered: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Say of each sample of a plane whether all pixels that share it are covered."""
    share = [-(-covered.shape[axis] // shape[axis]) for axis in (0, 1)]
    room = [(0, shape[axis] * share[axis] - covered.shape[axis]) for axis in (0, 1)]
    blocks = np.pad(covered, room, constant_values=True).reshape(shape[0], share[0], shape[1], share[1])
    return np.asarray(blocks.all(axis=(1, 3)))


def grey_of_rgb(frame: VideoFrame) -> NDArray[np.float64]:
    """Find the grey of a frame by the general way, as PIMS's `as_grey` does on PyAV's RGB.

    Parameters
    ----------
    frame : av.VideoFrame

    Returns
    -------
    ndarray of float64, shape (height_px, width_px)
        From 0 to 255, not rounded.
    """
    rgb = frame.to_ndarray(format="rgb24")
    # The order of the sum is that of pims.as_grey: the last bit is the same too.
    grey: NDArray[np.float64] = RED * rgb[..., 0] + GREEN * rgb[..., 1] + BLUE * rgb[..., 2]
    return grey


def _grey_of_16_bits(frame: VideoFrame) -> NDArray[np.float64]:
    """Scale 16-bit grey to that of 8 bits, unrounded: its 65535 is 255."""
    plane = frame.planes[0]
    return _lines(plane).view("<u2")[:, : plane.width] * (255 / 65535)


def grey_levels(frame: VideoFrame) -> NDArray[np.float64] | None:
    """Find what each Y means in a frame like this one, if its chroma is neutral.

    Parameters
    ----------
    frame : av.VideoFrame
        Its pixel format, colour range, colour space and size are looked at, not its pixels.

    Returns
    -------
    ndarray of float64, shape (256,), or None
        The grey of each Y: integers. None where RGB is no function of Y alone.
    """
    if frame.format.name not in _CHROMA_BYTES:
        return None
    return _seen_levels(frame.format.name, frame.color_range, frame.colorspace, frame.width, frame.height % 2 == 1)


# For odd widths and heights swscale goes other ways, which round differently, and its vector code may treat
# the last columns in its own way: so the ramp has the width of the frame and the parity of its height.
@lru_cache(maxsize=64)
def _seen_levels(
    pixel_format: str, color_range: int, colorspace: int, width: int, has_odd_height: bool
) -> NDArray[np.float64] | None:
    height = N_LEVELS + has_odd_height
    # Each column holds every level once in its first 256 rows, next to levels that are far from it.
    rows, cols = np.ogrid[:height, :width]
    luma = ((167 * rows + 89 * cols) % N_LEVELS).astype(np.uint8)
    rgb = _neutral_frame(luma, pixel_format, color_range, colorspace).to_ndarray(format="rgb24")
    levels = np.empty(N_LEVELS, np.uint8)
    levels[luma[:N_LEVELS, 0]] = rgb[:N_LEVELS, 0, 0]
    if not (rgb == levels[luma][..., np.newaxis]).all():
        return None
    exact = levels.astype(np.float64)
    exact.flags.writeable = False
    return exact


def _neutral_frame(luma: NDArray[np.uint8], pixel_format: str, color_range: int, colorspace: int) -> VideoFrame:
    height, width = luma.shape
    frame = VideoFrame(width, height, pixel_format)
    frame.color_range, frame.colorspace = color_range, colorspace
    y, *chroma = frame.planes
    _lines(y)[:, :width] = luma
    for plane in chroma:
        _lines(plane)[:] = NEUTRAL
    return frame


def is_neutral(frame: VideoFrame) -> bool:
    """Tell whether all of a frame's chroma is neutral, so that its Y says everything.

    Parameters
    ----------
    frame : av.VideoFrame

    Returns
    -------
    bool
        False also for pixel formats without an 8-bit Y plane.
    """
    if (n_bytes := _CHROMA_BYTES.get(frame.format.name)) is None:
        return False
    return all(holds_only(NEUTRAL, _view(plane, n_bytes)) for plane in frame.planes[1:])


def luma_of(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a frame's Y plane as stored, in place.

    Parameters
    ----------
    frame : av.VideoFrame
        In a pixel format with an 8-bit Y plane.

    Returns
    -------
    ndarray of uint8, shape (height_px, width_px)
        A view, strided by the decoder's line size. It is read-only, since the decoder predicts later frames
        from this very memory, and it keeps that memory from being used again for as long as it is held.

    Raises
    ------
    ValueError
        If the pixel format has no 8-bit Y plane.
    """
    if frame.format.name not in _CHROMA_BYTES:
        raise ValueError(f"a frame in {frame.format.name} has no 8-bit Y plane, take grey_of(frame)")
    return _view(frame.planes[0], 1)


def _view(plane: VideoPlane, n_bytes: int) -> NDArray[np.uint8]:
    view = _lines(plane)[:, : plane.width * n_bytes]
    view.flags.writeable = False
    return view


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return a plane's memory by lines, with the padding at their ends."""
    # PyAV's stubs do not say that a plane is a buffer.
    memory: NDArray[np.uint8] = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return memory.reshape(plane.height, plane.line_size)
