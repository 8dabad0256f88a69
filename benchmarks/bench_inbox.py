"""How much of a core the sensor takes for 10,000 old recordings in an inbox, where nothing happens.

The sensor runs as it does in the service, with the usual interval between two looks; what it takes is the CPU time of
its whole process. The first look, which learns the inbox, and the pause after it are not counted.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from side_by_side import Finding, Measure, Report, describe_machine, make_parser, publish, rounds_of
from sqlalchemy import select

from deployments.sensor import Sensor
from deployments.tables import PATTERNS
from facehog_core.catalogue import Catalogue
from facehog_core.files import FileRecord
from facehog_core.inbox import Inbox
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Life, RunRequest
from facehog_core.scan import scan_inbox
from facehog_core.schema import Fate, File, Run

N_FOLDERS, N_FILES = 100, 100
INTERVAL_S, QUICK_INTERVAL_S = 10.0, 1.0
N_LOOKS = 2
SETTLE_S = 10.0
# Writes to the catalogue a second while runs go on.
WRITES_A_SECOND = 2.0


class Nobody:
    """Takes no runs: none may be asked for."""

    def request(self, request: RunRequest) -> str:
        """Fail."""
        raise AssertionError(f"{request.path} is old")

    def life_of(self, file: FileRecord) -> Life:
        """Say that it goes on."""
        return Life.ALIVE


def fill(folder: Path, catalogue: Catalogue) -> None:
    """Make an inbox of old recordings: copies of one that has been described elsewhere."""
    for day in range(N_FOLDERS):
        (folder / f"day {day:03}").mkdir(parents=True)
        for number in range(N_FILES):
            (folder / f"day {day:03}" / f"m{number:03}_cam0.mp4").write_bytes(b"old")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    described = RunRecord(
        path=folder.parent / "m000_cam0.mp4",
        state=Fate.FINISHED,
        reason="3 frames are described",
        changed_at=moment,
        size_bytes=3,
        run_id="0" * 12,
        digest="0" * 32,
        recipe=Recipe().as_dict(),
        started_at=moment,
        finished_at=moment,
        n_frames=3,
    )
    catalogue.record(described)
    with catalogue._database.write() as session:
        (run_id,) = session.scalars(select(Run.id))
        session.add_all(
            File(
                path=name,
                name=Path(name).name,
                size_bytes=looks.size_bytes,
                mtime_ns=looks.mtime_ns,
                inode=str(looks.inode),
                state=Fate.DUPLICATE,
                reason="holds the same bytes",
                run_id=run_id,
                first_seen_at=moment,
                changed_at=moment,
                attempt=1,
            )
            for name, looks in scan_inbox(folder, PATTERNS).found.items()
        )


class Counting(Catalogue):
    """Counts the looks at it."""

    n_looks = 0

    def stamp(self) -> str:
        """Return what the catalogue does."""
        self.n_looks += 1
        return super().stamp()

    def wait_for_looks(self, n_looks: int, meanwhile: Callable[[], None]) -> None:
        """Wait for so many looks more."""
        until = self.n_looks + n_looks
        while self.n_looks < until:
            meanwhile()
            time.sleep(1 / WRITES_A_SECOND)


def watch(inbox: Inbox, catalogue: Counting, interval_s: float, meanwhile: Callable[[], None]) -> float:
    """Let a sensor watch for some looks, and return the share of a core that it took."""
    sensor = Sensor([inbox], catalogue, Nobody(), interval_s, 20)
    thread = threading.Thread(target=sensor.run)
    thread.start()
    catalogue.wait_for_looks(2, lambda: None)
    time.sleep(interval_s / 2)
    began_s, cpu_s, ours_s = time.monotonic(), time.process_time(), time.thread_time()
    catalogue.wait_for_looks(N_LOOKS, meanwhile)
    time.sleep(interval_s / 2)
    took_s = time.process_time() - cpu_s - (time.thread_time() - ours_s)
    lasted_s = time.monotonic() - began_s
    sensor.stop()
    thread.join()
    return took_s / lasted_s


def main() -> None:
    parser = make_parser(__doc__, rounds=1)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    machine, n_rounds = describe_machine(), rounds_of(options)
    interval_s = QUICK_INTERVAL_S if options.quick else INTERVAL_S
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "inbox"
        with Counting(f"sqlite:///{name}/catalogue.db", create=True) as catalogue:
            fill(folder, catalogue)
            inbox = Inbox(path=folder, patterns=PATTERNS, settle_s=SETTLE_S, recipe=Recipe())
            path = next(iter(catalogue.files()))
            states = iter(range(10**9))

            def write() -> None:
                catalogue.set_fate(path, Fate.FINISHED, f"news {next(states)}")

            calm = [100 * watch(inbox, catalogue, interval_s, lambda: None) for _ in range(n_rounds)]
            busy = [100 * watch(inbox, catalogue, interval_s, write)]
    measures = (
        Measure(name="nothing happens", unit="% of a core", values=tuple(calm)),
        Measure(name="the catalogue is written to twice a second", unit="% of a core", values=tuple(busy)),
    )
    report = Report(
        title="What does the sensor take for 10,000 old recordings?",
        setting=f"{N_FOLDERS} folders of {N_FILES} files on a local disk, a look every {interval_s:g} s, "
        f"{N_LOOKS} looks each time, CPU time of the whole process",
        machine=machine,
        measures=measures,
        findings=(
            Finding(
                what="the sensor over 10,000 old files",
                value=measures[0].median,
                unit="% of a core",
                # It looks more often than it does for a lab.
                at_most=None if options.quick else 1,
            ),
            Finding(what="the same while the catalogue is written to", value=measures[1].median, unit="% of a core"),
        ),
    )
    publish(report, options)


if __name__ == "__main__":
    main()
