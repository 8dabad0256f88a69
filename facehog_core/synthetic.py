"""A mouse's face that nobody filmed: H264 recordings for the demo, the tests and the benchmarks.

Each frame warps one painted portrait as a face moves (sniffing, whisking, chewing, ear, breathing), sets the
eyelids and the pupil, draws the whiskers and adds a camera's noise, so that bit rate and gradients are like those
of a real recording. Everything follows from the seed.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from numpy.random import Generator
from numpy.typing import NDArray

from .kernels import compiled
from .synthetic_behaviour import PARTS, behave
from .synthetic_portrait import EYE, WHISKER_PAD, Canvas, Floats, draw_hairs, paint_portrait

Singles = NDArray[np.float32]

_N_WHISKER_ROWS: Final = 5
_N_WHISKERS_PER_ROW: Final = 5
_CATCHLIGHT: Final = (-0.25, -0.35, 0.16)  # x, y and radius, in the eye's radii
_NEUTRAL_CHROMA: Final = 128
_NOISE_GREY: Final = 1.5  # standard deviation of the camera's noise at mid grey
_N_NOISE: Final = 1 << 20
_NOISE_STRIDE: Final = 7919  # a prime: the rows of a frame read one tape of noise at places that lie far apart


class _Eye:
    """A shiny eye behind lids that close from above and below; it is painted into the scene anew for each frame."""

    def __init__(self, canvas: Canvas, scene: NDArray[np.float32]) -> None:
        x, y = (round(place) for place in canvas.to_pixels(EYE.x, EYE.y))
        reach = math.ceil(1.1 * EYE.x_radius * canvas.scale)
        box = np.s_[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
        across, self._down = (axis[box] for axis in canvas.axes(EYE))
        self._half_height = np.sqrt(np.maximum(0, 1 - across**2))
        self._radius = np.hypot(across, self._down)
        self._pixels_per_radius = EYE.y_radius * canvas.scale
        x_light, y_light, light_radius = _CATCHLIGHT
        self._catchlight = self._within(light_radius - np.hypot(across - x_light, self._down - y_light))
        self._view = scene[box]
        self._lids = self._view.copy()

    def _within(self, depth: Floats) -> Floats:
        """Return how much of each pixel lies inside a border, given its depth in the eye's radii."""
        return np.clip(depth * self._pixels_per_radius + 0.5, 0, 1)

    def paint(self, closed: float, pupil: float) -> None:
        """Set the lids, 0 open to 1 shut, and the pupil's radius as a share of the eye's."""
        ball = 42 - 14 * self._radius**2
        ball -= (ball - 8) * self._within(pupil - self._radius)
        ball += (250 - ball) * self._catchlight
        upper, lower = (1.5 * closed - 1) * self._half_height, (1 - 0.5 * closed) * self._half_height
        seen = self._within(self._down - upper) * self._within(lower - self._down)
        self._view[:] = self._lids + (ball - self._lids) * seen


class _Whiskers(NamedTuple):
    """Whiskers at rest, from the top row to the bottom one; lengths in pixels, angles clockwise from the right."""

    x: Floats
    y: Floats
    heading: Floats
    swing: Floats  # by how much a whisker turns when it is fully stretched forward
    bend: Floats
    length: Floats
    grey: Floats
    opacity: Floats


def _grow_whiskers(canvas: Canvas, rng: Generator) -> _Whiskers:
    """Set whiskers in rows on the pad: the upper ones point up, the lower ones down, the hind ones are longer."""
    row, hind = (
        place.ravel()
        for place in np.meshgrid(np.linspace(-1, 1, _N_WHISKER_ROWS), np.linspace(0, 1, _N_WHISKERS_PER_ROW))
    )
    row = row + rng.uniform(-0.15, 0.15, row.size)
    hind = hind + rng.uniform(-0.1, 0.1, row.size)
    x, y = canvas.to_pixels(
        WHISKER_PAD.x + WHISKER_PAD.x_radius * (1.6 * hind - 0.8), WHISKER_PAD.y + WHISKER_PAD.y_radius * row
    )
    aside = row * (0.75 + 0.45 * hind)  # radians from straight forward, which is to the left
    return _Whiskers(
        x=x,
        y=y,
        heading=np.pi - aside,
        swing=0.3 * aside,
        bend=-0.6 * row + rng.uniform(-0.2, 0.2, row.size),
        length=(0.10 + 0.24 * np.clip(hind, 0, 1)) * canvas.scale * rng.uniform(0.8, 1.2, row.size),
        grey=rng.uniform(140, 255, row.size),
        opacity=rng.uniform(0.3, 0.7, row.size),
    )


