"""Flow hosts as the runner sees them: processes that wait for a run, run it, and may die of it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from uuid import UUID

from .flow_host import ENDED, READY

log = logging.getLogger(__name__)

# A host is replaced after so many runs: whatever a library keeps of each does not add up for ever.
MOST_RUNS = 200
# Before a host that died before it was ready is started again, seconds.
BACK_OFF_S = 5.0


class Host:
    """A process that runs flows one after the other, and is started anew when it dies.

    Parameters
    ----------
    on_end : callable
        Called, in a thread of the host's own, with the run that has ended, and with what is known of the process's
        death where it died of it: None if it did not.
    """

    def __init__(self, on_end: Callable[[UUID, str | None], None]) -> None:
        self._on_end = on_end
        self._stopped = False
        self.flow_run_id: UUID | None = None
        self._start()

    def _start(self) -> None:
        self._n_runs, self._is_ready = 0, False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deployments.flow_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Which runs it has is decided by the runner: a signal for that is not for this one.
            start_new_session=os.name != "nt",
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    @property
    def is_free(self) -> bool:
        """Whether it waits for a run."""
        return self._is_ready and self.flow_run_id is None

    def run(self, flow_name: str, flow_run_id: UUID) -> None:
        """Run a flow; `is_free` must hold."""
        self.flow_run_id = flow_run_id
        self._n_runs += 1
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{flow_name} {flow_run_id}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # It is dead: whoever listens to it says so.

    def kill(self) -> None:
        """Kill the process, and with it the run that it is at."""
        self._process.kill()

    def stop(self) -> None:
        """End the process: it is not started again."""
        self._stopped = True
        self._process.terminate()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            if line.strip() == READY:
                self._is_ready = True
            elif line.strip() == ENDED:
                self._end(None)
                if self._n_runs >= MOST_RUNS:
                    self._is_ready = False
                    assert process.stdin
                    process.stdin.close()
        status, was_ready, self._is_ready = process.wait(), self._is_ready or self._n_runs, False
        if self.flow_run_id is not None:
            self._end(f"its process ended with status {status}")
        if not was_ready:
            log.warning("a flow host ended with status %s before it was ready", status)
            time.sleep(BACK_OFF_S)
        if not self._stopped:
            self._start()

    def _end(self, death: str | None) -> None:
        flow_run_id = self.flow_run_id
        self.flow_run_id = None
        if flow_run_id is not None:
            self._on_end(flow_run_id, death)
