"""Recordings that carry their own frame numbers: each frame shows its number as a bar code.

What is decoded can so be asked which frame it is, whatever the container says about its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

N_BITS = 10
BAR = 16  # pixels: a macroblock, so that bars survive coding
DARK, BRIGHT = 40, 200
HEIGHT, WIDTH = 96, N_BITS * BAR


def draw(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Draw a frame, shape (height, width): the bar code above a moving texture."""
    rows, cols = np.ogrid[:height, :width]
    picture = (120 + 60 * np.sin((cols + 3 * number) / 9) * np.cos((rows - 2 * number) / 7)).astype(np.uint8)
    for bit in range(N_BITS):
        picture[: 2 * BAR, bit * BAR : (bit + 1) * BAR] = BRIGHT if number >> bit & 1 else DARK
    return picture


def read_number(luma: NDArray[Any]) -> int:
    """Read the number that a decoded frame shows."""
    bars = luma[BAR // 2 : BAR * 3 // 2, : N_BITS * BAR].reshape(BAR, N_BITS, BAR)[:, :, 4:-4]
    return sum(1 << bit for bit, level in enumerate(bars.mean(axis=(0, 2))) if level > (DARK + BRIGHT) / 2)


def write_recording(
    path: Path,
    n_frames: int,
    *,
    x264: str = "keyint=12:min-keyint=12:scenecut=0:bframes=3",
    muxer: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 30),
    size: tuple[int, int] = (HEIGHT, WIDTH),
    chroma: int | Sequence[int] = 128,
    codec: dict[str, Any] | None = None,
) -> Path:
    """Write a recording of `n_frames` numbered frames with libx264; the container follows from the name.

    `chroma` is the value of all colour samples, or that of each frame; 128 is neutral.
    """
    height, width = size
    with av.open(path, "w", options=muxer or {}) as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"x264-params": x264, "preset": "veryfast", "qp": "18"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        for name, value in (codec or {}).items():
            setattr(stream.codec_context, name, value)
        for number in range(n_frames):
            colour = chroma if isinstance(chroma, int) else chroma[number]
            frame = _frame(draw(number, height, width), pixel_format, colour)
            frame.pts, frame.time_base = (pts[number] if pts else number), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _frame(luma: NDArray[np.uint8], pixel_format: str, chroma: int) -> av.VideoFrame:
    height, width = luma.shape
    frame = av.VideoFrame(width, height, pixel_format)
    depth = 10 if "10le" in pixel_format else 8
    for number, plane in enumerate(frame.planes):
        lines = np.frombuffer(plane, np.uint16 if depth > 8 else np.uint8).reshape(plane.height, -1)
        samples = luma if number == 0 else np.array(chroma)
        lines[:, : plane.width] = samples.astype(lines.dtype) << depth - 8
    return frame
