"""Time facehog's HOG against scikit-image's, on one core.

Both describe the same frames in turn, in one process: descriptors (facehog computes the cell histograms on the way),
and descriptors with the picture. Run it with a uint8 still of a real recording for the figures that count::

    python benchmarks/bench_hog.py --still ibl_frames_left.npy
"""

from __future__ import annotations

import os

# One core for both, said before any library starts its threads.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import argparse
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog
from skimage.filters import gaussian

from facehog_core.hog import HogParams, compute_histograms, normalise_blocks
from facehog_core.picture import render_pictures

ROWS, COLS = 475, 916  # The crop of a face at 1280 x 1024 pixels.
TOP, LEFT = 22, 53
PARAMS = HogParams()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--still", type=Path, help=".npy of uint8, (row, col) or (n, row, col); made up if left out")
    parser.add_argument("--rounds", type=int, default=15, help="how often each side is timed (default 15)")
    parser.add_argument("--frames", type=int, default=8, help="frames described each time (default 8)")
    options = parser.parse_args()

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    frames = shifted_crops(make_up() if options.still is None else load_still(options.still), options.frames)

    print(
        f"{cpu_name()}, one core; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "scikit-image"))
    )
    print(
        f"{options.frames} crops of {ROWS} x {COLS} pixels, {options.rounds} rounds; ms a frame: median (least to most)"
    )
    for title, ours, theirs in [
        ("descriptors", describe, describe_with_skimage),
        ("descriptors and pictures", describe_and_draw, draw_with_skimage),
    ]:
        ours_ms, theirs_ms = time_in_turn(ours, theirs, frames, options.rounds)
        print(
            f"{title}: facehog {summary(ours_ms)}, scikit-image {summary(theirs_ms)}: "
            f"{median(theirs_ms) / median(ours_ms):.0f} x"
        )


def describe(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    histograms = compute_histograms(frame, PARAMS)
    normalise_blocks(histograms[None], PARAMS)
    return histograms


def describe_and_draw(frame: NDArray[np.uint8]) -> None:
    render_pictures(describe(frame)[None], PARAMS, frame.shape)


def describe_with_skimage(frame: NDArray[np.uint8], *, visualize: bool = False) -> None:
    hog(
        frame,
        PARAMS.orientations,
        PARAMS.pixels_per_cell,
        PARAMS.cells_per_block,
        PARAMS.block_norm,
        visualize=visualize,
        transform_sqrt=PARAMS.transform_sqrt,
    )


def draw_with_skimage(frame: NDArray[np.uint8]) -> None:
    describe_with_skimage(frame, visualize=True)


def time_in_turn(
    ours: Callable[..., object], theirs: Callable[..., object], frames: list[NDArray[np.uint8]], rounds: int
) -> tuple[list[float], list[float]]:
    """Time both sides, in ms a frame, once a round; a first round, where Numba compiles, is not counted."""
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds + 1):
        for describe_one, taken in zip((ours, theirs), times, strict=True):
            start = perf_counter()
            for frame in frames:
                describe_one(frame)
            taken.append((perf_counter() - start) * 1e3 / len(frames))
    return times[0][1:], times[1][1:]


def shifted_crops(picture: NDArray[np.uint8], n_frames: int) -> list[NDArray[np.uint8]]:
    """Cut crops out of the picture as out of a decoder's plane: views, each a pixel further right."""
    return [picture[TOP : TOP + ROWS, LEFT + shift : LEFT + shift + COLS] for shift in range(n_frames)]


def load_still(path: Path) -> NDArray[np.uint8]:
    stills: NDArray[np.uint8] = np.load(path)
    return stills.reshape(-1, *stills.shape[-2:])[0]


def make_up() -> NDArray[np.uint8]:
    """Make fur-like texture of several sizes, with a camera's noise."""
    rng = np.random.default_rng(0)
    texture = sum(gaussian(rng.normal(size=(1024, 1280)), sigma) * sigma for sigma in (2, 8, 32))
    grey = 90 + 60 * texture / np.abs(texture).max() + rng.normal(0, 2, texture.shape)
    return grey.clip(0, 255).astype(np.uint8)


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def summary(times_ms: list[float]) -> str:
    return f"{median(times_ms):.2f} ({min(times_ms):.2f} to {max(times_ms):.2f})"


if __name__ == "__main__":
    main()
