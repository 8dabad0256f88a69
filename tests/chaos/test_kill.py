"""`kill -9` and `SIGSTOP` of each process of the service, at random moments of a run."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest
from footage import Footage
from outcome import Shards, check_finished, digest_of
from service_lab import VICTIMS, ServiceLab
from strike import reach

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]

# All that have a name; of several processes of one kind any one.
PROCESSES = sorted(VICTIMS)
# The scheduler takes up to four minutes to give a worker up, seconds.
MOST_STILL_S = 600.0


def _find(lab: ServiceLab, kind: str, moment: random.Random) -> psutil.Process:
    found: list[psutil.Process] = lab.wait_for(lambda: lab.find_processes(VICTIMS[kind]), kind)
    return moment.choice(found)


def _land(lab: ServiceLab, footage: Footage, moment: random.Random) -> list[Path]:
    tag = f"{moment.getrandbits(64):016x}"
    return footage.land(lab.inbox, f"{tag}a.mp4", f"{tag}b.mp4")


def _reach(lab: ServiceLab, footage: Footage, moment: random.Random) -> tuple[list[Path], Shards]:
    return reach(lab, lambda: _land(lab, footage, moment), moment)


@pytest.mark.thorough
@pytest.mark.fault("kill -9 of {kind}", "it starts again; runs go on from the chunks that are done")
@pytest.mark.parametrize("kind", PROCESSES)
def test_kill_9_of_a_process_is_survived(lab: ServiceLab, footage: Footage, kind: str, moment: random.Random) -> None:
    recordings, done = _reach(lab, footage, moment)
    _find(lab, kind, moment).kill()
    before = digest_of(lab.inbox)
    check_finished(lab, recordings, footage.expected, done)
    assert digest_of(lab.inbox) == before


# As tests/e2e does it to a service of its own.
@pytest.mark.thorough
@pytest.mark.fault("kill -9 of everything", "`facehog up` goes on from the chunks that are done")
def test_kill_9_of_everything_is_survived(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    recordings, done = _reach(lab, footage, moment)
    lab.kill_everything()
    lab.start()
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.thorough
@pytest.mark.fault("kill -9 of `facehog up` itself", "the next one ends what it left, and goes on")
def test_kill_9_of_up_is_survived(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    recordings, done = _reach(lab, footage, moment)
    assert lab.process
    lab.process.kill()
    lab.process.wait()
    lab.start()
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.thorough
@pytest.mark.fault("SIGSTOP of {kind} for a minute", "a process that stands still is waited for, or replaced")
@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_that_stands_still_for_a_minute_is_survived(
    lab: ServiceLab, footage: Footage, kind: str, moment: random.Random
) -> None:
    recordings, done = _reach(lab, footage, moment)
    victim = _find(lab, kind, moment)
    victim.send_signal(signal.SIGSTOP)
    time.sleep(60)
    # Somebody may have lost patience with it.
    if victim.is_running():
        victim.send_signal(signal.SIGCONT)
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.thorough
@pytest.mark.fault("SIGSTOP of {kind} for ever", "it is replaced; runs go on from the chunks that are done")
@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_that_stands_still_for_ever_is_replaced(
    lab: ServiceLab, footage: Footage, kind: str, moment: random.Random
) -> None:
    recordings, done = _reach(lab, footage, moment)
    victim = _find(lab, kind, moment)
    victim.send_signal(signal.SIGSTOP)
    lab.wait_for(lambda: not victim.is_running(), f"the end of the {kind} that stands still", MOST_STILL_S)
    check_finished(lab, recordings, footage.expected, done)
