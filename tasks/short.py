"""Describe a short recording: what is several tasks for a long one is one here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from facehog_core.confirm import publish
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.progress import Progress
from facehog_core.provenance import now
from facehog_core.receipts import check_damage, pace_of
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.timestamps import TimestampsFile
from facehog_core.video import VideoInfo
from tasks.retrying import can_pass


@task(
    task_run_name="describe-{paths.run_id}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def describe_short(
    paths: RunPaths,
    info: VideoInfo,
    recipe: Recipe,
    attributes: dict[str, Any],
    ended: dict[str, Any],
    sidecar: TimestampsFile | None = None,
    old: Path | None = None,
) -> Path:
    """Plan the run, describe and write its frames, and publish its store; what an earlier attempt finished is kept.

    A task costs as much as a dozen frames, and such a recording is one chunk.
    """
    began_at = time.time()
    plan = plan_run(paths, info, recipe, attributes, sidecar)
    receipts = [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)]
    get_run_logger().info(
        "%s", Progress(n_done=plan.n_frames, n_frames=plan.n_frames, pace=pace_of(receipts, began_at))
    )
    check_damage(info.path, receipts, plan.n_frames, recipe.max_corrupt)
    return publish(paths, receipts, {**ended, "finished_at": now().isoformat()}, old)
