"""Runs without a flow: made-up ones for the store, and real ones by the core alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facehog_core.chunking import Chunk, ChunkPlan
from facehog_core.extract import choose_frames, extract_chunk
from facehog_core.hog import HogParams
from facehog_core.layout import Work
from facehog_core.picture import render_pictures
from facehog_core.quality import FrameLook
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.recipe import Recipe, name_run
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.source import name_results
from facehog_core.store import create_store, read_work, write_shard
from facehog_core.timing import time_frames
from facehog_core.video import FrameIndex, VideoInfo, probe

SMALL_HOG = HogParams(orientations=4, pixels_per_cell=(8, 8), cells_per_block=(2, 2))
WITH_IMAGES = Recipe(hog=SMALL_HOG, with_images=True)
BEGUN: dict[str, Any] = {"software": {"av": "18.1.0"}}
ENDED: dict[str, Any] = {
    "host": {"name": "rig"},
    "attempt": 1,
    "flow_run_id": "flow-1",
    "started_at": "2026-11-21T12:00:00+00:00",
    "finished_at": "2026-11-21T12:01:00+00:00",
}


def make_work(n_frames: int = 23, *, shard: int = 10, recipe: Recipe | None = None, **facts: Any) -> Work:
    """Make up what a run does, of a recording that is nowhere; frames of 24 x 40 pixels (row x col)."""
    given = {
        "path": "/nowhere/m12.mp4",
        "size_bytes": 1000,
        "mtime_ns": 1_700_000_000_000_000_000,
        "digest": "0123456789abcdef" * 2,
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "stream_index": 0,
        "codec": "h264",
        "profile": "High",
        "pixel_format": "yuv420p",
        "color_range": "limited",
        "colorspace": "bt709",
        "width": 40,
        "height": 24,
        "pixel_aspect": None,
        "time_base": "1/15360",
        "average_rate": "30/1",
        "header_n_frames": n_frames,
        "duration_s": n_frames / 30,
        "n_frames": n_frames,
        "completeness": "complete",
        "completeness_fact": f"all {n_frames} frames that its index names are there",
        "missing_share": None,
    }
    return Work(
        info=VideoInfo(**given | facts),
        index=FrameIndex(
            pts=np.arange(n_frames, dtype=np.int64) * 512,
            is_keyframe=np.arange(n_frames) % 12 == 0,
            packets=np.arange(n_frames),
            is_seekable=True,
        ),
        recipe=recipe or Recipe(hog=SMALL_HOG),
        plan=ChunkPlan(n_frames=n_frames, frames_per_shard=shard),
        numbers=np.arange(n_frames),
    )


def make_paths(root: Path, work: Work) -> RunPaths:
    return RunPaths(root=root, recording=name_results(work.info.path), run_id=name_run(work.info.digest, work.recipe))


def make_hogs(work: Work, span: Chunk, seed: int = 0) -> ShardHogs:
    """Make up results; those of a span are always the same."""
    rng = np.random.default_rng((seed, span.start))
    shape = (len(span), *work.recipe.hog.n_cells(work.frame_shape), work.recipe.hog.orientations)
    histograms = rng.uniform(0, 9, shape).astype(np.float32)
    if (masked := work.view.masked) is not None:
        histograms[:, masked] = np.nan
    return ShardHogs(
        histograms=histograms,
        descriptors=work.view.normalise(histograms),
        corrupt=rng.uniform(size=len(span)) < 0.1,
        grey=["luma table"],
        looks=[FrameLook(frame=span.start, brightness=20.0 + span.start, saturated=0.0, focus=7.5)],
    )


def shards_of(work: Work) -> list[Chunk]:
    return [shard for chunk in work.plan for shard in work.plan.shards_of(chunk)]


def expected_arrays(work: Work) -> dict[str, np.ndarray]:
    """Return what a sealed store has to hold."""
    parts = [make_hogs(work, span) for span in shards_of(work)]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("histograms", "descriptors", "corrupt")
    }
    arrays |= {"pts": work.index.pts, "packet": work.index.packets, "keyframe": work.index.is_keyframe}
    arrays |= {"frame": np.arange(work.plan.n_frames)}
    arrays |= {"time_s": work.index.time_s(work.info.time_base)}
    arrays |= {"n_dropped_after": np.zeros(work.index.n_frames, np.uint32)}
    if work.recipe.with_images:
        arrays |= {"images": render_pictures(arrays["histograms"], work.recipe.hog, work.frame_shape)}
    return arrays


def fill_store(paths: RunPaths, work: Work) -> list[ShardReceipt]:
    """Lay a store out and write all of its shards."""
    create_store(paths, work, BEGUN)
    return [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)]


def make_store(root: Path, work: Work) -> Path:
    """Make a sealed store of made-up results."""
    paths = make_paths(root, work)
    return seal_store(paths, fill_store(paths, work), ENDED)


def lay_out_run(
    root: Path, recording: Path, recipe: Recipe, *, frames_per_shard: int = 1000, shards_per_chunk: int = 1
) -> RunPaths:
    """Lay the run of a real recording out, with shards and chunks of any length."""
    info, index = probe(recording)
    numbers = choose_frames(info, time_frames(info, index, recipe), recipe)
    plan = ChunkPlan(
        n_frames=len(numbers),
        frames_per_shard=frames_per_shard,
        shards_per_chunk=shards_per_chunk,
    )
    work = Work(info=info, index=index, recipe=recipe, plan=plan, numbers=numbers)
    paths = make_paths(root, work)
    create_store(paths, work, BEGUN)
    return paths


def run_recording(
    root: Path,
    recording: Path,
    recipe: Recipe,
    *,
    frames_per_shard: int = 1000,
    shards_per_chunk: int = 1,
    order: Callable[[Sequence[Chunk]], Sequence[Chunk]] = lambda chunks: chunks,
    ended: dict[str, Any] = ENDED,
) -> Path:
    """Turn a recording into a sealed store, its chunks in any order."""
    paths = lay_out_run(root, recording, recipe, frames_per_shard=frames_per_shard, shards_per_chunk=shards_per_chunk)
    chunks = list(read_work(paths).plan)
    receipts = [receipt for chunk in order(chunks) for receipt in extract_chunk(paths, chunk)]
    return seal_store(paths, receipts, ended)


def data_files(path: Path) -> list[str]:
    """Return the names of the files that hold an array's values."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("c/**/*") if file.is_file())
