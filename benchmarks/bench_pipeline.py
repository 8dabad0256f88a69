"""Compare decode, grey, HOG and write, without orchestration, with decoding alone, and two workers with one.

"Decoding alone" is PyAV with nothing asked of it, on the chunks that facehog's plan has and by as many processes with
one decoder each. What facehog's reader, which also finds damage, costs beside it is told by `bench_reading.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from long_footage import GOP, make_footage
from pipeline import (
    Span,
    cpu_seconds,
    decode_all,
    process_recording,
    scratch,
    spans_of,
    worker_processes,
)
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
from facehog_core.video import FrameIndex, VideoInfo, probe

MOST_DECODED_TWICE_PERCENT = 3.0
# From a keyframe every half second at 30 frames a second to one every ten at 120.
REGULAR_GOPS = (12, 15, 25, 30, 48, 50, 60, 100, 120, 240, 250, 300, 600, 1200)
LONG = 44_000
N_WARMING = 500
# Beside decoding, and among workers: what is done once for a recording is a part of the time of a short one.
LENGTHS, QUICK_LENGTHS = (6_000, 2_000), (1_500, 500)
WORK = "decode + grey + HOG + write Zarr"
# Two workers do at least 1.85 times what one does.
LEAST_SHARE_OF_IDEAL = 0.925


def main() -> None:
    options = make_parser(__doc__, rounds=3).parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    long, short = (Recording.of(make_footage(n_frames)) for n_frames in (QUICK_LENGTHS if options.quick else LENGTHS))
    with worker_processes(n_cores) as processes, worker_processes(1) as process:
        pools = Pools(processes=processes, process=process)
        # Workers start, import and compile with a short one, which stands for the first round. Of several the first
        # that is up may do all of it: there is another one when they all are.
        for pool in (processes, process, processes):
            make_store(make_footage(N_WARMING), pool)
        decoded = decode_all(long.path, long.spans, processes)
        beside_decoding, cpu = time_and_weigh(ways_of_decoding(long, pools), rounds, long.n_frames)
        among_workers, _ = time_and_weigh(ways_of_working(short, pools), rounds, short.n_frames)
    ours, plain, ffmpeg = beside_decoding
    ours_cpu, plain_cpu, _ = cpu
    by_all, by_one, plain_by_all, plain_by_one = among_workers
    worst_gop, worst = most_decoded_twice()
    report = Report(
        title="Does facehog run as fast as the decoder?",
        setting=f"{long.n_frames:,} frames (beside decoding) and {short.n_frames:,} (among workers) of "
        f"{long.info.width} x {long.info.height} at {long.info.size_bytes // long.n_frames:,} bytes, "
        f"GOP {GOP}, {len(long.spans)} and {len(short.spans)} chunks, {rounds} rounds",
        machine=machine,
        measures=(
            *(as_speed(time, long) for time in beside_decoding),
            *cpu,
            *(as_speed(time, short) for time in among_workers),
        ),
        findings=(
            compare(ours, plain, number=2, names=(WORK, "plain PyAV on the same spans"), at_least=0.9),
            compare(
                ours_cpu,
                plain_cpu,
                number=2,
                names=(f"{WORK}, by CPU time", "plain PyAV on the same spans, by CPU time"),
            ),
            compare(ours, ffmpeg, number=3, names=(WORK, "ffmpeg -f null, default threads"), at_least=1.15),
            compare(
                by_all,
                by_one,
                number=8,
                names=(f"{n_cores} workers", "1 worker"),
                at_least=LEAST_SHARE_OF_IDEAL * n_cores,
            ),
            compare(
                plain_by_all,
                plain_by_one,
                number=8,
                names=(f"plain decode by {n_cores}", "by 1: what the cores can give"),
            ),
            Finding(
                number=10,
                what=f"frames decoded twice, counted, GOP {GOP}",
                against="all frames",
                value=100 * (decoded / long.n_frames - 1),
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
class Recording:
    """A recording, and the spans in which it is decoded."""

    path: Path
    info: VideoInfo
    index: FrameIndex
    spans: list[Span]

    @classmethod
    def of(cls, path: Path) -> Recording:
        """Probe a recording and plan its spans."""
        info, index = probe(path)
        return cls(path=path, info=info, index=index, spans=spans_of(info, index))

    @property
    def n_frames(self) -> int:
        """How many frames it has."""
        return self.index.n_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Workers: as many processes as there are cores, and one."""

    processes: Executor
    process: Executor


def ways_of_decoding(recording: Recording, pools: Pools) -> dict[str, Callable[[], object]]:
    """Return facehog and what it is measured by: decoding that is not followed by anything."""
    path, spans, n = recording.path, recording.spans, count_cores()
    return {
        f"facehog, {n} processes": lambda: make_store(path, pools.processes),
        f"plain decode, {n} processes": lambda: decode_all(path, spans, pools.processes),
        "ffmpeg -f null": lambda: run_ffmpeg_null(path),
    }


def ways_of_working(recording: Recording, pools: Pools) -> dict[str, Callable[[], object]]:
    """Return facehog and plain decoding by other workers, on a shorter recording."""
    path, spans, n = recording.path, recording.spans, count_cores()
    return {
        f"facehog, {n} processes, short": lambda: make_store(path, pools.processes),
        "facehog, 1 process, short": lambda: make_store(path, pools.process),
        f"plain decode, {n} processes, short": lambda: decode_all(path, spans, pools.processes),
        "plain decode, 1 process, short": lambda: decode_all(path, spans, pools.process),
    }


def time_and_weigh(
    ways: dict[str, Callable[[], object]], rounds: int, n_frames: int
) -> tuple[list[Measure], list[Measure]]:
    """Return the times of ways that take turns, in seconds, and their CPU time in ms a frame."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    times = take_turns({name: partial(weigh, way, spent[name]) for name, way in ways.items()}, rounds, warm_up=False)
    cpu = [
        Measure(name=f"{name}, CPU", unit="ms a frame", values=tuple(1e3 * one / n_frames for one in found))
        for name, found in spent.items()
    ]
    return list(times.values()), cpu


def weigh(way: Callable[[], object], spent: list[float]) -> None:
    """Note the CPU time that a way takes."""
    before = cpu_seconds()
    way()
    spent.append(cpu_seconds() - before)


def as_speed(time: Measure, recording: Recording) -> Measure:
    return time.converted(lambda seconds: recording.n_frames / seconds, "frames/s")


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
