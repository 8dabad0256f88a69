"""A decoder that crashes takes its worker with it, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from operator import add
from pathlib import Path

import dask
import psutil
import pytest
from barcode import write_recording
from distributed import Client, LocalCluster, wait
from lab import Lab

from deployments.environment import describe_environment
from facehog_core.schema import Fate

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Run two worker processes whose decoder crashes on recordings of a certain name."""
    settings = dask.config.collect_env(describe_environment(tmp_path))
    with (
        dask.config.set(dask.config.merge(dask.config.config, settings)),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            preload=[str(Path(__file__).with_name("crashing_decoder.py"))],
        ) as running,
    ):
        yield running.scheduler_address


def test_a_crash_quarantines_its_recording_and_no_other(lab: Lab, tmp_path: Path, cluster: str) -> None:
    names = ("crashes-the-decoder.mp4", "crashes-the-probe.mp4", "innocent.mp4")
    crasher, unreadable, innocent = (
        write_recording(tmp_path / name, n, x264="keyint=20:bframes=0")
        for name, n in zip(names, (20, 21, 600), strict=True)
    )
    with ThreadPoolExecutor(3) as threads:
        runs = [
            threads.submit(copy_context().run, lab.process, path, cluster={"address": cluster})
            for path in (crasher, unreadable, innocent)
        ]
        states = [run.result().name for run in runs]

    assert states == ["Quarantined", "Quarantined", "Completed"]
    assert "describing frames 0-20 ended the worker's process 2 times" in lab.record(crasher).reason
    assert "reading its index ended the worker's process 2 times" in lab.record(unreadable).reason
    assert lab.record(innocent).state == Fate.FINISHED
    assert list(lab.store.rglob("*.partial")) == []


def test_workers_that_die_again_and_again_come_back(cluster: str) -> None:
    first_s = time.monotonic()
    # Dask looks 15 s after each death whether the worker is there.
    while time.monotonic() < first_s + 17:
        for process in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(process.cmdline()):
                process.kill()
        time.sleep(0.5)

    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        wait(found := client.submit(add, 1, 1), timeout=60)
        assert found.result() == 2
