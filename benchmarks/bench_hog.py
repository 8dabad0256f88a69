"""Time facehog's HOG against scikit-image's, on one core.

Both describe the same frames in turn, in one process: descriptors (facehog computes the cell histograms on the way),
and descriptors with the picture. Run it with a uint8 still of a real recording for the figures that count::

    python benchmarks/bench_hog.py --still ibl_frames_left.npy
"""

from __future__ import annotations

import os

# One core for both, said before any library starts its threads.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from side_by_side import (
    Report,
    compare,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
    stay_on_one_core,
    take_turns,
)
from skimage.feature import hog
from skimage.filters import gaussian

from facehog_core.hog import HogParams, compute_histograms, normalise_blocks
from facehog_core.picture import render_pictures

ROWS, COLS = 475, 916  # The crop of a face at 1280 x 1024 pixels.
TOP, LEFT = 22, 53
PARAMS = HogParams()


def main() -> None:
    parser = make_parser(__doc__, rounds=15)
    parser.add_argument("--still", type=Path, help=".npy of uint8, (row, col) or (n, row, col); made up if left out")
    parser.add_argument("--frames", type=int, default=8, help="frames described each time (default 8)")
    options = parser.parse_args()

    machine = describe_machine()
    stay_on_one_core()
    rounds = rounds_of(options)
    frames = shifted_crops(make_up() if options.still is None else load_still(options.still), options.frames)
    ways: dict[str, Callable[[NDArray[np.uint8]], object]] = {
        "facehog, descriptors": describe,
        "scikit-image, descriptors": describe_with_skimage,
        "facehog, descriptors and pictures": describe_and_draw,
        "scikit-image, descriptors and pictures": draw_with_skimage,
    }
    times = take_turns(
        {name: partial(do_all, way, frames) for name, way in ways.items()},
        rounds,
        per=options.frames / 1e3,
        unit="ms a frame",
    )
    ours, theirs, ours_drawn, theirs_drawn = times.values()
    still = "a made-up texture" if options.still is None else options.still.name
    report = Report(
        title="How fast is the kernel, on one core?",
        setting=f"{options.frames} crops of {ROWS} x {COLS} pixels of {still}, {rounds} rounds, one core",
        machine=machine,
        measures=tuple(times.values()),
        findings=(
            compare(ours, theirs, number=1, names=("descriptors and histograms", "skimage.feature.hog"), at_least=60),
            compare(
                ours_drawn,
                theirs_drawn,
                number=1,
                names=("with the picture rendered", "skimage.feature.hog(visualize=True)"),
                at_least=80,
            ),
        ),
    )
    publish(report, options)


def do_all(way: Callable[[NDArray[np.uint8]], object], frames: list[NDArray[np.uint8]]) -> None:
    for frame in frames:
        way(frame)


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


if __name__ == "__main__":
    main()
