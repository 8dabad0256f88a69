"""The whole flow, from probe to record, beside a plain pool of processes that only decodes, describes and writes.

Both take the same recording in turn. The flow runs in a service that is warm, and its time is Prefect's: from the run's
beginning to its end. The pool has as many processes as the service has workers, and the same plan; while it works, the
service's processes are suspended. Its time starts when the recording is planned and ends before the store is sealed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

from bench_landing import cpu_seconds, cut
from service import RunningService, run_service

from deployments.preload import warm_up
from deployments.processes import find_marked
from facehog_core.chunking import ChunkPlan
from facehog_core.crop import Crop
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.provenance import describe_software
from facehog_core.recipe import Recipe, name_run
from facehog_core.source import name_recording
from facehog_core.store import RunPaths, discard_partial
from facehog_core.video import probe
from flows.cluster import count_cores

CROP = Crop(x=53, y=22, width=916, height=475)
QUICK_FRAMES = 4_000


def time_pool(pool: Pool, recording: Path, store: Path) -> tuple[float, ChunkPlan]:
    info, _ = probe(recording)
    recipe = Recipe(crop=CROP)
    paths = RunPaths(root=store, recording=name_recording(recording), run_id=name_run(info.digest, recipe, None))
    plan = plan_run(paths, info, recipe, {"software": describe_software()})
    began_s = time.monotonic()
    for _ in pool.imap_unordered(partial(extract_chunk, paths), list(plan)):
        pass
    took_s = time.monotonic() - began_s
    discard_partial(paths)
    return took_s, plan


def time_flow(service: RunningService, recording: Path, name: str) -> tuple[float, float]:
    """Return how long the flow took, and how much CPU time went into what is not a worker."""
    before = cpu_seconds(service)
    path = service.land(recording, name)
    service.wait_until_settled([path], 0.5)
    spent = cpu_seconds(service) - before
    flow_run_id = service.files()[path].flow_run_id
    (run,) = service.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    begin, end = (datetime.fromisoformat(run[name]) for name in ("start_time", "end_time"))
    path.unlink()
    return (end - begin).total_seconds(), spent.total() - spent["spawn"]


@contextmanager
def suspended(service: RunningService) -> Iterator[None]:
    processes = find_marked(str(service.folder / ".facehog"))
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_FRAMES} frames")
    given = parser.parse_args()
    pools, flows, others = [], [], []
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        run_service() as service,
        context.Pool(count_cores(), initializer=warm_up) as pool,
    ):
        folder = Path(name)
        recording = cut(given.recording, QUICK_FRAMES, folder / "m.mp4") if given.quick else given.recording
        warm = cut(given.recording, 500, folder / "warm.mp4")
        time_flow(service, warm, "warm.mp4")
        time_pool(pool, warm, folder / "store")
        for number in range(given.rounds):
            with suspended(service):
                took_s, plan = time_pool(pool, recording, folder / "store")
            pools.append(took_s)
            took_s, cpu_s = time_flow(service, recording, f"m{number}.mp4")
            flows.append(took_s)
            others.append(cpu_s)
    pool_s, flow_s = statistics.median(pools), statistics.median(flows)
    lines = (
        f"{plan.n_frames} frames in {len(plan)} chunks of {plan.frames_per_shard * plan.shards_per_chunk}",
        f"pool of {count_cores()} processes: {pool_s:7.2f} s, {plan.n_frames / pool_s:5.0f} frames a second",
        f"whole flow:          {flow_s:7.2f} s, {plan.n_frames / flow_s:5.0f} frames a second; "
        f"{statistics.median(others):.1f} CPU s beside the workers",
        f"flow against pool: {pool_s / flow_s:.3f} (goal 0.90)",
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
