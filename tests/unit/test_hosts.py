from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from uuid import UUID, uuid4

import pytest

from deployments import hosts
from deployments.hosts import Host

# What a host does, without a flow: a run named "die" ends the process, as "refuse" does before it takes it; one named
# "stay" goes on for ever.
SCRIPT = """
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    name = line.split()[0]
    if name == "refuse":
        os._exit(8)
    print("taken", flush=True)
    if name == "die":
        os._exit(7)
    if name == "stay":
        time.sleep(600)
    print("ended", flush=True)
"""
Ends = SimpleQueue[tuple[UUID, str | None]]


def wait_for(look: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def ends() -> Ends:
    return SimpleQueue()


@pytest.fixture
def host(ends: Ends) -> Iterator[Host]:
    made = Host(lambda run_id, death: ends.put((run_id, death)), (sys.executable, "-S", "-c", SCRIPT))
    wait_for(lambda: made.is_free)
    yield made
    made.stop()
    made.kill()


def test_one_process_runs_one_flow_after_the_other(host: Host, ends: Ends) -> None:
    process = host.pid
    for run_id in (uuid4(), uuid4()):
        host.run("quick", run_id)
        assert ends.get(timeout=60) == (run_id, None)
        assert host.is_free
    assert host.pid == process


def test_a_process_that_dies_is_told_with_its_run_and_another_takes_its_place(host: Host, ends: Ends) -> None:
    process, run_id = host.pid, uuid4()
    host.run("die", run_id)
    assert ends.get(timeout=60) == (run_id, "its process ended with status 7")
    wait_for(lambda: host.is_free)
    assert host.pid != process


def test_a_run_that_a_dying_process_never_took_is_not_blamed_for_it(host: Host, ends: Ends) -> None:
    run_id = uuid4()
    host.run("refuse", run_id)
    assert ends.get(timeout=60) == (run_id, None)
    wait_for(lambda: host.is_free)


def test_a_run_that_is_killed_is_told_and_the_next_one_runs(host: Host, ends: Ends) -> None:
    killed, after = uuid4(), uuid4()
    host.run("stay", killed)
    assert not host.is_free
    wait_for(lambda: host.has_taken)
    host.kill()
    run_id, death = ends.get(timeout=60)
    assert run_id == killed
    assert death is not None
    wait_for(lambda: host.is_free)
    host.run("quick", after)
    assert ends.get(timeout=60) == (after, None)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_that_is_stopped_is_seen_to_be_and_can_be_killed(host: Host, ends: Ends) -> None:
    run_id = uuid4()
    host.run("stay", run_id)
    wait_for(lambda: host.has_taken)
    assert not host.is_suspended
    os.kill(host.pid, signal.SIGSTOP)
    wait_for(lambda: host.is_suspended)
    host.kill()
    assert ends.get(timeout=60)[0] == run_id
    wait_for(lambda: host.is_free)
    assert not host.is_suspended


def test_a_process_is_replaced_after_so_many_runs(host: Host, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST_RUNS", 2)
    process = host.pid
    for number in range(3):
        wait_for(lambda: host.is_free)
        assert (host.pid == process) is (number < 2)
        host.run("quick", uuid4())
        assert ends.get(timeout=60)[1] is None


@pytest.mark.skipif(os.name == "nt", reason="a link stands for a program that cannot be started")
def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hosts, "BACK_OFF_S", 0.01)
    caplog.set_level(logging.WARNING)
    program = tmp_path / "python"
    made = Host(lambda *_: None, (str(program), "-S", "-c", SCRIPT))
    try:
        for _ in range(2):
            caplog.clear()
            wait_for(lambda: len(caplog.records) > 2)
            assert not made.is_free
            program.symlink_to(sys.executable)
            wait_for(lambda: made.is_free)
            program.unlink()
            made.kill()
    finally:
        made.stop()
        made.kill()


def test_a_process_that_is_never_ready_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "READY_S", 1.0)
    monkeypatch.setattr(hosts, "BACK_OFF_S", 0.01)
    began = tmp_path / "began"
    hangs_once = f"""
import pathlib, time
if not (began := pathlib.Path({str(began)!r})).exists():
    began.touch()
    time.sleep(600)
"""
    made = Host(lambda *_: None, (sys.executable, "-S", "-c", hangs_once + SCRIPT))
    try:
        wait_for(lambda: made.is_free)
        assert began.exists()
        # Once it is ready it has all the time that there is.
        process = made.pid
        time.sleep(1.5)
        assert (made.pid, made.is_free) == (process, True)
    finally:
        made.stop()
        made.kill()
