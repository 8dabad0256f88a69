from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, text

from facehog_core.locks import hold, is_held, remove_idle

RECORDING = "/data/inbox/it's m[12]?\udcff.mp4"

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="a process is forked and killed")


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "catalogue.db")


@pytest.fixture(params=["file", "server"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "catalogue.db")
    url: URL = request.getfixturevalue("postgresql")
    return url.render_as_string(hide_password=False)


def test_what_is_held_is_held_until_the_end_of_the_context(catalogue: str) -> None:
    assert not is_held(catalogue, RECORDING)
    with hold(catalogue, RECORDING):
        assert is_held(catalogue, RECORDING)
        assert not is_held(catalogue, "another")
    assert not is_held(catalogue, RECORDING)


def test_it_is_let_go_of_also_when_something_fails(catalogue: str) -> None:
    with pytest.raises(ZeroDivisionError), hold(catalogue, RECORDING):
        raise ZeroDivisionError
    assert not is_held(catalogue, RECORDING)


def test_others_wait_for_it(catalogue: str) -> None:
    order = []

    def second() -> None:
        with hold(catalogue, RECORDING):
            order.append("second")

    waiter = threading.Thread(target=second)
    with hold(catalogue, RECORDING):
        waiter.start()
        waiter.join(timeout=0.5)
        order.append("first")
    waiter.join(timeout=60)

    assert order == ["first", "second"]


def test_it_is_not_waited_for_longer_than_one_has_patience(catalogue: str) -> None:
    with hold(catalogue, RECORDING):
        with pytest.raises(TimeoutError), hold(catalogue, RECORDING, 0.01):
            pass
        with hold(catalogue, "another", 0.01):
            pass
    with hold(catalogue, RECORDING, 0.01):
        assert is_held(catalogue, RECORDING)


def test_asking_does_not_hold_it(catalogue: str) -> None:
    for _ in range(3):
        assert not is_held(catalogue, RECORDING)


def _hold_for_ever(catalogue: str, holds: Event) -> None:
    with hold(catalogue, RECORDING):
        holds.set()
        signal.pause()


@needs_fork
def test_it_vanishes_with_the_process_that_held_it(catalogue: str) -> None:
    fork = multiprocessing.get_context("fork")
    holds = fork.Event()
    holder = fork.Process(target=_hold_for_ever, args=(catalogue, holds))
    holder.start()
    try:
        assert holds.wait(timeout=60)
        assert is_held(catalogue, RECORDING)
    finally:
        os.kill(holder.pid or 0, signal.SIGKILL)
        holder.join(timeout=60)

    assert not is_held(catalogue, RECORDING)


@needs_fork
def test_a_process_that_is_slow_or_stopped_keeps_it(catalogue: str) -> None:
    fork = multiprocessing.get_context("fork")
    holds = fork.Event()
    holder = fork.Process(target=_hold_for_ever, args=(catalogue, holds))
    holder.start()
    try:
        assert holds.wait(timeout=60)
        os.kill(holder.pid or 0, signal.SIGSTOP)
        assert is_held(catalogue, RECORDING)
        os.kill(holder.pid or 0, signal.SIGCONT)
        assert is_held(catalogue, RECORDING)
    finally:
        os.kill(holder.pid or 0, signal.SIGKILL)
        holder.join(timeout=60)


def test_who_holds_something_comes_to_his_end_also_when_the_server_was_restarted_meanwhile(postgresql: URL) -> None:
    url = postgresql.render_as_string(hide_password=False)
    engine = create_engine(postgresql.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as asking, hold(url, RECORDING):
        held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        assert asking.execute(text(held)).scalars().all() == [True]
    assert not is_held(url, RECORDING)


def test_asking_leaves_no_file_and_those_of_the_past_are_removed_but_what_is_held_stays(file: str) -> None:
    folder = Path(f"{file}.locks")
    assert remove_idle(file) == 0
    assert not is_held(file, RECORDING)
    assert not folder.exists()
    for number in range(5):
        with hold(file, f"m{number}.mp4"):
            pass
    with hold(file, RECORDING):
        assert remove_idle(file) == 5
        assert is_held(file, RECORDING)
    assert remove_idle(file) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that somebody has open")
def test_nobody_can_take_a_lock_while_its_file_is_being_removed(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold(file, RECORDING):
        pass
    was_held, unlink = [], Path.unlink

    def look_and_unlink(path: Path) -> None:
        was_held.append(is_held(file, RECORDING))
        unlink(path)

    monkeypatch.setattr(Path, "unlink", look_and_unlink)
    assert remove_idle(file) == 1
    assert was_held == [True]
