"""Real processes that hold the lock of a service, as `facehog up` does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments import stop as stop_module
from deployments.config_file import load_config
from deployments.doctor import examine
from deployments.environment import MARK
from deployments.processes import find_marked
from deployments.service_paths import ServicePaths
from deployments.status import find_health
from deployments.stop import listening_to_stop, stop_service

UP = """
import sys, threading
from pathlib import Path
from deployments.service_paths import ServicePaths
from deployments.stop import listening_to_stop
paths, stop = ServicePaths(state_dir=Path(sys.argv[1])), threading.Event()
with paths.alone(), listening_to_stop(paths, stop):
    print("up", flush=True)
    (threading.Event() if sys.argv[2] == "deaf" else stop).wait()
"""


@pytest.fixture
def paths(tmp_path: Path) -> ServicePaths:
    return ServicePaths(state_dir=tmp_path / ".facehog")


@pytest.fixture
def start(paths: ServicePaths) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start_up(how: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", UP, str(paths.state_dir), how], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        return process

    yield start_up
    for process in started:
        with process:
            process.kill()


def test_a_service_that_is_up_hears_and_stops(
    paths: ServicePaths, start: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = start("hearing")
    assert stop_service(paths).startswith("facehog has stopped")
    assert process.wait(60) == 0
    assert [file.name for file in paths.state_dir.iterdir()] == ["up.lock"]


def test_one_that_does_not_hear_is_ended_with_all_its_processes(
    paths: ServicePaths, start: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_module, "PATIENCE_S", 0.5)
    process = start("deaf")
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, MARK: paths.mark}
    ) as child:
        assert "did not hear" in stop_service(paths)
        process.wait(60)
        child.wait(60)
    assert not paths.is_up
    with paths.alone(), listening_to_stop(paths, stop := threading.Event()):
        assert not stop.is_set(), "the next one is not stopped by what was asked of the last one"


def test_what_a_killed_one_left_is_ended_and_nothing_is_nothing(paths: ServicePaths) -> None:
    assert stop_service(paths) == "facehog is not up"
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    with subprocess.Popen(command, env={**os.environ, MARK: paths.mark}, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        config = load_config(None).model_copy(update={"home": paths.state_dir.parent})
        assert "1 of its processes go on without it" in find_health(config).problems[0]
        (told,) = [finding for finding in examine(config, None) if finding.subject == "service"]
        assert "it was killed, and 1 of its processes" in told.fact, "and no other program is blamed for the port"
        assert stop_service(paths) == "facehog was not up; ended 1 processes that a killed one had left"
        child.wait(60)
    assert find_marked(paths.mark) == []


def test_a_process_that_took_the_number_of_a_dead_one_is_left_alone(paths: ServicePaths) -> None:
    with paths.alone(), listening_to_stop(paths, threading.Event()):
        assert [process.pid for process in stop_module._find_owner(paths)] == [os.getpid()]
        paths.owner.write_text(f'{{"pid": {os.getpid()}, "created_s": 1.0}}', "utf-8")
        assert stop_module._find_owner(paths) == []
