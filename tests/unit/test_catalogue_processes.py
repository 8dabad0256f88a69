"""The catalogue among processes that read it, write it, make it, and die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from catalogue_users import (
    INBOX,
    LOOK,
    N_WRITES,
    look_often,
    make_many,
    make_record,
    turn_for_ever,
    write_for_ever,
    write_many,
)
from sqlalchemy.exc import InterfaceError, OperationalError

from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.errors import CatalogueError
from facehog_core.locks import hold
from facehog_core.schema import Fate

needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="kills a process as POSIX does")


N_WRITERS = 4


# New interpreters: a fork of a process with the threads of a Dask cluster may hang or die.
SPAWN = multiprocessing.get_context("spawn")


def spawn(target: Any, *arguments: Any) -> Any:
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def join(processes: list[Any]) -> list[int | None]:
    for process in processes:
        process.join(timeout=120)
        process.kill()
    return [process.exitcode for process in processes]


def test_processes_that_write_at_the_same_time_lose_nothing_and_wait_for_each_other(url: str) -> None:
    exits = join([spawn(write_many, url, writer) for writer in range(N_WRITERS)])

    assert exits == [0] * N_WRITERS
    with Catalogue(url) as catalogue:
        assert len(catalogue.records("state=finished")) == N_WRITERS * N_WRITES // 2
        assert len(catalogue.story(INBOX / "shared.mp4")) == N_WRITERS * N_WRITES // 2


def test_whoever_makes_the_catalogue_waits_for_others_that_do(file_url: str) -> None:
    maker = threading.Thread(target=lambda: Catalogue(file_url, create=True).close())
    with hold(file_url.removeprefix("sqlite:///"), "creation"):
        maker.start()
        maker.join(timeout=1)
        with pytest.raises(CatalogueError):
            Catalogue(file_url)
    maker.join(timeout=60)

    Catalogue(file_url).close()


def test_processes_can_make_the_catalogue_at_the_same_time(tmp_path: Path) -> None:
    together = SPAWN.Barrier(N_WRITERS)
    exits = join([spawn(make_many, tmp_path, together) for _ in range(N_WRITERS)])

    assert exits == [0] * N_WRITERS


def _received(receiver: Connection) -> Iterator[int]:
    try:
        while True:
            yield receiver.recv()
    except EOFError:
        return


N_READERS = 8


def test_readers_see_whole_states_and_no_lock_while_somebody_writes(url: str) -> None:
    with Catalogue(url, create=True) as catalogue:
        catalogue.record(make_record())
    together = SPAWN.Barrier(N_READERS + 1)
    writer = spawn(turn_for_ever, url, together)
    exits = join([spawn(look_often, url, together) for _ in range(N_READERS)])
    writer_lives = writer.is_alive()
    writer.kill()
    writer.join(timeout=60)

    assert exits == [0] * N_READERS
    assert writer_lives


@needs_kill
@pytest.mark.parametrize("attempt", range(2))
def test_a_writer_that_is_killed_leaves_all_that_it_had_recorded(url: str, catalogue: Catalogue, attempt: int) -> None:
    receiver, sender = SPAWN.Pipe(duplex=False)
    writer = spawn(write_for_ever, url, sender)
    sender.close()
    assert receiver.poll(60)
    time.sleep(0.05 * attempt)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(timeout=60)
    acknowledged = list(_received(receiver))

    with Catalogue(url) as again:
        files = again.files()
        assert all(INBOX / f"{number}.mp4" in files for number in acknowledged)
        # At most the write that nobody was told of any more.
        assert len(files) - len(acknowledged) in (0, 1)
        assert again.set_fate(INBOX / "next.mp4", Fate.WAITING, "is new", signature=LOOK)


def test_whatever_the_driver_says_is_an_error_of_the_catalogue_in_words(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True)
    for kind in (InterfaceError, OperationalError):
        with pytest.raises(CatalogueError, match="the connection is lost"), database.read():
            raise kind("SELECT 1", {}, sqlite3.Error("the connection is lost"))
    database.close()
