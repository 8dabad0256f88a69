"""Flow hosts as the runner sees them: processes that wait for a run, run it, and may die of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import UUID

import psutil

log = logging.getLogger(__name__)

FLOW_HOST = "deployments.flow_host"
# What a host answers: when it waits for a run, when it has taken one, and when that has ended.
READY, TAKEN, ENDED = "ready", "taken", "ended"
# A host is replaced after so many runs: whatever a library keeps of each does not add up for ever.
MOST_RUNS = 200
# Before a host that died before it was ready, or could not be started, is started again, seconds.
BACK_OFF_S = 5.0
# How long a host may take to be ready, seconds: one that hangs in its imports is neither free nor busy.
READY_S = 300.0


class Host:
    """A process that runs flows one after the other, and is started anew when it dies.

    Parameters
    ----------
    on_end : callable
        Called, in a thread of the host's own, with the run that has ended, and with what is known of the process's
        death where it died of it: None if it did not, or had not taken it yet, so that the run still waits.
    command : sequence of str, optional
        What is started, instead of `deployments.flow_host`.
    """

    def __init__(
        self, on_end: Callable[[UUID, str | None], None], command: Sequence[str] = (sys.executable, "-m", FLOW_HOST)
    ) -> None:
        self._on_end = on_end
        self._command = command
        self._lock = threading.Lock()
        self._stopped = False
        self.flow_run_id: UUID | None = None
        self.flow_name = ""
        self._is_ready = False
        self._process: subprocess.Popen[str] | None = None
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        while not self._stopped:
            try:
                process = self._process = self._start()
            except OSError as error:  # Too many processes, or no memory: that passes.
                log.warning("a flow host cannot be started: %s", error)
                time.sleep(BACK_OFF_S)
            else:
                self._listen(process)

    def _start(self) -> subprocess.Popen[str]:
        self._n_runs, self._is_ready, self.has_taken = 0, False, False
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Which runs it has is decided by the runner: a signal for that is not for this one.
            start_new_session=os.name != "nt",
        )

    @property
    def is_free(self) -> bool:
        """Whether it waits for a run."""
        return self._is_ready and self.flow_run_id is None

    @property
    def pid(self) -> int:
        """The process that takes runs now."""
        assert self._process
        return self._process.pid

    @property
    def is_suspended(self) -> bool:
        """Whether the system keeps the process from going on: after SIGSTOP, say."""
        with suppress(psutil.Error):
            return self._process is not None and psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED
        return False

    def run(self, flow_name: str, flow_run_id: UUID) -> None:
        """Run a flow. If the process has died since it was seen to be free, nothing happens: the run still waits."""
        with self._lock:
            if not self.is_free:
                return
            self.flow_name, self.flow_run_id = flow_name, flow_run_id
            self._n_runs += 1
        assert self._process
        assert self._process.stdin
        with suppress(OSError):  # It is dead: whoever listens to it says so.
            self._process.stdin.write(f"{flow_name} {flow_run_id}\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process, and with it the run that it is at."""
        if self._process:
            self._process.kill()

    def stop(self) -> None:
        """End the process: it is not started again."""
        self._stopped = True
        if self._process:
            self._process.terminate()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        impatience = threading.Timer(READY_S, process.kill)
        impatience.daemon = True
        impatience.start()
        for line in process.stdout:
            if line.strip() == READY:
                impatience.cancel()
                self._is_ready = True
            elif line.strip() == TAKEN:
                self.has_taken = True
            elif line.strip() == ENDED:
                if self._n_runs >= MOST_RUNS:
                    self._is_ready = False
                    assert process.stdin
                    process.stdin.close()
                self._end(None)
        impatience.cancel()
        status, was_ready = process.wait(), self._is_ready or self._n_runs > 0
        with suppress(OSError), process:
            pass  # Closes its pipes.
        with self._lock:
            self._is_ready = False
        self._end(f"its process ended with status {status}" if self.has_taken else None)
        if not was_ready:
            log.warning("a flow host ended with status %s before it was ready", status)
            time.sleep(BACK_OFF_S)

    def _end(self, death: str | None) -> None:
        """Tell of the end of the run that it was at, if it was at one."""
        flow_run_id, self.flow_run_id = self.flow_run_id, None
        self.has_taken = False
        if flow_run_id is not None:
            self._on_end(flow_run_id, death)
