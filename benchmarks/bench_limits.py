"""Find the limits of this machine: its decoder by threads and by processes, its memory and its disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from long_footage import make_footage
from pipeline import Span, decode_all, decode_plainly, scratch, spans_of, worker_processes
from side_by_side import (
    Finding,
    Measure,
    Report,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
    run_ffmpeg_null,
    take_turns,
)

from facehog_core.cores import count_cores
from facehog_core.video import probe

# More than any cache holds.
BLOCK_MIB, MIB = 256, 2**20
AUTO = 0  # libavcodec chooses.


def main() -> None:
    options = make_parser(__doc__, rounds=3).parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    n_frames = 500 if options.quick else 1000
    recording = make_footage(n_frames)
    info, index = probe(recording)
    spans = spans_of(info, index)
    whole = Span(start=0, stop=n_frames, first_pts=0, last_pts=int(index.pts[-1]))

    with worker_processes(n_cores) as processes, ThreadPoolExecutor(n_cores) as threads, scratch() as folder:
        decoding: dict[str, Callable[[], object]] = {
            "decode, one thread": lambda: decode_plainly(recording, whole),
            f"decode, {n_cores} frame threads": lambda: decode_plainly(recording, whole, n_cores),
            "decode, frame threads as libavcodec chooses": lambda: decode_plainly(recording, whole, AUTO),
            f"decode, {n_cores} threads, each its own GOPs": lambda: decode_all(recording, spans, threads),
            f"decode, {n_cores} processes, each its own GOPs": lambda: decode_all(recording, spans, processes),
            "ffmpeg -f null, its default threads": lambda: run_ffmpeg_null(recording),
        }
        # Workers start with this one, which stands for the first round.
        decode_all(recording, spans, processes)
        speeds = [
            time.converted(lambda seconds: n_frames / seconds, "frames/s")
            for time in take_turns(decoding, rounds, warm_up=False).values()
        ]
        moving = measure_moving(folder, threads, n_cores, rounds)
    fastest = max(speeds, key=lambda speed: speed.median)
    report = Report(
        title="What are the limits of this machine?",
        setting=f"{n_frames} frames of {info.width} x {info.height} at {info.size_bytes // n_frames:,} bytes, "
        f"{rounds} rounds; blocks of {BLOCK_MIB} MiB",
        machine=machine,
        measures=(*speeds, *moving),
        findings=(Finding(what=f"the fastest: {fastest.name}", value=fastest.median, unit="frames/s"),),
    )
    publish(report, options)


def measure_moving(folder: Path, threads: ThreadPoolExecutor, n_cores: int, rounds: int) -> list[Measure]:
    """Measure how fast bytes are copied in memory and brought to the disk."""
    source = np.random.default_rng(0).integers(0, 255, BLOCK_MIB * MIB, np.uint8)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(source, n_cores), np.array_split(target, n_cores), strict=True))
    moving: dict[str, Callable[[], object]] = {
        "copy in memory, one thread": lambda: np.copyto(target, source),
        f"copy in memory, {n_cores} threads": lambda: list(
            threads.map(lambda part: np.copyto(part[1], part[0]), parts)
        ),
        "write to disk, with flush": lambda: write_and_flush(folder / "block", source),
    }
    times = take_turns(moving, rounds)
    return [time.converted(lambda seconds: BLOCK_MIB / seconds, "MiB/s") for time in times.values()]


def write_and_flush(path: Path, block: np.ndarray) -> None:
    with path.open("wb") as file:
        file.write(memoryview(block))
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()
