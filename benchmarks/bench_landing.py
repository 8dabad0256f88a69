"""Many recordings that land at once, beside one that is as long as all of them.

All land by renaming, in the inbox of a service that is warm, and the time goes on until the last one is finished.
Beside it stand the CPU seconds of the service's processes, and the most processes that had a recording open at once.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import imageio_ffmpeg
import psutil
from long_footage import SEGMENT, make_footage
from service import RunningService, run_service
from side_by_side import Finding, Measure, Report, compare, describe_machine, make_parser, publish

from deployments.processes import find_marked
from facehog_core.cores import count_cores

LOOK_S = 0.1
# Frames of all, and recordings in which they come.
CASES = ((16_000, 8, 0.80), (10_000, 200, 0.50))
QUICK_CASES = ((500, 2, 0.80), (250, 5, 0.50))
NAMES = ("flow_host", "prefect", "spawn", "cluster", "runner", "sensor")


def cut(recording: Path, n_frames: int, made: Path) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", "-stream_loop", "99", "-i", recording]
    subprocess.run([*command, "-frames:v", str(n_frames), "-c", "copy", made], check=True)
    return made


def cpu_seconds(service: RunningService) -> Counter[str]:
    spent: Counter[str] = Counter()
    for process in find_marked(service.mark):
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            times = process.cpu_times()
            spent[next((name for name in NAMES if name in words), "other")] += times.user + times.system
    return spent


class Decoders:
    """Counts the processes that have a recording open, now and then."""

    def __init__(self, service: RunningService) -> None:
        self.most = 0
        self._folder = str(service.inbox)
        self._processes = find_marked(service.mark)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            n_open = 0
            for process in self._processes:
                with suppress(psutil.Error, OSError):
                    n_open += any(file.path.startswith(self._folder) for file in process.open_files())
            self.most = max(self.most, n_open)

    def __enter__(self) -> Decoders:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def time_landing(
    service: RunningService, source: Path, n_recordings: int, name: str
) -> tuple[float, Counter[str], int]:
    staged = [service.stage(source, f"{name}_{number}.mp4") for number in range(n_recordings)]
    before = cpu_seconds(service)
    with Decoders(service) as decoders:
        began_s = time.monotonic()
        landed = [path.rename(service.inbox / path.name) for path in staged]
        service.wait_until_settled(landed, LOOK_S)
        took_s = time.monotonic() - began_s
    return took_s, cpu_seconds(service) - before, decoders.most


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("recording", type=Path, nargs="?", help="made up if left out; it is repeated as needed")
    parser.add_argument("--case", type=int, help="only this one, from 0 on")
    options = parser.parse_args()
    machine = describe_machine()
    given = options.recording or make_footage(SEGMENT)
    cases = QUICK_CASES if options.quick else CASES
    if options.case is not None:
        cases = cases[options.case : options.case + 1]
    measures: list[Measure] = []
    findings: list[Finding] = []
    notes: list[str] = []
    most_decoders = 0
    with tempfile.TemporaryDirectory() as folder, run_service() as service:
        short = cut(given, 500, Path(folder) / "warm.mp4")
        time_landing(service, short, 4, "warm")
        for n_frames, n_recordings, goal in cases:
            taken: list[Measure] = []
            for n in (1, n_recordings):
                source = cut(given, n_frames // n, Path(folder) / f"of_{n}.mp4")
                took_s, cpu, most = time_landing(service, source, n, f"of{n}_{n_frames}")
                parts = ", ".join(f"{name} {spent:.1f}" for name, spent in cpu.most_common())
                taken.append(Measure(name=f"{n} of {n_frames // n:,} frames", unit="s", values=(took_s,)))
                notes.append(f"{taken[-1].name}: {most} decoders at most; CPU s: {parts}.")
                most_decoders = max(most, most_decoders)
                source.unlink()
            one, many = taken
            names = (f"{many.name} at once", "one of the same total length")
            findings.append(compare(many, one, number=12, names=names, at_least=goal))
            measures += taken
    most_at_once = Finding(number=12, what="decoders at once, at most", value=most_decoders, at_most=count_cores())
    report = Report(
        title="What do many recordings that land at once cost beside one?",
        setting="each case once, in a service that is warm",
        machine=machine,
        measures=tuple(measures),
        findings=(*findings, most_at_once),
        notes=tuple(notes),
    )
    publish(report, options)


if __name__ == "__main__":
    main()
