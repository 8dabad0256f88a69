"""What a Dask worker loads when it starts, so that the first recording need not wait for it.

Named to Dask as a preload; see `deployments.cluster`. A worker that a nanny starts again is warmed up as well.
"""

from __future__ import annotations

from contextlib import closing
from importlib.resources import as_file, files

import zarr

import tasks.chunk
import tasks.plan
import tasks.probe
import tasks.seal
import tasks.short  # noqa: F401 - with all that they need
from facehog_core.crop import Crop
from facehog_core.decode import iter_frames
from facehog_core.recipe import Recipe
from facehog_core.video import probe
from facehog_core.view import View

CLIP = "aind_bvt_clip.mp4"


def warm_up() -> None:
    """Describe a frame, as a chunk would: libraries are loaded, kernels compiled or read from Numba's cache."""
    with as_file(files("deployments").joinpath("recordings", CLIP)) as path:
        info, index = probe(path)
        # A crop, as most have: its rows do not follow each other in memory, for which kernels are compiled anew.
        view = View(info=info, recipe=Recipe(crop=Crop(x=8, y=8, width=256, height=256)))
        histograms = view.make_histograms(1)
        with closing(iter_frames(info, index, 0, 1)) as frames:
            for decoded in frames:
                if decoded.frame is not None:
                    view.describe(decoded.frame, histograms[0])
        view.normalise(histograms)


def save_memory() -> None:
    """Let Zarr compress one part of a shard after the other: a worker has one core, and several parts take memory."""
    zarr.config.set({"async.concurrency": 1})


async def dask_setup(_worker: object) -> None:
    """Do it before the worker says that it is there."""
    save_memory()
    warm_up()
