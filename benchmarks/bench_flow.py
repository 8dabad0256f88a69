"""The whole flow, from probe to record: beside a plain pool of processes, and with a recording's length.

All recordings land in one service that is warm, the shortest first. A flow's time is Prefect's, from the run's start
to its end; a worker's memory is the most that it held meanwhile. The longest but one is described once more by a pool
of as many processes as the service has workers, when the service has ended: from probing to sealing, as
`bench_pipeline.py` does it. The longest flow is compared with that for each frame: a pool's time is a line, too.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from bench_landing import cpu_seconds
from long_footage import make_footage
from memory import forget_peak, read_peak_mib
from pipeline import process_recording, worker_processes
from service import RunningService, run_service, wait_for
from side_by_side import Finding, Measure, Report, compare, describe_machine, make_parser, publish

from deployments.preload import save_memory, warm_up
from deployments.processes import find_marked
from facehog_core.cores import count_cores

LENGTHS, QUICK_LENGTHS = (2_000, 5_000, 20_000, 44_000), (250, 500, 750, 1_000)
MOST_PERCENT_OFF_THE_LINE = 5.0
MOST_PERCENT_MORE_MEMORY = 10.0
MOST_MEMORY_MIB = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the flow of one recording took.

    Parameters
    ----------
    time_s : float
    beside_s : float
        CPU time of what is not a worker.
    peak_mib : float
        The most memory that any worker held.
    """

    time_s: float
    beside_s: float
    peak_mib: float


def main() -> None:
    parser = make_parser(__doc__)
    options = parser.parse_args()
    machine = describe_machine()
    shortest, *lengths = QUICK_LENGTHS if options.quick else LENGTHS
    *_, in_pool, longest = lengths
    warm = make_footage(500)
    with run_service() as service:
        process(service, warm, "warm.mp4")
        taken = {n: process(service, make_footage(n), f"of{n}.mp4") for n in (shortest, *lengths)}
    with tempfile.TemporaryDirectory() as folder, worker_processes(count_cores(), prepare) as pool:
        process_recording(warm, pool, Path(folder) / "warm")
        recording = make_footage(in_pool)
        began_s = time.monotonic()
        process_recording(recording, pool, Path(folder) / "long")
        pool_s = time.monotonic() - began_s
    by_pool = Measure(
        name=f"{in_pool:,} frames, pool of {count_cores()} processes",
        unit="ms a frame",
        values=(1e3 * pool_s / in_pool,),
    )
    by_flow = {
        n: Measure(name=f"{n:,} frames", unit="ms a frame", values=(1e3 * found.time_s / n,))
        for n, found in taken.items()
    }
    beside = Measure(name=f"{longest:,} frames, CPU beside the workers", unit="s", values=(taken[longest].beside_s,))
    more = 100 * (taken[longest].peak_mib / taken[shortest].peak_mib - 1)
    off = furthest_from_line({n: taken[n].time_s for n in lengths})
    report = Report(
        title="What does the whole flow cost beside the pipeline alone, and how do time and memory grow with length?",
        setting=f"recordings of {', '.join(f'{n:,}' for n in taken)} frames in one service that is warm, once each",
        machine=machine,
        measures=(
            by_pool,
            *by_flow.values(),
            beside,
            *(
                Measure(name=f"{n:,} frames, the worker with most", unit="MiB", values=(found.peak_mib,))
                for n, found in taken.items()
            ),
        ),
        findings=(
            compare(
                by_flow[longest],
                by_pool,
                number=4,
                names=(
                    f"the whole flow, {longest:,} frames",
                    f"decode + grey + HOG + write Zarr by a pool, {in_pool:,} frames",
                ),
                at_least=0.9,
            ),
            Finding(
                number=6,
                what=f"more memory that a worker holds at most, {longest:,} frames",
                against=f"{shortest:,} frames",
                value=abs(more),
                unit="%",
                at_most=MOST_PERCENT_MORE_MEMORY,
            ),
            Finding(
                number=6,
                what=f"memory that a worker holds at most, {longest:,} frames",
                value=taken[longest].peak_mib,
                unit="MiB",
                at_most=MOST_MEMORY_MIB,
            ),
            Finding(
                number=7,
                what=f"time of {', '.join(f'{n:,}' for n in lengths)} frames: the furthest",
                against="a line through them",
                value=off,
                unit="%",
                at_most=MOST_PERCENT_OFF_THE_LINE,
            ),
        ),
    )
    publish(report, options)


def prepare() -> None:
    """Make a process of the pool what a worker of the service is."""
    save_memory()
    warm_up()


def process(service: RunningService, recording: Path, name: str) -> Taken:
    """Let a recording land, and measure its flow."""
    workers = [one.pid for one in find_marked(service.mark) if "multiprocessing.spawn" in " ".join(one.cmdline())]
    for worker in workers:
        forget_peak(worker)
    before = cpu_seconds(service)
    path = service.land(recording, name)
    service.wait_until_settled([path], 0.5)
    spent = cpu_seconds(service) - before
    peak_mib = max(read_peak_mib(worker) for worker in workers)
    flow_run_id = service.files()[path].flow_run_id
    wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}, "end_time": {"is_null_": False}}}
    (run,) = wait_for(lambda: service.ask("flow_runs/filter", wanted), "the flow's end")
    begin, end = (datetime.fromisoformat(run[name]) for name in ("start_time", "end_time"))
    path.unlink()
    return Taken(time_s=(end - begin).total_seconds(), beside_s=spent.total() - spent["spawn"], peak_mib=peak_mib)


def furthest_from_line(times: dict[int, float]) -> float:
    """Return how far, in %, the time that is furthest off lies from the line that fits all best."""
    lengths, seconds = np.array(list(times), float), np.array(list(times.values()))
    # Weighted, so that each length counts by its own time and the longest does not decide alone.
    line = np.polyfit(lengths, seconds, 1, w=1 / seconds)
    return float(100 * np.abs(np.polyval(line, lengths) / seconds - 1).max())


if __name__ == "__main__":
    main()
