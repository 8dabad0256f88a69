"""A day of a lab in minutes: many small recordings, and faults drawn at random."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from barcode import write_recording
from footage import Footage, describe_undisturbed
from outcome import check_finished
from service_lab import PATIENCE_S, VICTIMS, ServiceLab

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(3600),
    pytest.mark.thorough,
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]

N_RECORDINGS = 500
N_FRAMES = 24
# Between two landings, and between two faults, seconds on average: 24 hours in which a recording lands every three
# minutes and something breaks every 15, 200 times as fast.
LANDING_S = 0.9
FAULT_S = 4.5
# A recording takes no longer than this, seconds, when all have landed.
MOST_S = 4.0


def _kill(lab: ServiceLab, drawn: random.Random) -> None:
    kind = drawn.choice(sorted(VICTIMS))
    if found := lab.find_processes(VICTIMS[kind]):
        drawn.choice(found).kill()


def _stop_for_a_while(lab: ServiceLab, drawn: random.Random) -> None:
    kind = drawn.choice(sorted(VICTIMS))
    if found := lab.find_processes(VICTIMS[kind]):
        victim = drawn.choice(found)
        victim.send_signal(signal.SIGSTOP)
        time.sleep(drawn.uniform(0, 4))
        if victim.is_running():
            victim.send_signal(signal.SIGCONT)


def _lock_the_catalogue(lab: ServiceLab, drawn: random.Random) -> None:
    with closing(sqlite3.connect(lab.catalogue, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(drawn.uniform(0, 3))
        other.execute("ROLLBACK")


def _kill_everything(lab: ServiceLab, _drawn: random.Random) -> None:
    lab.kill_everything()
    lab.start()


FAULTS: list[Callable[[ServiceLab, random.Random], None]] = [
    *[_kill] * 6,
    *[_stop_for_a_while] * 3,
    *[_lock_the_catalogue] * 2,
    _kill_everything,
]


@pytest.mark.fault(f"a day: {N_RECORDINGS} recordings, faults at random", "every recording is finished exactly once")
def test_after_a_day_of_faults_every_recording_is_finished_once(
    lab: ServiceLab, footage: Footage, moment: random.Random, tmp_path: Path
) -> None:
    base = write_recording(tmp_path / "small.mp4", N_FRAMES)
    small = Footage(base=base, expected=describe_undisturbed(base, tmp_path / "undisturbed"))
    tag, landed, is_over = f"{moment.getrandbits(64):016x}", [], threading.Event()

    def land_all() -> None:
        drawn = random.Random(f"{tag} landing")
        for number in range(N_RECORDINGS):
            landed.extend(small.land(lab.inbox, f"{tag}-{number}.mp4"))
            time.sleep(drawn.expovariate(1 / LANDING_S))
        is_over.set()

    rig = threading.Thread(target=land_all)
    rig.start()
    while not is_over.wait(moment.expovariate(1 / FAULT_S)):
        moment.choice(FAULTS)(lab, moment)
    rig.join()
    lab.wait_until_settled(*landed, patience_s=PATIENCE_S + N_RECORDINGS * MOST_S)
    check_finished(lab, landed, small.expected)
