"""Compare decode, grey, HOG and write, without orchestration, with decoding alone, and two workers with one.

"Decoding alone" is taken in two ways, both on the chunks that facehog's plan has and by as many processes with one
decoder each: PyAV with nothing asked of it, which is the limit; and facehog's reader, which also finds damage.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from long_footage import GOP, make_footage
from pipeline import cpu_seconds, decode_all, process_recording, read_all, scratch, spans_of, worker_processes
from side_by_side import (
    Finding,
    Measure,
    Report,
    compare,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
    run_ffmpeg_null,
    take_turns,
)

from facehog_core.chunking import plan_chunks
from facehog_core.cores import count_cores
from facehog_core.video import probe

MOST_DECODED_TWICE_PERCENT = 3.0
# From a keyframe every half second at 30 frames a second to one every ten at 120.
REGULAR_GOPS = (12, 15, 25, 30, 48, 50, 60, 100, 120, 240, 250, 300, 600, 1200)
LONG = 44_000
N_WARMING = 500
# Two workers do at least 1.85 times what one does.
LEAST_SHARE_OF_IDEAL = 0.925


def main() -> None:
    options = make_parser(__doc__, rounds=3).parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    n_frames = N_WARMING if options.quick else 2000
    recording = make_footage(n_frames)
    info, index = probe(recording)
    spans = spans_of(info, index)
    with (
        worker_processes(n_cores) as processes,
        worker_processes(1) as process,
        ThreadPoolExecutor(n_cores) as threads,
    ):
        pools = Pools(processes=processes, process=process, threads=threads)
        # Workers start, import and compile with a short one, which stands for the first round.
        for way in ways_with(make_footage(N_WARMING), pools).values():
            way()
        decoded = decode_all(recording, spans, processes)
        ways = ways_with(recording, pools)
        spent: dict[str, list[float]] = {name: [] for name in ways}
        times = take_turns(
            {name: partial(weigh, way, spent[name]) for name, way in ways.items()}, rounds, warm_up=False
        )
    cpu = {
        name: Measure(name=f"{name}, CPU", unit="ms a frame", values=tuple(1e3 * one / n_frames for one in found))
        for name, found in spent.items()
    }
    ours, ours_threads, ours_one, plain, plain_one, reader, ffmpeg = times.values()
    what = "decode + grey + HOG + write Zarr"
    worst_gop, worst = most_decoded_twice()
    report = Report(
        title="Does facehog run as fast as the decoder?",
        setting=f"{n_frames} frames of {info.width} x {info.height} at {info.size_bytes // n_frames:,} bytes, "
        f"GOP {GOP}, {len(spans)} chunks, {rounds} rounds",
        machine=machine,
        measures=(
            *(time.converted(lambda seconds: n_frames / seconds, "frames/s") for time in times.values()),
            *cpu.values(),
        ),
        findings=(
            compare(ours, plain, number=2, names=(what, "plain PyAV on the same spans"), at_least=0.9),
            compare(
                cpu[ours.name],
                cpu[plain.name],
                number=2,
                names=(f"{what}, by CPU time", "plain PyAV on the same spans, by CPU time"),
            ),
            compare(ours, reader, number=2, names=(what, "facehog's reader, nothing described")),
            compare(ours_threads, plain, number=2, names=(f"{what}, by threads", "plain PyAV by processes")),
            compare(ours, ffmpeg, number=3, names=(what, "ffmpeg -f null, default threads"), at_least=1.15),
            compare(
                ours,
                ours_one,
                number=8,
                names=(f"{n_cores} workers", "1 worker"),
                at_least=LEAST_SHARE_OF_IDEAL * n_cores,
            ),
            compare(plain, plain_one, number=8, names=(f"plain decode by {n_cores}", "by 1: what the cores can give")),
            Finding(
                number=10,
                what=f"frames decoded twice, counted, GOP {GOP}",
                against="all frames",
                value=100 * (decoded / n_frames - 1),
                unit="%",
                at_most=MOST_DECODED_TWICE_PERCENT,
            ),
            Finding(
                number=10,
                what=f"frames decoded twice as the plan says, the worst of GOPs of {REGULAR_GOPS[0]} to "
                f"{REGULAR_GOPS[-1]} (it is {worst_gop})",
                against=f"all {LONG:,} frames",
                value=worst,
                unit="%",
                at_most=MOST_DECODED_TWICE_PERCENT,
            ),
        ),
        notes=("Each round includes probing, planning, sealing and the flush to disk; the workers are warm.",),
    )
    publish(report, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Workers: as many processes as there are cores, one, and as many threads."""

    processes: Executor
    process: Executor
    threads: Executor


def ways_with(recording: Path, pools: Pools) -> dict[str, Callable[[], object]]:
    """Return what is compared, for one recording."""
    info, index = probe(recording)
    spans, n = spans_of(info, index), count_cores()
    return {
        f"facehog, {n} processes": lambda: make_store(recording, pools.processes),
        f"facehog, {n} threads": lambda: make_store(recording, pools.threads),
        "facehog, 1 process": lambda: make_store(recording, pools.process),
        f"plain decode, {n} processes": lambda: decode_all(recording, spans, pools.processes),
        "plain decode, 1 process": lambda: decode_all(recording, spans, pools.process),
        f"facehog's reader, {n} processes": lambda: read_all(info, index, spans, pools.processes),
        "ffmpeg -f null": lambda: run_ffmpeg_null(recording),
    }


def weigh(way: Callable[[], object], spent: list[float]) -> None:
    """Note the CPU time that a way takes."""
    before = cpu_seconds()
    way()
    spent.append(cpu_seconds() - before)


def make_store(recording: Path, pool: Executor) -> None:
    with scratch() as folder:
        process_recording(recording, pool, folder)


def most_decoded_twice() -> tuple[int, float]:
    """Return the regular GOP for which a long recording's plan decodes most frames again, and how many % those are."""
    again = {gop: 100 * plan_chunks(LONG, np.arange(0, LONG, gop)).decoded_again for gop in REGULAR_GOPS}
    worst = max(again, key=lambda gop: again[gop])
    return worst, again[worst]


if __name__ == "__main__":
    main()
