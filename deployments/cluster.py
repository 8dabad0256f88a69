"""The Dask cluster of the service: a process of its own, that writes a scheduler file when it is ready."""

from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path

import dask
from distributed import LocalCluster, Security

from facehog_core.cores import count_cores
from flows.cluster import LOOPBACK

from .signals import call_on_signals


def run_cluster(n_workers: int, scheduler_file: Path, host: str) -> None:
    """Run scheduler and workers until SIGTERM or SIGINT.

    Parameters
    ----------
    n_workers : int
        Worker processes, with one thread each: a decoder and a kernel keep a core busy.
    scheduler_file : Path
        Where the scheduler's address is written, as ``dask scheduler --scheduler-file`` does.
    host : str
        Where it listens. Whether it talks TLS alone is in Dask's settings; see `deployments.certificates`.
    """
    stop = threading.Event()
    call_on_signals(stop.set)
    with LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        host=host,
        protocol="tls://" if dask.config.get("distributed.comm.require-encryption") else "tcp://",
        security=Security(),
        # What answers by HTTP, without TLS, does so to this machine alone.
        worker_dashboard_address=f"{LOOPBACK}:0",
        dashboard_address=f"{LOOPBACK}:0",
        preload=["deployments.preload"],
    ) as cluster:
        unfinished = scheduler_file.with_suffix(".unfinished")
        page = f"http://{LOOPBACK}:{cluster.scheduler_info['services']['dashboard']}/status"
        identity = {"address": cluster.scheduler_address, "dashboard": page}
        unfinished.write_text(json.dumps(identity), "utf-8")
        unfinished.replace(scheduler_file)
        stop.wait()
        scheduler_file.unlink(missing_ok=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-workers", type=int, default=count_cores())
    parser.add_argument("--scheduler-file", type=Path, required=True)
    parser.add_argument("--host", default=LOOPBACK)
    given = parser.parse_args()
    run_cluster(given.n_workers, given.scheduler_file, given.host)


if __name__ == "__main__":
    main()
