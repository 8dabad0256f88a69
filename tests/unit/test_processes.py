"""Real processes, which are kept alive and of use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments import processes
from deployments.environment import MARK
from deployments.processes import Service, end_processes, find_marked, stop_services, wait_until_ready
from deployments.pulse import Condition
from facehog_core.errors import ServiceError

PATIENCE_S = 60.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
# Says on which port it listens.
LISTENER = """
import sys, http.server
from pathlib import Path
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
unfinished = Path(sys.argv[1] + ".unfinished")
unfinished.write_text(str(server.server_port))
unfinished.replace(sys.argv[1])
server.serve_forever()
"""


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CHECK_S", 0.02)
    monkeypatch.setattr(processes, "BACK_OFF_S", (0.01, 0.05))


class Kept:
    """A service that is kept alive as `facehog up` does it."""

    def __init__(self, folder: Path, ask: Callable[[], Mapping[str, Any] | None], *command: str, **given: Any) -> None:
        self.logs = folder / "logs"
        self.environment = {**os.environ, MARK: str(folder)}
        self.service = Service("part", command, ask, **given)
        self.service.start(self.environment, self.logs)

    def wait_until_ready(self) -> None:
        assert wait_until_ready([self.service], self.logs, threading.Event())

    def wait_for(self, look: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not look():
            assert time.monotonic() < deadline_s
            self.service.keep_alive(self.environment, self.logs)
            time.sleep(0.01)


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., Kept]]:
    made: list[Kept] = []

    def make(*given: Any, **more: Any) -> Kept:
        made.append(Kept(tmp_path, *given, **more))
        return made[-1]

    yield make
    for kept in made:
        stop_services([kept.service])
    assert find_marked(str(tmp_path)) == []


def test_a_process_that_ends_is_started_again(keep: Callable[..., Kept]) -> None:
    kept = keep(dict, *SLEEPER)
    kept.wait_until_ready()
    first = kept.service.pid
    assert first is not None
    psutil.Process(first).kill()
    kept.wait_for(lambda: kept.service.condition is Condition.ENDED)
    kept.wait_for(lambda: kept.service.condition is Condition.WELL)
    assert kept.service.pid != first
    assert kept.service.n_restarts == 1


def test_a_process_that_cannot_be_started_is_tried_again_and_keeps_nobody_from_the_others(
    keep: Callable[..., Kept],
) -> None:
    kept = keep(dict, *SLEEPER)
    kept.wait_until_ready()
    kept.logs.rename(kept.logs.with_name("away"))
    kept.logs.write_text("no folder", "utf-8")
    psutil.Process(kept.service.pid).kill()
    kept.wait_for(lambda: kept.service.n_restarts >= 3)
    assert kept.service.condition is Condition.ENDED
    kept.logs.unlink()
    kept.wait_for(lambda: kept.service.condition is Condition.WELL)


@pytest.mark.skipif(os.name == "nt", reason="stops a process by a POSIX signal")
def test_a_process_that_lives_but_stands_still_is_started_again(keep: Callable[..., Kept], tmp_path: Path) -> None:
    port = tmp_path / "port"

    def ask() -> Mapping[str, Any] | None:
        try:
            httpx.get(f"http://127.0.0.1:{port.read_text()}", timeout=0.2)
        except (OSError, httpx.HTTPError):
            return None
        return {"port": port.read_text()}

    kept = keep(ask, sys.executable, "-c", LISTENER, str(port), ready_file=port)
    kept.wait_until_ready()
    stopped = psutil.Process(kept.service.pid)
    stopped.send_signal(signal.SIGSTOP)
    kept.wait_for(lambda: kept.service.n_restarts == 1)
    kept.wait_for(lambda: kept.service.condition is Condition.WELL)
    assert not stopped.is_running(), "it did not hear a polite word, and is gone nevertheless"
    assert kept.service.facts == {"port": port.read_text()}


def test_a_process_that_falls_silent_once_is_left_alone(keep: Callable[..., Kept]) -> None:
    answers: list[dict[str, Any] | None] = [{}, None, None, {}, None, {}]
    kept = keep(lambda: answers.pop(0) if answers else {}, *SLEEPER)
    kept.wait_until_ready()
    kept.wait_for(lambda: not answers)
    kept.wait_for(lambda: kept.service.condition is Condition.WELL)
    assert kept.service.n_restarts == 0


def test_a_ready_file_is_gone_as_soon_as_the_process_is(keep: Callable[..., Kept], tmp_path: Path) -> None:
    # Whoever looks for the cluster must not try the one that is gone: that takes half a minute.
    ready = tmp_path / "ready"
    command = f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    kept = keep(lambda: {} if ready.exists() else None, sys.executable, "-c", command, ready_file=ready)
    kept.wait_until_ready()
    psutil.Process(kept.service.pid).kill()
    kept.wait_for(lambda: kept.service.condition is Condition.ENDED)
    kept.service.keep_alive(kept.environment, kept.logs)
    assert not ready.exists()


def test_a_process_that_ends_while_it_starts_or_is_never_ready_is_an_error_that_names_its_log(
    keep: Callable[..., Kept],
) -> None:
    ending = keep(lambda: None, sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(ServiceError, match=r"part: ended with status 3 while starting. See .*part\.log"):
        ending.wait_until_ready()
    slow = keep(lambda: None, *SLEEPER, start_timeout_s=0.05)
    with pytest.raises(ServiceError, match="was not ready after 0 s"):
        slow.wait_until_ready()


def test_of_processes_that_start_together_one_that_ends_is_an_error_before_the_others_are_ready(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    slow, ending = keep(lambda: None, *SLEEPER), keep(lambda: None, sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(ServiceError, match="ended with status 3 while starting"):
        wait_until_ready([slow.service, ending.service], tmp_path, threading.Event())


def test_the_time_of_a_process_that_waits_for_another_one_runs_when_that_is_ready(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    first, ready = tmp_path / "first", []
    answers: list[dict[str, Any] | None] = [None] * 3
    one = keep(lambda: answers.pop() if answers else {}, *SLEEPER)
    two = keep(lambda: {} if len(ready) == 1 else None, *SLEEPER, start_timeout_s=0.0, after=first)
    assert wait_until_ready([two.service, one.service], tmp_path, threading.Event(), ready.append)
    assert ready == [one.service, two.service]
    late = keep(lambda: None, *SLEEPER, start_timeout_s=0.0, after=first)
    first.touch()
    with pytest.raises(ServiceError, match="was not ready after 0 s"):
        wait_until_ready([late.service], tmp_path, threading.Event())


def test_nobody_waits_any_more_for_processes_of_a_service_that_is_to_stop(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    stop = threading.Event()
    stopping = keep(stop.set, *SLEEPER)
    assert not wait_until_ready([stopping.service], tmp_path, stop)


def test_a_process_that_keeps_dying_is_started_more_and_more_rarely(keep: Callable[..., Kept]) -> None:
    kept = keep(dict, sys.executable, "-c", "pass")
    pauses_s = []
    for n in range(1, 6):
        kept.wait_for(lambda: kept.service.condition is Condition.ENDED)
        kept.service.keep_alive(kept.environment, kept.logs)
        pauses_s.append(kept.service._back_off_s)
        kept.wait_for(lambda n=n: kept.service.n_restarts == n)
    assert pauses_s == [0.02, 0.04, 0.05, 0.05, 0.05]


def test_a_process_that_does_not_hear_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        found = psutil.Process(process.pid)
        end_processes([found], polite_s=0.1)
        assert not found.is_running()
