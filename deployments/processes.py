"""Start, watch and end the processes of the service."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from facehog_core.errors import ServiceError

from .environment import MARK

log = logging.getLogger(__name__)

# How long a process may take to end by itself, seconds; then it is killed.
STOP_TIMEOUT_S = 5.0
# Between two starts of a process that keeps dying, seconds: doubled each time, and forgotten after an hour.
BACK_OFF_S = (1.0, 60.0)
STEADY_S = 3600.0
# Between two looks whether a process is ready, seconds.
READY_S = 0.1


@dataclass(slots=True)
class Service:
    """A process that is to run as long as facehog does.

    Parameters
    ----------
    name : str
        What it is called in messages; its output goes to ``<name>.log``.
    command : sequence of str
    is_ready : callable
        Whether it can be used.
    ready_file : Path, optional
        What the process writes when it is ready: removed before it starts, lest an old one be believed.
    start_timeout_s : float
        How long that may take, in seconds.
    """

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    ready_file: Path | None = None
    start_timeout_s: float = 90.0
    _process: subprocess.Popen[bytes] | None = None
    _started_s: float = 0.0
    _restart_at_s: float | None = None
    _back_off_s: float = BACK_OFF_S[0]

    def start(self, environment: Mapping[str, str], logs: Path) -> None:
        """Start the process; its output is added to its log file."""
        logs.mkdir(parents=True, exist_ok=True)
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        with (logs / f"{self.name}.log").open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for `facehog up` alone, which ends the others in order.
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        self._started_s, self._restart_at_s = time.monotonic(), None

    def wait_until_ready(self, logs: Path, stop: threading.Event) -> bool:
        """Wait for the process to be of use.

        Returns
        -------
        bool
            False if `stop` was set before.

        Raises
        ------
        ServiceError
            If it ends, or takes too long.
        """
        deadline_s = self._started_s + self.start_timeout_s
        while not self.is_ready():
            if (status := self.exit_status()) is not None:
                raise ServiceError(self.name, f"ended with status {status} while starting", self._see(logs))
            if time.monotonic() > deadline_s:
                raise ServiceError(self.name, f"was not ready after {self.start_timeout_s:.0f} s", self._see(logs))
            if stop.wait(READY_S):
                return False
        return True

    def _see(self, logs: Path) -> str:
        return f"See {logs / f'{self.name}.log'}."

    def exit_status(self) -> int | None:
        """Return the exit status of a process that has ended, or None."""
        return self._process.poll() if self._process else None

    def keep_alive(self, environment: Mapping[str, str], logs: Path) -> None:
        """Start the process again if it has ended, after a while that grows from time to time."""
        at_s = time.monotonic()
        if self._restart_at_s is not None:
            if at_s >= self._restart_at_s:
                self.start(environment, logs)
        elif (status := self.exit_status()) is not None:
            if at_s - self._started_s > STEADY_S:
                self._back_off_s = BACK_OFF_S[0]
            log.warning("%s ended with status %s; starts again in %.0f s", self.name, status, self._back_off_s)
            self._restart_at_s = at_s + self._back_off_s
            self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])

    def stop(self) -> None:
        """End the process and what it started: first politely, after a while not."""
        if self._process is None or self._process.poll() is not None:
            return
        family = [psutil.Process(self._process.pid)]
        family += family[0].children(recursive=True)
        self._process.terminate()
        end_processes(family, ask=False)
        self._process.wait()


def end_processes(processes: Iterable[psutil.Process], *, ask: bool = True) -> None:
    """End processes: ask them (SIGTERM), wait, and kill what is left.

    Parameters
    ----------
    processes : iterable of psutil.Process
    ask : bool, optional
        False where they have been asked already.
    """
    processes = list(processes)
    if ask:
        for process in processes:
            _try(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_S)
    for process in alive:
        _try(process.kill)
    psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return


def find_marked(mark: str) -> list[psutil.Process]:
    """Find the processes that a service started, whoever their parent is now.

    Parameters
    ----------
    mark : str
        What the service wrote into their environment.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):  # Another user's, or gone.
            continue
    return found
