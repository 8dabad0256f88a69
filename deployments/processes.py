"""Start, watch and end the processes of the service."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from facehog_core.errors import ServiceError

from .environment import MARK
from .logs import rotate
from .pulse import Condition, Pulse

log = logging.getLogger(__name__)

# How long a process may take to end by itself, seconds; then it is killed. The service has three steps of it.
STOP_TIMEOUT_S = 4.0
# Between two starts of a process that keeps dying, seconds: doubled each time, and forgotten after an hour.
BACK_OFF_S = (1.0, 60.0)
STEADY_S = 3600.0
# Between two questions to a process: while it is waited for, and from then on; seconds.
READY_S = 0.1
CHECK_S = 5.0


@dataclass(slots=True)
class Service:
    """A process that is to run, and to be of use, as long as facehog does.

    Parameters
    ----------
    name : str
        What it is called in messages; its output goes to ``<name>.log``.
    command : sequence of str
    ask : callable
        Asks the process how it is: what it says of itself, or None if it does not answer. It may take a while.
    ready_file : Path, optional
        What the process writes when it is ready: removed before it starts, and when it has ended, lest it be believed.
    start_timeout_s : float
        How long it may take to be ready, in seconds.
    after : Path, optional
        A file that the process waits for, once it has been started: before that is there, its time does not run.
    """

    name: str
    command: Sequence[str]
    ask: Callable[[], Mapping[str, Any] | None]
    ready_file: Path | None = None
    start_timeout_s: float = 90.0
    after: Path | None = None
    n_restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _pulse: Pulse = field(default_factory=lambda: Pulse(began_s=0.0, start_timeout_s=0.0))
    _restart_at_s: float | None = None
    _back_off_s: float = field(default_factory=lambda: BACK_OFF_S[0])
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self, environment: Mapping[str, str], logs: Path) -> None:
        """Start the process; its output is added to its log file."""
        logs.mkdir(parents=True, exist_ok=True)
        self._forget_ready()
        log_file = logs / f"{self.name}.log"
        with suppress(OSError):  # On a full disk it is rotated later.
            rotate(log_file)
        with log_file.open("ab") as output:
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
        self._restart_at_s = None
        self._pulse = Pulse(began_s=time.monotonic(), start_timeout_s=self.start_timeout_s)

    def is_ready(self, logs: Path) -> bool:
        """Say whether a process that starts is of use; from then on it is asked how it is.

        Raises
        ------
        ServiceError
            If it has ended, or takes too long.
        """
        if self._check():
            threading.Thread(target=self._keep_asking, name=f"asks {self.name}", daemon=True).start()
            return True
        see = f"See {logs / f'{self.name}.log'}."
        if (status := self._exit_status()) is not None:
            raise ServiceError(self.name, f"ended with status {status} while starting", see)
        if trouble := self._why_lost(time.monotonic()):
            raise ServiceError(self.name, trouble, see)
        return False

    def _why_lost(self, at_s: float) -> str | None:
        if self.after and not self._pulse.has_answered and not self.after.exists():
            self._pulse.began_s = at_s
        return self._pulse.why_lost(at_s)

    def _check(self) -> bool:
        # Of the process that is asked: by the time it answers, it may have been replaced.
        pulse = self._pulse
        pulse.note(answer := self.ask())
        return answer is not None

    def _keep_asking(self) -> None:
        while not self._stopped.wait(CHECK_S):
            try:
                self._check()
            except Exception:
                log.exception("%s: cannot be asked how it is", self.name)

    @property
    def condition(self) -> Condition:
        """What the process is like."""
        if self._restart_at_s is not None or self._exit_status() is not None:
            return Condition.ENDED
        return self._pulse.condition

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the process last said of itself."""
        return self._pulse.facts

    @property
    def pid(self) -> int | None:
        """The process as the system knows it."""
        return self._process.pid if self._process else None

    def note_end(self) -> None:
        """Take note of the process's end, if it has ended."""
        self._exit_status()

    def _exit_status(self) -> int | None:
        return self._process.poll() if self._process else None

    def keep_alive(self, environment: Mapping[str, str], logs: Path) -> None:
        """Start the process again if it has ended or does not answer, after a while that grows from time to time."""
        at_s = time.monotonic()
        if self._restart_at_s is not None:
            if at_s >= self._restart_at_s:
                self.n_restarts += 1
                try:
                    self.start(environment, logs)
                except OSError as error:  # A full disk, or too many processes: both pass.
                    self._restart_later(f"cannot be started ({error.strerror})", at_s)
        elif (status := self._exit_status()) is not None:
            self._restart_later(f"ended with status {status}", at_s)
        elif trouble := self._why_lost(at_s):
            self.restart(trouble)

    def restart(self, trouble: str) -> None:
        """End the process and start it again after a while, unless it is about to be started anyway."""
        if self._restart_at_s is not None:
            return
        # It would not hear a polite word.
        end_processes(self._family(), polite_s=0.0)
        self.note_end()
        self._restart_later(trouble, time.monotonic())

    def _restart_later(self, trouble: str, at_s: float) -> None:
        if at_s - self._pulse.began_s > STEADY_S:
            self._back_off_s = BACK_OFF_S[0]
        log.warning("%s %s; starts again in %.0f s", self.name, trouble, self._back_off_s)
        # Whoever looks for the process waits for the next one, and does not try the one that is gone.
        self._forget_ready()
        self._restart_at_s = at_s + self._back_off_s
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S[1])

    def _forget_ready(self) -> None:
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)

    def _family(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def ask_to_stop(self) -> list[psutil.Process]:
        """Ask the process to end, which tells what it has started; return all of them."""
        self._stopped.set()
        family = self._family()
        if self._process and family:
            self._process.terminate()
        return family


def wait_until_ready(
    services: Iterable[Service], logs: Path, stop: threading.Event, on_ready: Callable[[Service], None] = lambda _: None
) -> bool:
    """Wait until all of some processes that start at the same time are of use.

    Parameters
    ----------
    services : iterable of Service
    logs : Path
        Folder of their output.
    stop : threading.Event
    on_ready : callable, optional
        Called with each as soon as it is of use.

    Returns
    -------
    bool
        False if `stop` was set before.

    Raises
    ------
    ServiceError
        If one of them ends, or takes too long.
    """
    waiting = list(services)
    while waiting and not stop.is_set():
        ready = [service for service in waiting if service.is_ready(logs)]
        for service in ready:
            on_ready(service)
            waiting.remove(service)
        if not ready:
            stop.wait(READY_S)
    return not waiting


def stop_services(services: Iterable[Service]) -> None:
    """End processes, all at the same time, and what they have started: first politely, after a while not."""
    services = list(services)
    end_processes([process for service in services for process in service.ask_to_stop()], ask=False)
    for service in services:
        service.note_end()


def end_processes(processes: Iterable[psutil.Process], *, ask: bool = True, polite_s: float = STOP_TIMEOUT_S) -> None:
    """End processes: ask them (SIGTERM), wait, and kill what is left.

    Parameters
    ----------
    processes : iterable of psutil.Process
    ask : bool, optional
        False where they have been asked already.
    polite_s : float, optional
        How long they may take to end by themselves, in seconds.
    """
    processes = list(processes)
    if ask and polite_s:
        for process in processes:
            _try(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=polite_s)
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
