"""Compare facehog with the way that labs go by hand, on a part of a recording.

That way is `dask_image.imread.imread`, grey, crop, and `skimage.feature.hog(visualize=True)` block by block, then one
`to_zarr` for descriptors and one for pictures, each on Dask's process scheduler: so everything is decoded and computed
twice. `imread` makes a block of each frame, opens the file for each, and its reader finds a frame by decoding all that
come before it: a part at the beginning is where it is fastest, so the ratio for a whole recording is larger.
A second run gives it blocks as long as the part allows on these cores, which nobody writes who does not know this.
Its processes are started before, as facehog's are, though a script starts them anew for each `to_zarr`.

It needs the extra `bench`: ``pip install -c requirements.lock '.[bench]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from dask_image.imread import imread
from long_footage import RECIPE, make_footage
from numpy.typing import NDArray
from pipeline import process_recording, scratch, worker_processes
from side_by_side import (
    Finding,
    Measure,
    Report,
    compare,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
    take_turns,
)
from skimage.feature import hog

from facehog_core.cores import count_cores
from facehog_core.recipe import Recipe
from facehog_core.session import open_session

LUMINANCE = (0.2125, 0.7154, 0.0721)
HOG = {
    "orientations": 8,
    "pixels_per_cell": (32, 32),
    "cells_per_block": (1, 1),
    "block_norm": "L2-Hys",
    "transform_sqrt": True,
}
CROP = RECIPE.crop
assert CROP is not None
N_FEATURES = HOG["orientations"] * (CROP.height // 32) * (CROP.width // 32)
# But for gradients on the border of two bins, where scikit-image leaves the bin to the last bit of a rounding.
TOLERANCE, MOST_ON_BORDERS = 1e-5, 0.01


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    options = parser.parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    n_frames, n_part = (500, 8) if options.quick else (2000, 60)
    recording = make_footage(n_frames)

    with worker_processes(n_cores) as processes, worker_processes(n_cores) as their_processes, scratch() as folder:
        with_images = replace(RECIPE, with_images=True)
        ours: dict[str, Callable[[], object]] = {
            "facehog": lambda: run_ours(recording, processes, RECIPE),
            "facehog, with images": lambda: run_ours(recording, processes, with_images),
        }
        theirs: dict[str, Callable[[], object]] = {
            "the lab's way": lambda: run_lab(recording, folder, n_part, 1, their_processes),
            "the lab's way, in long blocks": lambda: run_lab(
                recording, folder, n_part, n_part // n_cores, their_processes
            ),
        }
        # Workers start, import and compile in the first call.
        for way in ours.values():
            way()
        run_lab(recording, folder, n_cores, 1, their_processes)
        taken = take_turns(ours | theirs, rounds, warm_up=False)
        done = process_recording(recording, processes, folder)
        differences = find_differences(done.store, folder)
    differing = float((differences > TOLERANCE).mean())
    assert differing < MOST_ON_BORDERS, f"{differing:.1%} of the two ways' values differ"
    per_frame = {
        name: measure.converted(partial(to_ms, n_frames if name in ours else n_part), "ms a frame")
        for name, measure in taken.items()
    }
    report = Report(
        title="How much faster is facehog than the lab's way?",
        setting=f"facehog on {n_frames} frames, the lab's way on the first {n_part} of them, {n_cores} processes each, "
        f"{rounds} rounds",
        machine=machine,
        measures=tuple(per_frame.values()),
        findings=find(per_frame),
        notes=(
            f"Of the descriptors' values, {1 - differing:.2%} agree to {TOLERANCE:g}; the furthest are "
            f"{differences.max():.1g} apart (gradients on the border of two bins).",
            "The lab's way grows slower with each frame: to read one it decodes all that come before.",
        ),
    )
    publish(report, options)


def find(times: dict[str, Measure]) -> tuple[Finding, ...]:
    ours, ours_drawn, theirs, long_blocks = times.values()
    lab = "dask_image.imread, skimage.feature.hog(visualize=True), two to_zarr"
    return (
        compare(ours, theirs, number=5, names=("the same recording", lab), at_least=100),
        compare(ours_drawn, theirs, number=5, names=("the same, with images", lab), at_least=50),
        compare(ours, long_blocks, number=5, names=("the same recording", f"{lab}, in long blocks")),
        compare(ours_drawn, long_blocks, number=5, names=("the same, with images", f"{lab}, in long blocks")),
    )


def to_ms(n_frames: int, seconds: float) -> float:
    return 1e3 * seconds / n_frames


def run_ours(recording: Path, pool: Executor, recipe: Recipe) -> None:
    with scratch() as folder:
        process_recording(recording, pool, folder, recipe=recipe)


def run_lab(recording: Path, folder: Path, n_part: int, frames_per_block: int, pool: Executor) -> None:
    """Do as the lab does with the first frames of a recording."""
    frames = imread(str(recording), nframes=frames_per_block)[:n_part]
    face = frames[:, CROP.y : CROP.y + CROP.height, CROP.x : CROP.x + CROP.width]
    grey = face.map_blocks(to_grey, dtype=np.float64, drop_axis=3)
    n_blocks = grey.chunks[0]
    descriptors = grey.map_blocks(
        describe_block, dtype=np.float64, drop_axis=(1, 2), new_axis=1, chunks=(n_blocks, (N_FEATURES,))
    )
    pictures = grey.map_blocks(draw_block, dtype=np.float64)
    with dask.config.set(scheduler="processes", pool=pool):
        da.to_zarr(descriptors, folder / "lab_descriptors.zarr", overwrite=True)
        da.to_zarr(pictures, folder / "lab_pictures.zarr", overwrite=True)


def to_grey(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    return frames @ np.array(LUMINANCE)


def describe_block(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([hog(frame, visualize=True, **HOG)[0] for frame in frames])


def draw_block(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([hog(frame, visualize=True, **HOG)[1] for frame in frames])


def find_differences(store: Path, folder: Path) -> NDArray[np.float64]:
    theirs = da.from_zarr(folder / "lab_descriptors.zarr").compute()
    ours = open_session(store).descriptors[: len(theirs)].values
    return np.abs(ours - theirs)


if __name__ == "__main__":
    main()