@compiled
def _expose(
    scene: Singles,
    x_weight: Singles,
    y_weight: Singles,
    shifts: Singles,
    light: np.float32,
    noise: Singles,
    noise_start: int,
    black: np.float32,
    contrast: np.float32,
    luma: NDArray[np.uint8],
) -> None:
    """Warp the scene and take its picture with a noisy camera, a row at a time, in single precision."""
    n_rows, n_cols = scene.shape
    zero, last_col, last_row = np.float32(0), np.float32(n_cols - 1.001), np.float32(n_rows - 1.001)
    x, y, grey = np.empty(n_cols, np.float32), np.empty(n_cols, np.float32), np.empty(n_cols, np.float32)
    for row in range(n_rows):
        x[:] = 0
        y[:] = 0
        for part in range(shifts.shape[0]):
            if y_weight[part, row] > 0.01:
                x_shift, y_shift = shifts[part, 0] * y_weight[part, row], shifts[part, 1] * y_weight[part, row]
                for col in range(n_cols):
                    x[col] += x_shift * x_weight[part, col]
                    y[col] += y_shift * x_weight[part, col]
        for col in range(n_cols):
            x[col] = min(max(np.float32(col) - x[col], zero), last_col)
            y[col] = min(max(np.float32(row) - y[col], zero), last_row)
        for col in range(n_cols):
            left, top = np.int32(x[col]), np.int32(y[col])
            to_right, down = x[col] - np.float32(left), y[col] - np.float32(top)
            above = scene[top, left] + (scene[top, left + 1] - scene[top, left]) * to_right
            below = scene[top + 1, left] + (scene[top + 1, left + 1] - scene[top + 1, left]) * to_right
            grey[col] = above + (below - above) * down
        start = (noise_start + row * _NOISE_STRIDE) % (noise.size - n_cols)
        for col in range(n_cols):
            # Shot noise grows with the root of the light; the quarter is the electronics' own.
            seen = grey[col] * light
            seen += noise[start + col] * np.sqrt(np.float32(0.25) + seen * np.float32(1 / 128))
            seen = min(max(seen, zero), np.float32(255))
            luma[row, col] = np.uint8(np.int32(black + contrast * seen + np.float32(0.5)))


