"""Many recordings that land at once, beside a long one: for as many frames.

All land by renaming, in the inbox of a service that is warm, and the time goes on until the last one is finished.
Beside it stand the CPU seconds of the service's processes, and the most processes that had a recording open at once.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import psutil
from long_footage import SEGMENT, make_footage
from service import RunningService, run_service
from side_by_side import Finding, Measure, Report, compare, describe_machine, make_parser, publish

from deployments.processes import find_marked
from facehog_core.cores import count_cores

LOOK_S = 0.1
# Frames of the long one.
LONG, QUICK_LONG = 16_000, 500
# Recordings, frames of each, and the goal.
CASES = ((8, 2_000, 0.80), (200, 50, 0.50))
QUICK_CASES = ((2, 250, 0.80), (5, 50, 0.50))
WARMING = (4, 400)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """What some recordings of equal length took that landed at once."""

    n_recordings: int
    n_frames: int
    took_s: float
    cpu: Counter[str]
    most_decoders: int

    @property
    def time(self) -> Measure:
        """The time for a frame."""
        took_ms = 1e3 * self.took_s / (self.n_recordings * self.n_frames)
        return Measure(name=f"{self.n_recordings} of {self.n_frames:,} frames", unit="ms a frame", values=(took_ms,))

    @property
    def note(self) -> str:
        """Where the time went."""
        parts = ", ".join(f"{name} {spent:.1f}" for name, spent in self.cpu.most_common())
        return f"{self.time.name}: {self.took_s:.1f} s; {self.most_decoders} decoders at most; CPU s: {parts}."


def time_landing(service: RunningService, source: Path, n_recordings: int, n_frames: int) -> Landing:
    cut_one = cut(source, n_frames, service.folder / f"of_{n_frames}.mp4")
    staged = [service.stage(cut_one, f"of_{n_frames}_{number}.mp4") for number in range(n_recordings)]
    cut_one.unlink()
    before = cpu_seconds(service)
    with Decoders(service) as decoders:
        began_s = time.monotonic()
        landed = [path.rename(service.inbox / path.name) for path in staged]
        service.wait_until_settled(landed, LOOK_S)
        took_s = time.monotonic() - began_s
    return Landing(
        n_recordings=n_recordings,
        n_frames=n_frames,
        took_s=took_s,
        cpu=cpu_seconds(service) - before,
        most_decoders=decoders.most,
    )


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
    with run_service() as service:
        time_landing(service, given, *WARMING)
        one = time_landing(service, given, 1, QUICK_LONG if options.quick else LONG)
        many = [time_landing(service, given, n_recordings, n_frames) for n_recordings, n_frames, _ in cases]
    findings = [
        compare(
            several.time,
            one.time,
            number=12,
            names=(f"{several.time.name} at once", f"{one.time.name}, for each frame"),
            at_least=goal,
        )
        for several, (*_, goal) in zip(many, cases, strict=True)
    ]
    most_decoders = max(landing.most_decoders for landing in (one, *many))
    most_at_once = Finding(number=12, what="decoders at once, at most", value=most_decoders, at_most=count_cores())
    report = Report(
        title="What do many recordings that land at once cost beside one?",
        setting="each case once, in a service that is warm",
        machine=machine,
        measures=tuple(landing.time for landing in (one, *many)),
        findings=(*findings, most_at_once),
        notes=tuple(landing.note for landing in (one, *many)),
    )
    publish(report, options)


if __name__ == "__main__":
    main()
