"""Probe a recording."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE

from facehog_core.confirm import check_manifest
from facehog_core.path_text import as_text
from facehog_core.starts import note_of_probe, noting_start
from facehog_core.video import VideoInfo, probe
from tasks.retrying import can_pass


def _name_task_run() -> str:
    return f"probe-{as_text(runtime.task_run.parameters['path'].name)}"


@task(
    task_run_name=_name_task_run,
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=can_pass,
    cache_policy=NO_CACHE,
)
def probe_recording(path: Path, store: Path, stream: int | None = None) -> VideoInfo:
    """Read what the recording is, and check that it can be processed."""
    store.mkdir(parents=True, exist_ok=True)
    with noting_start(note_of_probe(store, path), str(path), "reading its index"):
        info, _ = probe(path, stream)
    check_manifest(info)
    get_run_logger().info(
        "%s: %d frames of %d x %d, %s, %.1f MB",
        as_text(path.name),
        info.n_frames,
        info.width,
        info.height,
        " ".join(filter(None, (info.codec, info.profile))),
        info.size_bytes / 1e6,
    )
    for remark in info.remarks:
        get_run_logger().warning("%s: %s", as_text(path.name), remark)
    return info