class MouseFace:
    """The frames of a recording of a head-fixed mouse's face from the side.

    Parameters
    ----------
    n_frames : int
    width, height : int
        In pixels.
    frame_rate : float
        Frames a second: how far the face moves from one frame to the next.
    seed : int
        Decides all that is not decided here; the same seed gives the same frames.
    full_range : bool
        Black is 0 and white 255, instead of 16 and 235.
    """

    def __init__(
        self,
        n_frames: int,
        *,
        width: int = 640,
        height: int = 512,
        frame_rate: float = 30,
        seed: int = 0,
        full_range: bool = False,
    ) -> None:
        # Apart, so that a mouse behaves the same in pictures of any size.
        looks, mind, camera = np.random.default_rng(seed).spawn(3)
        canvas = Canvas(width, height)
        self._scene = paint_portrait(canvas, looks)
        self._eye = _Eye(canvas, self._scene)
        self._whiskers = _grow_whiskers(canvas, looks)
        self._behaviour = behave(n_frames, frame_rate, mind)
        self._noise = (_NOISE_GREY * camera.standard_normal(_N_NOISE)).astype(np.float32)
        self._noise_starts = camera.integers(0, _N_NOISE, n_frames)
        self._black, self._white = (0, 255) if full_range else (16, 235)
        self._scale = canvas.scale
        parts = np.array(list(PARTS.values()))[:, :, None]
        self._x_weight = np.exp(-0.5 * ((canvas.x - parts[:, 0]) / parts[:, 2]) ** 2).astype(np.float32)
        self._y_weight = np.exp(-0.5 * ((canvas.y[:, 0] - parts[:, 1]) / parts[:, 2]) ** 2).astype(np.float32)

    def luma(self, index: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Draw one frame's Y plane.

        Parameters
        ----------
        index : int
            Which frame, from 0.
        out : ndarray of uint8, shape (height, width), optional
            Drawn into; its rows may be padded.

        Returns
        -------
        ndarray of uint8, shape (height, width)
            `out`, or a new array.
        """
        if out is None:
            out = np.empty(self._scene.shape, np.uint8)
        now = self._behaviour
        self._eye.paint(now.eye_closed[index], now.pupil[index])
        contrast = (self._white - self._black) / 255
        shifts = self._scale * now.shifts[index]
        _expose(
            self._scene,
            self._x_weight,
            self._y_weight,
            shifts.astype(np.float32),
            np.float32(now.light[index]),
            self._noise,
            int(self._noise_starts[index]),
            np.float32(self._black),
            np.float32(contrast),
            out,
        )
        whiskers = self._whiskers
        x_pad, y_pad = shifts[list(PARTS).index("pad")]
        draw_hairs(
            out,
            whiskers.x + x_pad,
            whiskers.y + y_pad,
            whiskers.heading + whiskers.swing * now.whisking[index],
            whiskers.bend,
            whiskers.length,
            self._black + contrast * whiskers.grey,
            whiskers.opacity,
        )
        return out

    def frame(self, index: int) -> av.VideoFrame:
        """Draw one frame as `yuv420p` with neutral chroma."""
        height, width = self._scene.shape
        frame = av.VideoFrame(width, height, "yuv420p")
        luma, *chroma = (_pixels(plane) for plane in frame.planes)
        self.luma(index, out=luma[:, :width])
        for plane in chroma:
            plane[:] = _NEUTRAL_CHROMA
        return frame


def _pixels(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return a plane's memory, padding included."""
    # PyAV's stubs do not say that a plane is a buffer.
    memory: NDArray[np.uint8] = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return memory.reshape(plane.height, plane.line_size)


def write_mouse_face(
    path: Path,
    *,
    n_frames: int,
    width: int = 640,
    height: int = 512,
    frame_rate: Fraction | int = 30,
    gop: int = 250,
    n_b_frames: int = 3,
    crf: float = 18,
    preset: str = "veryfast",
    seed: int = 0,
    full_range: bool = False,
) -> Path:
    """Write a synthetic recording as an MP4 of H264, `yuv420p` with neutral chroma.

    It is written under a hidden name in the same folder and gets its own name when it is whole.

    Parameters
    ----------
    path : Path
        The file to write; one of that name is replaced.
    n_frames, width, height, frame_rate, seed, full_range
        As for `MouseFace`; width and height are even.
    gop : int
        Frames from one keyframe to the next.
    n_b_frames : int
        At most so many B-frames in a row.
    crf, preset
        The quality and the effort of libx264.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        If there is no frame to write, or the size is odd.
    """
    if n_frames < 1 or width % 2 or height % 2:
        raise ValueError(f"n_frames must be at least 1 and the size even, got {n_frames} of {width} x {height}")
    face = MouseFace(
        n_frames, width=width, height=height, frame_rate=float(frame_rate), seed=seed, full_range=full_range
    )
    partial = path.with_name(f".{path.name}.part")
    try:
        with av.open(partial, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(frame_rate))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # Frame threads, and always as many: PyAV's default, slices, is slower and as many as the machine has cores.
            stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", 4
            if full_range:
                stream.codec_context.color_range = ColorRange.JPEG
            stream.options = {
                "crf": str(crf),
                "preset": preset,
                "g": str(gop),
                "keyint_min": str(gop),
                "sc_threshold": "0",
                "bf": str(n_b_frames),
            }
            for index in range(n_frames):
                frame = face.frame(index)
                frame.pts, frame.time_base = index, 1 / Fraction(frame_rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
