"""A still portrait of a head-fixed mouse, painted hair by hair: what `synthetic.MouseFace` sets in motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from .kernels import compiled

Floats = NDArray[np.float64]


class Ellipse(NamedTuple):
    """An ellipse in face units: the picture is 1 high and 1.25 wide, (0, 0) is its top left corner."""

    x: float
    y: float
    x_radius: float
    y_radius: float
    tilt_rad: float = 0.0  # clockwise on the screen


FACE_WIDTH: Final = 1.25
EYE: Final = Ellipse(0.440, 0.365, 0.043, 0.036, -0.20)
WHISKER_PAD: Final = Ellipse(0.215, 0.510, 0.055, 0.050)

_NOSE_TIP: Final = Ellipse(0.090, 0.482, 0.15, 0.15)
_NOSTRIL: Final = Ellipse(0.107, 0.487, 0.011, 0.006, 0.90)
_MOUTH: Final = Ellipse(0.200, 0.617, 0.060, 0.004, 0.28)
_EAR: Final = Ellipse(0.925, 0.300, 0.135, 0.092, -0.80)
_EAR_ROOT: Final = Ellipse(0.850, 0.375, 0.060, 0.045)
_CHEST: Final = Ellipse(0.570, 0.930, 0.060, 0.120, 0.20)
_HEAD_BAR: Final = (0.66, 0.085, 0.125)  # its left end, the lower border of its top and of its front
_CEMENT: Final = Ellipse(0.830, 0.130, 0.140, 0.042)
_SPOUT: Final = Ellipse(-0.170, 0.690, 0.290, 0.024, -0.05)
_OUTLINE: Final = (  # of the body, (x, y), clockwise from the nose
    *((0.086, 0.458), (0.106, 0.424), (0.152, 0.392), (0.235, 0.350), (0.320, 0.304), (0.400, 0.256)),
    *((0.480, 0.217), (0.570, 0.188), (0.680, 0.166), (0.800, 0.160), (0.920, 0.175), (1.050, 0.190)),
    *((1.400, 0.200), (1.400, 1.200), (0.600, 1.200), (0.572, 0.990), (0.552, 0.900), (0.533, 0.830)),
    *((0.505, 0.780), (0.460, 0.742), (0.395, 0.718), (0.325, 0.705), (0.265, 0.690), (0.220, 0.664)),
    *((0.190, 0.624), (0.140, 0.606), (0.104, 0.572), (0.088, 0.530), (0.078, 0.490)),
)
_RELIEF: Final = (  # how far a place stands out of the smooth body, in face units
    (0.020, WHISKER_PAD),
    (0.030, Ellipse(0.620, 0.520, 0.110, 0.090, 0.20)),  # cheek
    (0.020, Ellipse(0.500, 0.325, 0.050, 0.030, -0.40)),  # brow
    (-0.020, Ellipse(0.440, 0.365, 0.060, 0.050)),  # eye socket
    (-0.020, Ellipse(0.640, 0.800, 0.140, 0.050, -0.75)),  # throat
    (0.014, Ellipse(0.265, 0.655, 0.050, 0.030, 0.30)),  # chin
)
_ROUNDINGS: Final = ((0.05, 0.015), (0.10, 0.05), (0.22, 0.12))  # height and width, in face units
_LIGHT: Final = (-0.63, -0.40, 0.66)  # a unit vector: from the front and above, from the camera's side


def _centred(n_pixels: int) -> Floats:
    """Return how far each of a row of pixels is from the row's middle, in pixels."""
    return np.linspace(-0.5, 0.5, n_pixels) * (n_pixels - 1)


@dataclass(frozen=True)
class Canvas:
    """The pixels of a picture, in face units; a picture of another shape shows the same face, centred."""

    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels in one face unit."""
        return min(self.width / FACE_WIDTH, self.height)

    @property
    def x(self) -> Floats:
        """Where the columns lie, shape (width,)."""
        return FACE_WIDTH / 2 + _centred(self.width) / self.scale

    @property
    def y(self) -> Floats:
        """Where the rows lie, shape (height, 1)."""
        return 1 / 2 + _centred(self.height)[:, None] / self.scale

    def to_pixels(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return (column, row) of places given in face units."""
        return (x - self.x[0]) * self.scale, (y - self.y[0, 0]) * self.scale

    def axes(self, ellipse: Ellipse) -> tuple[Floats, Floats]:
        """Return each pixel's coordinates along the axes of an ellipse, in its radii."""
        cos, sin = math.cos(ellipse.tilt_rad), math.sin(ellipse.tilt_rad)
        x, y = self.x - ellipse.x, self.y - ellipse.y
        return (cos * x + sin * y) / ellipse.x_radius, (cos * y - sin * x) / ellipse.y_radius

    def radius(self, ellipse: Ellipse) -> Floats:
        """Return each pixel's distance from the centre of an ellipse, in its radii."""
        return np.hypot(*self.axes(ellipse))

    def fill(self, ellipse: Ellipse) -> Floats:
        """Return how much of each pixel an ellipse covers, 0 to 1."""
        return np.clip((1 - self.radius(ellipse)) * ellipse.y_radius * self.scale + 0.5, 0, 1)

    def glow(self, ellipse: Ellipse) -> Floats:
        """Return a Gaussian with the radii of an ellipse as its standard deviations."""
        return np.exp(-0.5 * self.radius(ellipse) ** 2)

    def blur(self, picture: Floats, sigma: float) -> Floats:
        """Return a picture under a Gaussian blur, `sigma` in face units."""
        sigma_px = sigma * self.scale
        margin = int(3 * sigma_px) + 1
        padded = np.pad(picture, margin, mode="symmetric")
        frequency_squared = np.fft.fftfreq(padded.shape[0])[:, None] ** 2 + np.fft.rfftfreq(padded.shape[1]) ** 2
        kernel = np.exp(-2 * (math.pi * sigma_px) ** 2 * frequency_squared)
        blurred: Floats = np.fft.irfft2(np.fft.rfft2(padded) * kernel, padded.shape)
        return blurred[margin:-margin, margin:-margin]

    def clouds(self, rng: Generator, sigma: float) -> Floats:
        """Return noise of unit deviation whose spots are about `sigma` face units wide."""
        noise = self.blur(rng.standard_normal((self.height, self.width)), sigma)
        return noise / float(noise.std())


