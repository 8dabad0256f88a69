"""How long after the sensor's decision is the first frame decoded, and what takes that time.

A recording of 500 frames lands in the inbox of a service that is warm, 20 times one after the other. The times are
those of Prefect's server (when a run was asked for, when its tasks began) and of the first shard's receipt.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from service import RunningService, run_service, wait_for

N_FRAMES = 500
N_RUNS = 20
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--quick", action="store_true", help="5 runs")
    parser.add_argument("--runs", type=int)
    given = parser.parse_args()
    n_runs = given.runs or (5 if given.quick else N_RUNS)
    with tempfile.TemporaryDirectory() as folder, run_service() as service:
        short = cut(given.recording, Path(folder))
        # The first run is not counted among the warm ones, and told by itself.
        runs = [measure(service, short, number) for number in range(n_runs + 1)]
    cold, warm = runs[0], runs[1:]
    totals = [run.all_s for run in warm]
    sys.stdout.write(f"{'':34}{'median':>8}{'worst':>8}{'cold':>8}  s, of {n_runs} runs of {N_FRAMES} frames\n")
    for number, (part, about) in enumerate(PARTS):
        of_part = [run.parts_s[number] for run in warm]
        row = f"{statistics.median(of_part):8.2f}{max(of_part):8.2f}{cold.parts_s[number]:8.2f}"
        sys.stdout.write(f"{part:34}{row}  {about}\n")
    row = f"{statistics.median(totals):8.2f}{max(totals):8.2f}{cold.all_s:8.2f}"
    sys.stdout.write(f"{'decision to first decoded frame':34}{row}\n")
    usual_s = statistics.median(run.describing_s for run in warm)
    sys.stdout.write(
        f"describing the first shard took {cold.describing_s - usual_s:+.2f} s more in the first run: JIT\n"
    )


if __name__ == "__main__":
    started_s = time.monotonic()
    main()
    sys.stdout.write(f"took {time.monotonic() - started_s:.0f} s\n")
