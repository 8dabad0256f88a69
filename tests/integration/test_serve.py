"""`facehog catalogue serve`, as a lab uses it: a real server, a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from commands import catalogue_run, run_command
from runs import make_store, make_work

PATIENCE_S = 120
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass(frozen=True)
class Served:
    """A catalogue that is shown."""

    url: str
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a finished run."""
    folder = tmp_path_factory.mktemp("100% 'odd' lab")
    catalogue_run(folder, make_store(folder / "store", make_work()))
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.cli", "catalogue", "serve", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = process.stdout.readline()
    found = re.match(r"(http://127\.0\.0\.1:\d+) shows the catalogue", said)
    assert found, said
    yield Served(url=found[1], process=process)
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def test_it_answers_on_loopback_alone(served: Served) -> None:
    assert "23" in httpx.get(f"{served.url}/catalogue/runs", timeout=PATIENCE_S).raise_for_status().text
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(served.process.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_draws_the_picture_that_the_page_of_a_run_names(served: Served, tmp_path: Path) -> None:
    (row,) = httpx.get(f"{served.url}/catalogue/runs.json?_shape=array", timeout=PATIENCE_S).json()
    shown = httpx.get(f"{served.url}/run/{row['run']}", timeout=PATIENCE_S).raise_for_status().text
    (picture,) = re.findall(r'class="picture" src="([^"]+)"', shown)
    # Its size is known to who has drawn it.
    told = "document.title = `${this.naturalWidth} wide`"
    page = tmp_path / "page.html"
    page.write_text(f'<img src="{served.url}{picture}" onload="{told}">', "utf-8")
    assert CHROMIUM
    quiet = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    assert "<title>40 wide</title>" in dom


def test_a_port_that_is_taken_and_an_open_door_without_a_password_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run_command(monkeypatch, capsys, folder, "catalogue", "serve", "--port", port)
    assert (answer.status, f"port {port} of 127.0.0.1: it cannot be had" in answer.err) == (1, True)
    answer = run_command(monkeypatch, capsys, folder, "catalogue", "serve", "--host", "0.0.0.0")
    assert (answer.status, "everybody in the network could look" in answer.err) == (2, True)
    monkeypatch.setitem(sys.modules, "datasette", None)
    answer = run_command(monkeypatch, capsys, folder, "catalogue", "serve", "--port", "0")
    assert (answer.status, "pip install -c requirements.lock '.[serve]'" in answer.err) == (1, True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_it(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=PATIENCE_S) == 0
