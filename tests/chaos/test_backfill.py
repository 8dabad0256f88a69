"""`kill -9` in the midst of a backfill, which is then asked for again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from footage import Footage
from outcome import check_finished
from service_lab import PATIENCE_S, ServiceLab
from strike import RUNS, reach

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.thorough,
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]

# A command that only says what a backfill would take takes so long, seconds; loaded, and on a busy machine.
COMMAND_S = 4.0


def _ask(lab: ServiceLab, archive: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deployments.cli", "backfill", str(archive), "--json"]
    return subprocess.Popen(command, cwd=lab.folder, stdout=subprocess.DEVNULL)


@pytest.mark.fault(
    "kill -9 of `facehog backfill`, and then of everything in its midst",
    "the same backfill again loses nothing and does nothing twice",
)
def test_a_backfill_that_is_killed_and_asked_for_again_does_each_recording_once(
    lab: ServiceLab, footage: Footage, moment: random.Random, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"

    def land() -> list[Path]:
        tag = f"{moment.getrandbits(64):016x}"
        return footage.land(archive / "2019", *(f"{tag}-{number}.mp4" for number in range(4)))

    def land_and_ask() -> list[Path]:
        landed = land()
        assert _ask(lab, archive).wait(PATIENCE_S) == 0
        return landed

    recordings = land()
    asked = _ask(lab, archive)
    time.sleep(moment.uniform(0, COMMAND_S))
    asked.kill()
    asked.wait()
    more, done = reach(lab, land_and_ask, moment, RUNS)
    lab.kill_everything()
    lab.start()
    assert _ask(lab, archive).wait(PATIENCE_S) == 0
    check_finished(lab, [*recordings, *more], footage.expected, done)
    lab.wait_for(lambda: not list((lab.state_dir / "backlog").iterdir()), "the end of the backfill")