@compiled
def draw_hairs(
    picture: NDArray[Any],
    x: Floats,
    y: Floats,
    heading: Floats,
    bend: Floats,
    length: Floats,
    grey: Floats,
    opacity: Floats,
) -> None:
    """Draw hairs that taper from root to tip.

    Parameters
    ----------
    picture : ndarray, shape (n_rows, n_cols)
        Drawn into.
    x, y : ndarray of float64, shape (n_hairs,)
        The roots: column and row.
    heading, bend : ndarray of float64, shape (n_hairs,)
        Direction at the root and by how much it turns up to the tip, in radians clockwise from the right.
    length, grey, opacity : ndarray of float64, shape (n_hairs,)
        In pixels; in the units of `picture`; 0 to 1, at the root.
    """
    n_rows, n_cols = picture.shape
    for hair in range(x.size):
        col, row, direction = x[hair], y[hair], heading[hair]
        n_steps = int(1.4 * length[hair]) + 2
        step = length[hair] / n_steps
        for i in range(n_steps):
            left, top = math.floor(col), math.floor(row)
            if 0 <= left < n_cols - 1 and 0 <= top < n_rows - 1:
                cover = opacity[hair] * (1 - i / n_steps)
                for r, in_row in ((top, 1 - row + top), (top + 1, row - top)):
                    for c, in_col in ((left, 1 - col + left), (left + 1, col - left)):
                        picture[r, c] += cover * in_row * in_col * (grey[hair] - picture[r, c])
            col += step * math.cos(direction)
            row += step * math.sin(direction)
            direction += bend[hair] / n_steps


def paint_portrait(canvas: Canvas, rng: Generator) -> NDArray[np.float32]:
    """Paint a mouse's face from the side: fur, ear, nose, mouth, and the rig that holds it.

    Parameters
    ----------
    canvas : Canvas
        The size of the picture.
    rng : numpy.random.Generator
        Decides where each hair lies.

    Returns
    -------
    ndarray of float32, shape (height, width)
        Grey, 0 to 255, with the eye shut and without whiskers.
    """
    body = _body(canvas)
    shade = _shade(canvas, body)
    backdrop = 8 + 10 * np.exp(-(((canvas.x - 0.035) / 0.03) ** 2)) + 1.5 * canvas.clouds(rng, 0.25)
    picture = backdrop + (0.6 * shade - backdrop) * body
    _paint_coat(picture, canvas, body, shade, rng)
    _paint_ear(picture, canvas, rng)
    _paint_features(picture, canvas)
    _paint_rig(picture, canvas, rng)
    return picture.astype(np.float32)


def _body(canvas: Canvas) -> Floats:
    """Return how much of each pixel the body covers."""
    corners = [canvas.to_pixels(x, y)[::-1] for x, y in _OUTLINE]
    rounding = 0.012
    inside = canvas.blur(polygon2mask((canvas.height, canvas.width), corners).astype(float), rounding)
    return np.clip((inside - 0.5) * 3 * rounding * canvas.scale + 0.5, 0, 1)


def _shade(canvas: Canvas, body: Floats) -> Floats:
    """Return the grey of the fur: a lit relief of dark hair, bright at muzzle and chest."""
    # The blurred silhouette, at several widths, is a body that is round at its borders.
    rounded = [height * canvas.blur(body, width) for height, width in _ROUNDINGS]
    features = [height * canvas.glow(place) for height, place in _RELIEF]
    relief = np.sum(rounded + features, axis=0)
    y_slope, x_slope = np.gradient(relief, 1 / canvas.scale)
    x_light, y_light, z_light = _LIGHT
    facing = (z_light - x_slope * x_light - y_slope * y_light) / np.sqrt(1 + x_slope**2 + y_slope**2)
    eyelids = np.exp(-(((canvas.radius(EYE) - 1.35) / 0.3) ** 2))
    fairness = 0.30 + 0.85 * np.exp(-(canvas.radius(_NOSE_TIP) ** 1.5)) + 0.3 * canvas.glow(_CHEST)
    grey: Floats = 255 * (0.03 + fairness * (1 + 0.35 * eyelids) * np.clip(facing, 0, 1) ** 1.6)
    return grey


