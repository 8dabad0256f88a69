"""Real results to store and read: a real mouse's face, described, and made as long as is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from facehog_core.chunking import Chunk, plan_chunks
from facehog_core.crop import Crop
from facehog_core.extract import compute_shard, iter_chosen
from facehog_core.hog import normalise_blocks
from facehog_core.layout import Work
from facehog_core.receipts import ShardHogs
from facehog_core.recipe import Recipe
from facehog_core.video import FrameIndex, probe

CLIP = Path(__file__).parents[1] / "deployments" / "recordings" / "aind_bvt_clip.mp4"
FRAMES_PER_GOP = 250


def describe(recording: Path | None = None, crop: Crop | None = None, n_frames: int = 2000) -> tuple[Work, ShardHogs]:
    """Describe the first frames of a recording; of the clip that comes with facehog, if none is named."""
    info, index = probe(recording or CLIP)
    numbers = np.arange(min(n_frames, index.n_frames))
    plan = plan_chunks(index.n_frames, np.flatnonzero(index.is_keyframe), numbers=numbers)
    work = Work(info=info, index=index, recipe=Recipe(crop=crop), plan=plan, numbers=numbers)
    with closing(iter_chosen(info, index, numbers)) as frames:
        return work, compute_shard(frames, Chunk(start=0, stop=len(numbers)), work)


def lengthen(work: Work, n_frames: int) -> Work:
    """Make up a longer recording of the same kind."""
    numbers = np.arange(n_frames)
    index = FrameIndex(pts=numbers * 512, is_keyframe=numbers % FRAMES_PER_GOP == 0, packets=numbers, is_seekable=True)
    info = replace(work.info, n_frames=n_frames, header_n_frames=n_frames)
    plan = plan_chunks(n_frames, np.flatnonzero(index.is_keyframe))
    return Work(info=info, index=index, recipe=work.recipe, plan=plan, numbers=numbers)


def repeat(hogs: ShardHogs, work: Work) -> Iterator[tuple[Chunk, ShardHogs]]:
    """Yield the results of each shard: the same ones again and again, but each value larger or smaller in another turn.

    So no codec finds the same values twice.
    """
    n_given = len(hogs.histograms)
    for span in work.plan.shards_of(Chunk(start=0, stop=work.plan.n_frames)):
        parts = []
        for turn in range(span.start // n_given, (span.stop - 1) // n_given + 1):
            kept = slice(max(span.start - turn * n_given, 0), span.stop - turn * n_given)
            scale = np.random.default_rng(turn).uniform(0.8, 1.25, hogs.histograms.shape[1:]).astype(np.float32)
            parts.append(hogs.histograms[kept] * scale)
        histograms = np.concatenate(parts)
        yield (
            span,
            ShardHogs(
                histograms=histograms,
                descriptors=normalise_blocks(histograms, work.recipe.hog),
                corrupt=np.zeros(len(span), np.bool_),
                grey=hogs.grey,
            ),
        )
