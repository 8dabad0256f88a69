"""A small recording, how it is described in some tests of the core, and what its runs have in common."""

from __future__ import annotations

from pathlib import Path

from facehog_core.chunking import Chunk
from facehog_core.crop import Crop
from facehog_core.hog import HogParams
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import open_group
from facehog_core.store import read_work

N_FRAMES = 60
SMALL = Recipe(
    hog=HogParams(pixels_per_cell=(16, 16), cells_per_block=(2, 2)), crop=Crop(x=3, y=5, width=120, height=80)
)


def assert_same_bytes(store: Path, expected: Path) -> None:
    for name, array in open_group(expected).arrays():
        assert open_group(store)[name][:].tobytes() == array[:].tobytes(), name


def shards_of(paths: RunPaths) -> list[Chunk]:
    plan = read_work(paths).plan
    return [shard for chunk in plan for shard in plan.shards_of(chunk)]
