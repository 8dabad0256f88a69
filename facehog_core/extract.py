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
from .errors import CropError
from .grey import grey_of
from .hog import compute_histograms, normalise_blocks
from .layout import Work
from .receipts import ShardHogs, ShardReceipt
from .recipe import Recipe
from .store import RunPaths, create_store, noting_shard, read_receipt, read_work, write_shard
from .timestamps import TimestampsFile
from .timing import time_frames
from .video import VideoInfo, check_unchanged, read_index


def plan_run(
    paths: RunPaths,
    info: VideoInfo,
    recipe: Recipe,
    attributes: Mapping[str, Any],
    sidecar: TimestampsFile | None = None,
) -> ChunkPlan:
    """Plan the chunks of a run and lay out its working store, or keep what an earlier attempt left.

    Parameters
    ----------
    paths : RunPaths
    info : VideoInfo
        What `probe` found.
    recipe : Recipe
    attributes : mapping
        What else is known of the run when it starts; JSON values.
    sidecar : TimestampsFile, optional
        The recording's timestamps, as the run was named after them.

    Returns
    -------
    ChunkPlan

    Raises
    ------
    CropError
        If the crop reaches outside of the frame, or holds no block.
    TimestampsError
        If the timestamps cannot be read.
    ChangedError
        If the recording is not the file that was probed, or the timestamps not those that were found.
    StoreError
        If the disk is full.
    """
    check_crop(info, recipe)
    index = read_index(info)
    keyframes = np.flatnonzero(index.is_keyframe)
    plan = plan_chunks(index.n_frames, keyframes, is_seekable=index.is_seekable)
    times = time_frames(info, index, recipe, sidecar)
    create_store(paths, Work(info=info, index=index, recipe=recipe, plan=plan), attributes, times)
    return plan


def check_crop(info: VideoInfo, recipe: Recipe) -> None:
    """Check that a recipe can be applied to a recording.

    Raises
    ------
    CropError
        If the crop reaches outside of the frame, or holds no block.
    """
    crop = recipe.crop
    if crop and not crop.fits(info.width, info.height):
        raise CropError(
            info.path,
            f"the crop {crop.as_list()} (x, y, width, height) reaches outside of the frame of "
            f"{info.width} x {info.height} pixels",
            "Change `crop` of the inbox, or give --crop.",
        )
    rows, cols = recipe.frame_shape(info.width, info.height)
    hog = recipe.hog
    least = [hog.pixels_per_cell[axis] * hog.cells_per_block[axis] for axis in (0, 1)]
    if rows < least[0] or cols < least[1]:
        raise CropError(
            info.path,
            f"{cols} x {rows} pixels hold no block of {least[1]} x {least[0]}",
            "Make `crop` larger, or pixels_per_cell smaller.",
        )


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
                with noting_shard(paths, span, work.info.path):
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
    window = work.recipe.crop.window if work.recipe.crop else (slice(None), slice(None))
    hog = work.recipe.hog
    histograms = np.empty((len(span), *hog.n_cells(work.frame_shape), hog.orientations), np.float32)
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
            continue
        grey = grey_of(decoded.frame)
        compute_histograms(grey.values[window], hog, levels=grey.levels, out=histograms[row])
        ways.add(grey.way)
    if n_described != len(span):
        raise ValueError(f"{n_described} frames came from the decoder in place of {span}")
    return ShardHogs(
        histograms=histograms,
        descriptors=normalise_blocks(histograms, hog),
        corrupt=corrupt,
        grey=sorted(ways),
    )
