"""Check a store and publish it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from facehog_core.confirm import publish
from facehog_core.receipts import ShardReceipt
from facehog_core.run_paths import RunPaths
from tasks.retrying import can_pass


@task(
    task_run_name="seal-{paths.run_id}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def seal(paths: RunPaths, receipts: list[ShardReceipt], attributes: dict[str, Any], old: Path | None = None) -> Path:
    """Check every byte against the receipts, and the recording against what was probed; then publish the store."""
    return publish(paths, receipts, attributes, old)
