"""From a plan to receipts: lay out a run, then decode, describe and write its frames shard by shard.

Everything that it needs but the frames themselves stands in the working store, so a task is given two small
values, and nothing larger than a receipt leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import groupby, islice
from typing import Any

import numpy as np

from .chunking import Chunk, ChunkPlan, plan_chunks
from .decode import DecodedFrame, iter_frames
from .layout import Work
from .receipts import ShardHogs, ShardReceipt
from .recipe import Recipe
from .store import RunPaths, create_store, read_receipt, read_work, write_shard
from .video import VideoInfo, check_unchanged, read_index
from .view import View


def plan_run(paths: RunPaths, info: VideoInfo, recipe: Recipe, attributes: Mapping[str, Any]) -> ChunkPlan:
    """Plan the chunks of a run and lay out its working store, or keep what an earlier attempt left.

    Parameters
    ----------
    paths : RunPaths
    info : VideoInfo
        What `probe` found.
    recipe : Recipe
    attributes : mapping
        What else is known of the run when it starts; JSON values.

    Returns
    -------
    ChunkPlan

    Raises
    ------
    CropError, ViewError
        If the recipe cannot be applied to the recording.
    ChangedError
        If the recording is not the file that was probed.
    StoreError
        If the disk is full.
    """
    check_crop(info, recipe)
    index = read_index(info)
    keyframes = np.flatnonzero(index.is_keyframe)
    plan = plan_chunks(index.n_frames, keyframes, is_seekable=index.is_seekable)
    create_store(paths, Work(info=info, index=index, recipe=recipe, plan=plan), attributes)
    return plan


def check_crop(info: VideoInfo, recipe: Recipe) -> None:
    """Check that a recipe can be applied to a recording.

    Raises
    ------
    CropError
        If the crop reaches outside of the frame, or holds no block.
    ViewError
        If the masks leave nothing, or the frames cannot be turned or have no Y.
    """
    View(info=info, recipe=recipe)


def extract_chunk(
    paths: RunPaths,
    chunk: Chunk,
    *,
    compute: Callable[[Iterator[DecodedFrame], Chunk, Work], Any] | None = None,
    write: Callable[[RunPaths, Chunk, Any], ShardReceipt] | None = None,
) -> list[ShardReceipt]:
    """Describe the frames of a chunk and write them, but for the shards that are there already.

    Parameters
    ----------
    paths : RunPaths
        A run whose working store is laid out.
    chunk : Chunk
        A chunk of its plan.
    compute, write : callable, optional
        `compute_shard` and `write_shard`, or what wraps them (Prefect's tasks, to show in its UI). What the one
        returns is given to the other.

    Returns
    -------
    list of ShardReceipt
        One for each shard of the chunk, in order.

    Raises
    ------
    ChangedError
        If the recording is not the file that was probed.
    RecordingRefusedError
        If the size of the frames changes.
    StoreError
        If the working store is gone, or the disk is full.
    """
    compute = compute or compute_shard
    write = write or write_shard
    work = read_work(paths)
    shards = list(work.plan.shards_of(chunk))
    receipts = {span: read_receipt(paths, span) for span in shards}
    for is_done, group in groupby(shards, key=lambda span: receipts[span] is not None):
        if is_done:
            continue
        spans = list(group)
        # One decoder for neighbouring shards: it is not sent back to a keyframe in between.
        with closing(iter_frames(work.info, work.index, spans[0].start, spans[-1].stop)) as frames:
            for span in spans:
                hogs = compute(frames, span, work)
                # Also after the last frame: a file that is written over is not told from the one that was probed.
                check_unchanged(work.info)
                receipts[span] = write(paths, span, hogs)
    return [receipt for receipt in receipts.values() if receipt is not None]


def compute_shard(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
    """Describe the next frames of a decoder.

    Parameters
    ----------
    frames : iterator of DecodedFrame
        A decoder that stands before the span's first frame.
    span : Chunk
        The frames to take from it.
    work : Work
        What is done to them.

    Returns
    -------
    ShardHogs

    Raises
    ------
    ValueError
        If the decoder gives other frames.
    """
    view = work.view
    histograms = view.make_histograms(len(span))
    corrupt = np.zeros(len(span), np.bool_)
    ways: set[str] = set()
    n_described = 0
    for row, decoded in enumerate(islice(frames, len(span))):
        if decoded.index != span.start + row:
            raise ValueError(f"frame {decoded.index} came from the decoder in place of {span.start + row}")
        corrupt[row] = decoded.is_corrupt
        n_described += 1
        if decoded.frame is None:
            histograms[row] = np.nan
        else:
            ways.add(view.describe(decoded.frame, histograms[row]))
    if n_described != len(span):
        raise ValueError(f"{n_described} frames came from the decoder in place of {span}")
    return ShardHogs(
        histograms=histograms,
        descriptors=view.normalise(histograms),
        corrupt=corrupt,
        grey=sorted(ways),
    )
