"""The whole flow, from probe to record, beside a plain pool of processes that only decodes, describes and writes.

Both take the same recording in turn. The flow runs in a service that is warm, and its time is Prefect's: from the run's
beginning to its end. The pool has as many processes as the service has workers, and the same plan; while it works, the
service's processes are suspended. Its time starts when the recording is planned and ends before the store is sealed.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

from bench_landing import cpu_seconds, cut
from footage import make_footage
from service import RunningService, run_service
from side_by_side import Measure, Report, compare, describe_machine, make_parser, publish, rounds_of

from deployments.preload import warm_up
from deployments.processes import find_marked
from facehog_core.chunking import ChunkPlan
from facehog_core.cores import count_cores
from facehog_core.crop import Crop
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.provenance import describe_software
from facehog_core.recipe import Recipe, name_run
from facehog_core.source import name_recording
from facehog_core.store import RunPaths, discard_partial
from facehog_core.video import probe

CROP = Crop(x=53, y=22, width=916, height=475)
N_FRAMES, QUICK_FRAMES = 44_000, 1_000


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
    parser = make_parser(__doc__, rounds=1)
    parser.add_argument("recording", type=Path, nargs="?", help=f"made up, {N_FRAMES:,} frames, if left out")
    options = parser.parse_args()
    machine, rounds = describe_machine(), rounds_of(options)
    given = options.recording or make_footage(QUICK_FRAMES if options.quick else N_FRAMES)
    pools, flows, others = [], [], []
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as name,
        run_service() as service,
        context.Pool(count_cores(), initializer=warm_up) as pool,
    ):
        folder = Path(name)
        recording = cut(given, QUICK_FRAMES, folder / "m.mp4") if options.quick else given
        warm = cut(given, 500, folder / "warm.mp4")
        time_flow(service, warm, "warm.mp4")
        time_pool(pool, warm, folder / "store")
        for number in range(rounds):
            with suspended(service):
                took_s, plan = time_pool(pool, recording, folder / "store")
            pools.append(took_s)
            took_s, cpu_s = time_flow(service, recording, f"m{number}.mp4")
            flows.append(took_s)
            others.append(cpu_s)
    in_pool = Measure(name=f"pool of {count_cores()} processes", unit="s", values=tuple(pools))
    in_flow = Measure(name="whole flow", unit="s", values=tuple(flows))
    beside = Measure(name="CPU beside the workers", unit="s", values=tuple(others))
    report = Report(
        title="What does the whole flow cost beside the pipeline alone?",
        setting=f"{plan.n_frames} frames in {len(plan)} chunks of {plan.frames_per_shard * plan.shards_per_chunk}, "
        f"{rounds} rounds",
        machine=machine,
        measures=(in_pool, in_flow, beside),
        findings=(
            compare(
                in_flow,
                in_pool,
                number=4,
                names=(f"the whole flow, {plan.n_frames:,} frames", "decode + grey + HOG + write Zarr by a pool"),
                at_least=0.9,
            ),
        ),
    )
    publish(report, options)


if __name__ == "__main__":
    main()
