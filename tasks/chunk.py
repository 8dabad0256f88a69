"""Describe one chunk: a unit of Dask's work, with its two steps shown by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from prefect import task
from prefect.cache_policies import NO_CACHE

from facehog_core.chunking import Chunk
from facehog_core.decode import DecodedFrame
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.layout import Work
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.store import RunPaths, write_shard
from tasks.retrying import can_pass


# The inner tasks run in the worker that runs `process_chunk`: frames and histograms do not leave it. A failed
# step is retried by the chunk as a whole, because a decoder cannot be asked twice for the same frames.
@task(task_run_name="compute-hog-{span}", cache_policy=NO_CACHE, persist_result=False)
def compute_hog(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
    """Decode the frames of one shard and describe them."""
    return compute_shard(frames, span, work)


@task(task_run_name="write-zarr-{span}", cache_policy=NO_CACHE, persist_result=False)
def write_zarr(paths: RunPaths, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
    """Write one shard, and its receipt."""
    return write_shard(paths, span, hogs)


@task(
    task_run_name="chunk-{chunk}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def process_chunk(paths: RunPaths, chunk: Chunk) -> list[ShardReceipt]:
    """Describe and write a chunk; what an earlier attempt finished is kept."""
    return extract_chunk(paths, chunk, compute=compute_hog, write=write_zarr)