def _paint_coat(picture: Floats, canvas: Canvas, body: Floats, shade: Floats, rng: Generator) -> None:
    """Cover the body with hairs that run from the nose backwards and, behind the cheek, down."""
    x, y = np.broadcast_arrays(canvas.x, canvas.y)
    from_nose = np.hypot(x - _NOSE_TIP.x, y - _NOSE_TIP.y)
    rows, cols = np.nonzero(body > 0.5)
    roots = rng.integers(0, rows.size, rows.size // 4)
    # Those at the back first: hairs point backwards and lie over the roots of those behind them.
    roots = roots[np.argsort(-from_nose[rows[roots], cols[roots]], kind="stable")]
    at = rows[roots], cols[roots]
    n_hairs = roots.size
    down = 0.7 * np.clip(2 * (x - 0.45), 0, 1) * np.clip(2 * (y - 0.35), 0, 1)
    flow = np.arctan2(y - _NOSE_TIP.y, x - _NOSE_TIP.x + 0.02) + down + 0.22 * canvas.clouds(rng, 0.05)
    tone = shade * np.exp(0.13 * canvas.clouds(rng, 0.03))
    draw_hairs(
        picture,
        at[1] + rng.random(n_hairs),
        at[0] + rng.random(n_hairs),
        flow[at] + 0.16 * rng.standard_normal(n_hairs),
        0.5 * rng.standard_normal(n_hairs),
        (0.010 + 0.053 * np.clip(from_nose[at], 0, 0.9)) * canvas.scale * rng.uniform(0.6, 1.3, n_hairs),
        np.clip(tone[at] * np.exp(0.36 * rng.standard_normal(n_hairs)), 4, 255),
        np.full(n_hairs, 0.6),
    )


def _paint_ear(picture: Floats, canvas: Canvas, rng: Generator) -> None:
    """Paint the ear's thin, bright skin, and a tuft of hairs over its root."""
    along, across = canvas.axes(_EAR)
    radius = canvas.radius(_EAR)
    rim = np.exp(-(((radius - 0.95) / 0.05) ** 2)) * np.clip(0.6 + 0.4 * along - 0.3 * across, 0, 1)
    skin = 105 + 50 * along - 20 * across + 60 * rim + 6 * canvas.clouds(rng, 0.012)
    picture += (skin - picture) * canvas.fill(_EAR)
    n_hairs = int(0.004 * canvas.scale**2)
    x, y = canvas.to_pixels(
        rng.normal(_EAR_ROOT.x, _EAR_ROOT.x_radius / 2, n_hairs),
        rng.normal(_EAR_ROOT.y, _EAR_ROOT.y_radius / 2, n_hairs),
    )
    draw_hairs(
        picture,
        x,
        y,
        rng.normal(-0.7, 0.35, n_hairs),
        0.5 * rng.standard_normal(n_hairs),
        0.06 * canvas.scale * rng.uniform(0.4, 1.3, n_hairs),
        rng.uniform(30, 110, n_hairs),
        np.full(n_hairs, 0.5),
    )


def _paint_features(picture: Floats, canvas: Canvas) -> None:
    """Paint the nostril, the mouth and the line of the shut eyelids."""
    shut_eye = Ellipse(EYE.x, EYE.y + 0.4 * EYE.y_radius, EYE.x_radius, 0.0035, EYE.tilt_rad)
    for place, depth in ((_NOSTRIL, 0.85), (_MOUTH, 0.8), (shut_eye, 0.8)):
        picture *= 1 - depth * canvas.fill(place)


def _paint_rig(picture: Floats, canvas: Canvas, rng: Generator) -> None:
    """Paint cement, head bar and lick spout."""
    end, top, front = _HEAD_BAR
    behind_end = np.clip((canvas.x - end) * canvas.scale, 0, 1)
    scratches = 4 * rng.standard_normal((canvas.height, 1)) + 3 * canvas.clouds(rng, 0.02)
    _, across = canvas.axes(_SPOUT)
    layers = (
        (170 + 12 * canvas.clouds(rng, 0.01), canvas.fill(_CEMENT)),
        (110 + scratches, behind_end * np.clip((front - canvas.y) * canvas.scale, 0, 1)),
        (225 + scratches, behind_end * np.clip((top - canvas.y) * canvas.scale, 0, 1)),
        (25 + 150 * np.exp(-(((across + 0.35) / 0.25) ** 2)), canvas.fill(_SPOUT)),
    )
    for grey, cover in layers:
        picture += (grey - picture) * cover
