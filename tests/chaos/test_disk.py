"""The disk of the store is full, read-only or gone for a while; the catalogue is locked."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from footage import Footage
from mounts import can_mount, mount_tmpfs, read_only, unmount
from outcome import Shards, check_finished, check_nothing_is_left
from service_lab import ServiceLab
from strike import LANDED, RUNS, last, reach

from facehog_core.database import LOCK_TIMEOUT_S

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not can_mount(), reason="needs Linux and root to mount a file system"),
]

STORE_BYTES = 256 * 1024**2
TOO_LONG_S = 90


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceLab]:
    """Start a service whose store is on a file system of its own."""
    lab = ServiceLab(tmp_path_factory.mktemp("disk"))
    lab.store.mkdir()
    mount_tmpfs(lab.store, STORE_BYTES)
    try:
        lab.start()
        yield lab
        if lab.is_running:
            assert lab.stop() == 0
            check_nothing_is_left(lab)
    finally:
        unmount(lab.store)


def _reach(lab: ServiceLab, footage: Footage, moment: random.Random, first: int = LANDED) -> tuple[list[Path], Shards]:
    return reach(lab, lambda: footage.land(lab.inbox, f"{moment.getrandbits(64):016x}.mp4"), moment, first)


@pytest.mark.fault("the store's disk is full, and freed later", "runs wait, say so, and go on")
def test_a_full_disk_is_waited_for(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    filler, full = lab.store / ".filler", "the store's disk is full: waits for room"
    n_said = lab.count_said(full)
    recordings, done = _reach(lab, footage, moment)
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    try:
        lab.wait_for(lambda: lab.count_said(full) > n_said, "a word of the full disk")
        last(moment, 0, 10)
    finally:
        filler.unlink()
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.fault("the store may not be written for a while", "runs rest, and go on")
def test_a_store_that_may_not_be_written_is_waited_for(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    recordings, done = _reach(lab, footage, moment)
    with read_only(lab.store):
        last(moment, 4, 15)
    check_finished(lab, recordings, footage.expected, done)


@contextmanager
def _locked(lab: ServiceLab) -> Iterator[None]:
    with closing(sqlite3.connect(lab.catalogue, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.fault("another process locks the catalogue for {locked_s} s", "everybody waits; nothing is lost")
@pytest.mark.parametrize("locked_s", [pytest.param(5), pytest.param(30, marks=pytest.mark.thorough)])
def test_a_locked_catalogue_is_waited_for(
    lab: ServiceLab, footage: Footage, locked_s: int, moment: random.Random
) -> None:
    recordings, done = _reach(lab, footage, moment)
    n_said = lab.count_said("database is locked")
    with _locked(lab):
        time.sleep(locked_s)
    check_finished(lab, recordings, footage.expected, done)
    assert lab.count_said("database is locked") == n_said


@pytest.mark.thorough
@pytest.mark.fault(
    "another process locks the catalogue for 90 s, longer than it is waited for",
    "it is said, runs rest, and go on from the chunks that are done",
)
def test_a_catalogue_that_is_locked_for_too_long_is_said_and_nothing_is_lost(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    # A run is to end while it is locked.
    recordings, done = _reach(lab, footage, moment, RUNS)
    recordings += footage.land(lab.inbox, f"{moment.getrandbits(64):016x}meanwhile.mp4")
    assert LOCK_TIMEOUT_S < TOO_LONG_S
    told = f"has kept the catalogue to itself for more than {LOCK_TIMEOUT_S} s"
    n_said = lab.count_said(told)
    with _locked(lab):
        time.sleep(TOO_LONG_S)
    check_finished(lab, recordings, footage.expected, done)
    assert lab.count_said(told) > n_said
