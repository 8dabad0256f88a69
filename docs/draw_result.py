"""Draw the picture of the README: a frame, its HOG picture, and the descriptors over time.

Usage: python docs/draw_result.py STORE OUT.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facehog_core import RecordingReader, open_session

FRAME = 250
GAP_PX = 12
TITLE_PX = 30
STRIP_PX = 150


def main(store: Path, out: Path) -> None:
    """Draw one store."""
    session = open_session(store)
    with RecordingReader(session.attrs["source"]["path"]) as recording:
        frame = np.asarray(recording[FRAME])
    picture = session.images[FRAME].values
    height, width = frame.shape
    total = 2 * width + 3 * GAP_PX
    strip = _over_time(session.histograms.values, (total - 2 * GAP_PX, STRIP_PX))

    sheet = Image.new("L", (total, height + STRIP_PX + 2 * TITLE_PX + 3 * GAP_PX), 255)
    below = TITLE_PX + height + GAP_PX
    parts = [
        (GAP_PX, 0, f"frame {FRAME}, {session.time_s.values[FRAME]:.3f} s", frame),
        (2 * GAP_PX + width, 0, "its histograms of oriented gradients", _stretch(picture)),
        (
            GAP_PX,
            below,
            f"the {STRIP_PX} bins that move most, over {session.sizes['frame']} frames",
            strip,
        ),
    ]
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=20)
    for x, y, title, values in parts:
        draw.text((x, y + 3), title, fill=0, font=font)
        sheet.paste(Image.fromarray(values), (x, y + TITLE_PX))
    sheet.save(out, optimize=True)


def _stretch(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    top = np.quantile(values, 0.995)
    return (255 * np.clip(values / top, 0, 1)).astype(np.uint8)


def _over_time(histograms: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Show the bins that move most, one row each: those of still, dark cells are noise."""
    bins = histograms.reshape(len(histograms), -1)
    most = np.sort(np.argsort(bins.std(axis=0))[-STRIP_PX:])
    scores = ((bins - bins.mean(axis=0)) / bins.std(axis=0).clip(1e-9))[:, most].T
    grey = (127.5 * (1 + np.clip(scores / 3, -1, 1))).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize(size))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
