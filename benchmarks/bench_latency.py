"""How long after the sensor's decision is the first frame decoded, and what takes that time.

A recording of 300 frames lands in the inbox of a service that is warm, 20 times one after the other. The times are
those of Prefect's server (when a run was asked for, when its tasks began) and of the first shard's receipt.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from long_footage import SEGMENT, make_footage
from service import RunningService, run_service, wait_for
from side_by_side import Finding, Measure, Report, describe_machine, make_parser, publish, rounds_of

# More than one chunk, so that the first shard's receipt is there for a while.
N_FRAMES = 300
N_RUNS = 20
WHOLE = "decision to first decoded frame"
PARTS = (
    ("asked for -> the flow runs", "Prefect's server, the runner, a process for the flow"),
    ("-> probe begins", "the flow's first lines, Dask, a worker"),
    ("-> plan begins", "the recording is read and digested"),
    ("-> a chunk begins", "the store is laid out"),
    ("-> its decoder is asked", "Prefect's tasks, the plan is read"),
    ("-> first frame", "opened, sought, decoded"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """When each part of one run began, in seconds since 1970, and the seconds its first shard was described for."""

    moments: list[float]
    describing_s: float

    @property
    def parts_s(self) -> list[float]:
        """How long each part took."""
        return [after - before for before, after in zip(self.moments, self.moments[1:], strict=False)]

    @property
    def all_s(self) -> float:
        """From the decision to the first frame."""
        return self.moments[-1] - self.moments[0]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def cut(recording: Path, folder: Path) -> Path:
    made = folder / "short.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", "-i", recording]
    subprocess.run([*command, "-frames:v", str(N_FRAMES), "-c", "copy", made], check=True)
    return made


def first_shard(service: RunningService, name: str) -> dict[str, Any] | None:
    for file in (service.store / name).glob("*.partial/receipts/0-*.json"):
        try:
            effort: dict[str, Any] = json.loads(file.read_text("utf-8"))["effort"]
        except (OSError, ValueError):
            return None
        return effort
    return None


def measure(service: RunningService, short: Path, number: int) -> Run:
    path = service.land(short, f"m{number}.mp4")
    # Receipts go when the store is sealed, which is not before the second shard is done, too.
    effort = wait_for(lambda: first_shard(service, path.stem), "the first shard", 0.005)
    service.wait_until_settled([path], 0.05)
    flow_run_id = service.files()[path].flow_run_id
    (flow_run,) = service.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    tasks = service.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    begins = {task["name"].split("-")[0]: seconds(task["start_time"]) for task in reversed(tasks) if task["start_time"]}
    chunk = min(seconds(task["start_time"]) for task in tasks if task["name"].startswith("chunk-0-"))
    moments = [seconds(flow_run["expected_start_time"]), seconds(flow_run["start_time"]), begins["probe"]]
    moments += [begins["plan"], chunk, effort["began_at"], effort["began_at"] + effort["first_frame_s"]]
    return Run(moments, effort["describing_s"])


def main() -> None:
    parser = make_parser(__doc__, rounds=N_RUNS, quick_rounds=3)
    parser.add_argument("recording", type=Path, nargs="?", help="made up if left out; its first frames are taken")
    options = parser.parse_args()
    machine, n_runs = describe_machine(), rounds_of(options)
    with tempfile.TemporaryDirectory() as folder, run_service() as service:
        short = cut(options.recording or make_footage(SEGMENT), Path(folder))
        # The first run is not counted among the warm ones, and told by itself.
        cold, *warm = [measure(service, short, number) for number in range(n_runs + 1)]
    totals = Measure(name=WHOLE, unit="s", values=tuple(run.all_s for run in warm))
    parts = [
        Measure(name=f"{part} ({about})", unit="s", values=tuple(run.parts_s[number] for run in warm))
        for number, (part, about) in enumerate(PARTS)
    ]
    usual_s = statistics.median(run.describing_s for run in warm)
    cold_parts = ", ".join(f"{part} {took_s:.2f}" for (part, _), took_s in zip(PARTS, cold.parts_s, strict=True))
    report = Report(
        title="How long after the sensor's decision is the first frame decoded?",
        setting=f"{n_runs} recordings of {N_FRAMES} frames, one after the other, in a service that is warm",
        machine=machine,
        measures=(*parts, totals),
        findings=(
            Finding(number=11, what=f"{WHOLE}, median", value=totals.median, unit="s", at_most=3),
            Finding(number=11, what=f"{WHOLE}, worst of {n_runs}", value=max(totals.values), unit="s"),
        ),
        notes=(
            f"The first run of the service, which is not counted, took {cold.all_s:.2f} s: {cold_parts}.",
            f"Describing the first shard took {cold.describing_s - usual_s:+.2f} s more in it: JIT.",
        ),
    )
    publish(report, options)


if __name__ == "__main__":
    main()
