"""A share that hangs while a run reads from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from operator import add
from pathlib import Path

import pytest
from barcode import write_recording
from distributed import Client, LocalCluster
from lab import Lab
from mounts import can_mount
from share import Share

from facehog_core import Catalogue
from facehog_core.errors import SilentShareError
from facehog_core.schema import Fate
from flows import share_watch
from flows.share_watch import ask_share


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_watch, "ANSWER_S", 0.5)
    monkeypatch.setattr(share_watch, "LOOK_S", 0.1)


def test_a_process_that_was_stopped_meanwhile_asks_once_more() -> None:
    n_asked, never = [], threading.Event()

    def ask() -> int:
        n_asked.append(1)
        return len(n_asked) if len(n_asked) > 1 else never.wait()

    assert ask_share(Path("m12.mp4"), ask) == 2
    with pytest.raises(SilentShareError, match="has not answered for 1 s"):
        ask_share(Path("m12.mp4"), never.wait)
    never.set()


@pytest.fixture
def cluster() -> Iterator[str]:
    """Run a worker that is started again when it ends."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as running:
        yield running.scheduler_address


@pytest.mark.skipif(not can_mount(), reason="needs Linux, root and FUSE to mount a share")
@pytest.mark.usefixtures("prefect_server")
def test_a_run_whose_share_hangs_is_given_back_and_others_find_the_workers_free(
    lab: Lab, tmp_path: Path, cluster: str
) -> None:
    behind, seen = tmp_path / "behind", tmp_path / "seen"
    behind.mkdir()
    seen.mkdir()
    write_recording(behind / "m12.mp4", 2000)
    share = Share(behind, seen)
    share.attach()
    path = seen / "m12.mp4"
    try:
        with ThreadPoolExecutor(1) as threads, Catalogue(lab.catalogue, create=True) as catalogue:
            run = threads.submit(copy_context().run, lab.process, path, cluster={"address": cluster})
            while not ((file := catalogue.file(path)) and file.run_id):
                assert not run.done(), run.result()
                time.sleep(0.01)
            with share.hanging():
                state = run.result(timeout=120)
                assert state.name == "GivenBack", state
                file = catalogue.file(path)
                assert file is not None
                assert (file.state, file.attempt) == (Fate.WAITING, 0)
                assert "has not answered for 1 s" in file.reason
                # The only worker, which hung there, was started anew.
                with Client(cluster) as client:
                    assert client.submit(add, 1, 1).result(timeout=120) == 2
    finally:
        share.detach()
