"""See whether time is on a line with a recording's length, and whether memory stands still."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from footage import GOP, make_footage
from pipeline import process_recording, scratch, worker_processes
from side_by_side import (
    Finding,
    Measure,
    Report,
    describe_machine,
    make_parser,
    publish,
    rounds_of,
)

from facehog_core.cores import count_cores

MOST_PERCENT_OFF_THE_LINE = 5.0
MOST_PERCENT_MORE_MEMORY = 10.0
MOST_MEMORY_MIB = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one recording took: seconds, and the most memory that any worker held."""

    time_s: float
    peak_mib: float


def main() -> None:
    options = make_parser(__doc__, rounds=1).parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    shortest, lengths = (250, (500, 1000, 1500)) if options.quick else (2000, (5_000, 20_000, 44_000))
    # The longest is taken once, in the middle: it is most of the time that this takes.
    *short, longest = lengths
    order = [shortest, *[length for _ in range(rounds - 1) for length in short], longest, *reversed(short), shortest]
    taken: dict[int, list[Taken]] = {length: [] for length in sorted({shortest, *lengths})}
    for length in order:
        taken[length].append(process(length, n_cores))
    times = {length: [one.time_s for one in found] for length, found in taken.items()}
    peaks = {length: [one.peak_mib for one in found] for length, found in taken.items()}
    off = furthest_from_line({length: float(np.median(times[length])) for length in lengths})
    more = 100 * (float(np.median(peaks[longest])) / float(np.median(peaks[shortest])) - 1)
    report = Report(
        title="Do time and memory grow as they should with a recording's length?",
        setting=f"recordings of {', '.join(f'{length:,}' for length in taken)} frames, GOP {GOP}, {n_cores} worker "
        f"processes that are new for each",
        machine=machine,
        measures=(
            *[
                Measure(name=f"{n:,} frames", unit="ms a frame", values=tuple(1e3 * time_s / n for time_s in found))
                for n, found in times.items()
            ],
            *[
                Measure(name=f"{n:,} frames, the worker with most", unit="MiB", values=tuple(found))
                for n, found in peaks.items()
            ],
        ),
        findings=(
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
                value=max(peaks[longest]),
                unit="MiB",
                at_most=MOST_MEMORY_MIB,
            ),
            Finding(
                number=7,
                what=f"time of {', '.join(f'{length:,}' for length in lengths)} frames: the furthest",
                against="a line through them",
                value=off,
                unit="%",
                at_most=MOST_PERCENT_OFF_THE_LINE,
            ),
        ),
    )
    publish(report, options)


def process(n_frames: int, n_workers: int) -> Taken:
    """Process a recording with new workers, that have done a short one before."""
    recording, warming = make_footage(n_frames), make_footage(GOP * 2)
    with worker_processes(n_workers) as pool:
        with scratch() as folder:
            process_recording(warming, pool, folder)
        with scratch() as folder:
            start = perf_counter()
            done = process_recording(recording, pool, folder)
            return Taken(time_s=perf_counter() - start, peak_mib=max(done.peaks_mib.values()))


def furthest_from_line(times: dict[int, float]) -> float:
    """Return how far, in %, the time that is furthest off lies from the line that fits all best."""
    lengths, seconds = np.array(list(times), float), np.array(list(times.values()))
    # Weighted, so that each length counts by its own time and the longest does not decide alone.
    line = np.polyfit(lengths, seconds, 1, w=1 / seconds)
    return float(100 * np.abs(np.polyval(line, lengths) / seconds - 1).max())


if __name__ == "__main__":
    main()
