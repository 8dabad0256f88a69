"""Compare facehog with FFmpeg on recordings whose GOPs are hard to share out, or cannot be.

An endless GOP, raw H264 that cannot be sought in, and GOPs of 10 s at 30 and 120 frames a second (shorter ones with
``--quick``), each described and stored by as many worker processes as there are cores, against ``ffmpeg -f null``,
which throws the frames away.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from long_footage import make_footage
from pipeline import process_recording, scratch, worker_processes
from side_by_side import (
    Report,
    compare,
    describe_machine,
    ffmpeg_command,
    make_parser,
    publish,
    rounds_of,
    run_ffmpeg_null,
    take_turns,
)

from facehog_core.chunking import ChunkPlan
from facehog_core.cores import count_cores


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("--recording", type=Path, help="one of your own, instead of those that are made")
    options = parser.parse_args()
    machine, rounds, n_cores = describe_machine(), rounds_of(options), count_cores()
    n_frames = 300 if options.quick else 900
    recordings = {options.recording.name: options.recording} if options.recording else make_forms(n_frames)
    plans: dict[str, ChunkPlan] = {}

    with worker_processes(n_cores) as pool:
        ways: dict[str, Callable[[], object]] = {}
        for name, recording in recordings.items():
            ways[f"facehog, {name}"] = describe(name, recording, pool, plans)
            ways[f"ffmpeg -f null, {name}"] = partial(run_ffmpeg_null, recording)
        # Workers start, import and compile with the first one, which stands for the first round.
        next(iter(ways.values()))()
        times = take_turns(ways, rounds, warm_up=False)

    def per_second(name: str) -> Callable[[float], float]:
        return lambda seconds: plans[name].n_frames / seconds

    report = Report(
        title="Does facehog keep up with FFmpeg where GOPs cannot be shared out?",
        setting=f"{n_frames} frames or more, {n_cores} processes, {rounds} rounds",
        machine=machine,
        measures=tuple(
            times[way].converted(per_second(name), "frames/s")
            for name in recordings
            for way in (f"facehog, {name}", f"ffmpeg -f null, {name}")
        ),
        findings=tuple(
            compare(
                times[f"facehog, {name}"],
                times[f"ffmpeg -f null, {name}"],
                number=9,
                names=(f"{name}: decode + grey + HOG + write Zarr", "ffmpeg -f null, default threads"),
                at_least=0.85,
            )
            for name in recordings
        ),
        notes=tuple(f"{name}: {tell_plan(plan)}" for name, plan in plans.items()),
    )
    publish(report, options)


def make_forms(n_frames: int) -> dict[str, Path]:
    """Make the recordings, or return those that were made before."""
    longest_gop = 4 * n_frames // 3
    return {
        "endless GOP": make_footage(n_frames, gop=n_frames, segment=n_frames),
        "raw .h264": make_raw(make_footage(n_frames // 300 * 500)),
        "GOP of 300": make_footage(2 * n_frames, gop=300, segment=600),
        f"GOP of {longest_gop:,}": make_footage(2 * longest_gop, gop=longest_gop, segment=longest_gop),
    }


def make_raw(source: Path) -> Path:
    """Take the frames of a recording out of their container."""
    path = source.with_suffix(".h264")
    if not path.exists():
        unfinished = path.with_name(f".part.{path.name}")
        subprocess.run(ffmpeg_command("-i", source, "-c", "copy", unfinished), check=True)
        unfinished.replace(path)
    return path


def describe(name: str, recording: Path, pool: Executor, plans: dict[str, ChunkPlan]) -> Callable[[], None]:
    def run() -> None:
        with scratch() as folder:
            plans[name] = process_recording(recording, pool, folder).plan

    return run


def tell_plan(plan: ChunkPlan) -> str:
    if not plan.is_shared_out:
        return "one chunk, by one decoder with all idle cores"
    return f"{len(plan)} chunks, one core each; {100 * plan.decoded_again:.1f} % of the frames decoded twice"


if __name__ == "__main__":
    main()
