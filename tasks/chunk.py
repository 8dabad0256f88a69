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
from facehog_core.run_paths import RunPaths
from facehog_core.store import write_shard
from tasks.retrying import can_pass


class Handover:
    """Carries one shard's results from one task to the next.

    A task that returned them would keep them: Prefect holds each inner task's result until the outer task has
    ended, and a chunk may be a whole recording.
    """

    hogs: ShardHogs | None = None

    def take(self) -> ShardHogs:
        """Return the results, and let go of them."""
        hogs, self.hogs = self.hogs, None
        assert hogs is not None
        return hogs


# The inner tasks run in the worker that runs `process_chunk`: frames and histograms do not leave it. A failed
# step is retried by the chunk as a whole, because a decoder cannot be asked twice for the same frames.
@task(task_run_name="compute-hog-{span}", cache_policy=NO_CACHE)
def compute_hog(frames: Iterator[DecodedFrame], span: Chunk, work: Work, handover: Handover) -> None:
    """Decode the frames of one shard and describe them."""
    handover.hogs = compute_shard(frames, span, work)


@task(task_run_name="write-zarr-{span}", cache_policy=NO_CACHE)
def write_zarr(paths: RunPaths, span: Chunk, handover: Handover) -> ShardReceipt:
    """Write one shard, and its receipt."""
    return write_shard(paths, span, handover.take())


@task(
    task_run_name="chunk-{chunk}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def process_chunk(paths: RunPaths, chunk: Chunk, n_workers: int | None = None) -> list[ShardReceipt]:
    """Describe and write a chunk; what an earlier attempt finished is kept."""

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> Handover:
        handover = Handover()
        compute_hog(frames, span, work, handover)
        return handover

    return extract_chunk(paths, chunk, n_workers=n_workers, compute=compute, write=write_zarr)
