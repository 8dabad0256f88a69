"""Cut a recording into chunks and lay out its store."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from facehog_core.chunking import ChunkPlan
from facehog_core.extract import plan_run
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.timestamps import TimestampsFile
from facehog_core.video import VideoInfo
from tasks.retrying import can_pass


@task(
    task_run_name="plan-{paths.run_id}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def plan_chunks(
    paths: RunPaths,
    info: VideoInfo,
    recipe: Recipe,
    attributes: dict[str, Any],
    sidecar: TimestampsFile | None = None,
) -> ChunkPlan:
    """Plan the run and make its working store, or keep what an earlier attempt left."""
    plan = plan_run(paths, info, recipe, attributes, sidecar)
    get_run_logger().info(
        "%d frames in %d chunks of %d, %s; %d frames are decoded twice (%.1f %%)",
        plan.n_frames,
        len(plan),
        plan.frames_per_shard * plan.shards_per_chunk,
        "one core each" if plan.is_shared_out else "by one decoder with all idle cores",
        plan.n_decoded_again,
        100 * plan.decoded_again,
    )
    return plan
