"""A process that runs flows, one after the other, each as Prefect's own process for one would.

To start a process for each run (imports of Prefect, Dask, Zarr, FFmpeg) takes longer than a short recording. A host has
done that before its first run. It reads the runs' names from its standard input, a line each, and answers each with a
line when it has ended; it ends when the input does, which is also when its parent is killed. Then nobody is left to
kill it when its run is cancelled, and it looks for that itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import TextIO
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SyncClientContext
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.flow_engine import run_flow
from prefect.logging.loggers import flow_run_logger

from flows.process_recording import process_recording
from flows.tidy_stores import tidy_stores
from flows.verify_stores import verify_stores

from .heartbeats import without_heartbeats
from .hosts import ENDED, READY, TAKEN

# Between two looks whether a run was cancelled of which no runner is left, seconds.
LOOK_S = 2.0
FLOWS = {flow.name: flow for flow in (process_recording, tidy_stores, verify_stores)}


def run(flow_name: str, flow_run_id: UUID) -> None:
    """Run a flow run to its end; the engine tells Prefect's server how it fares, also if it fails."""
    flow_run = connect().read_flow_run(flow_run_id)
    log = flow_run_logger(flow_run=flow_run)
    # Of a deployment's run Prefect would watch whether it is suspended, which no flow of ours can be: by a thread and a
    # connection of its own, for whose end it waits.
    undeployed = flow_run.model_copy(update={"deployment_id": None})
    run_flow(FLOWS[flow_name], flow_run=undeployed, error_logger=log, return_type="state")


@cache
def connect() -> SyncPrefectClient:
    """Return the client of all runs: to make one for each takes 30 ms, and several requests."""
    return SyncClientContext().__enter__().client


def serve(asked: TextIO, answers: TextIO) -> None:
    """Run what is asked for until there is no more."""
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(asked, lines), daemon=True).start()
    print(READY, file=answers, flush=True)
    while line := lines.get():
        print(TAKEN, file=answers, flush=True)
        flow_name, flow_run_id = line.split()
        # One that was cancelled or removed before it began is taken back.
        with suppress(Abort, Pause, ObjectNotFound):
            run(flow_name, UUID(flow_run_id))
        # Nobody may be left to read it.
        with suppress(BrokenPipeError):
            print(ENDED, file=answers, flush=True)


def _read(asked: TextIO, lines: SimpleQueue[str]) -> None:
    """Hand on what is asked for; when there will be no more, see to the run that goes on."""
    flow_run_id = None
    for line in asked:
        lines.put(line)
        flow_run_id = UUID(line.split()[1])
    lines.put("")
    if flow_run_id:
        _end_if_cancelled(flow_run_id)


def _end_if_cancelled(flow_run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        while True:
            with suppress(Exception):  # The server may be gone as well, for a while.
                state = client.read_flow_run(flow_run_id).state
                if state and state.is_cancelled():
                    os._exit(1)
            time.sleep(LOOK_S)


def main() -> None:
    """Take runs from the standard input."""
    # Answers go where the standard output went; what else is printed goes to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with without_heartbeats():
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
