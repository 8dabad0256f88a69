"""Asked of an HTTP server that answers as Prefect's and Dask's do; the real ones are asked in tests/e2e."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import Receiver, receive

from deployments import questions
from deployments.api import Api
from deployments.beats import Beats, Heart
from deployments.questions import NO_WORKERS_S, AskCluster, AskRunner, ask_server


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take connections, and never say a word: as a server whose main thread stands still."""
    monkeypatch.setattr(questions, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_prefect_server_is_well_if_it_and_its_database_answer(server: Receiver) -> None:
    assert ask_server(Api(url=server.url)) == {}
    assert [path for _, path, _ in server.asked] == ["/health", "/deployments/count"]
    server.answers = {"/deployments": (500, "no such table: deployment")}
    assert ask_server(Api(url=server.url)) is None
    server.answers = {"/health": (503, "not yet")}
    assert ask_server(Api(url=server.url)) is None


def test_a_prefect_server_that_listens_and_says_nothing_is_not_well(mute: str) -> None:
    assert ask_server(Api(url=mute)) is None


def test_nobody_there_is_no_answer() -> None:
    assert ask_server(Api(url="http://127.0.0.1:1/api")) is None


def write_scheduler_file(folder: Path, url: str) -> Path:
    file = folder / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:1", "dashboard": f"{url}/status"}), "utf-8")
    return file


def test_a_cluster_may_lose_its_workers_for_a_while(server: Receiver, tmp_path: Path) -> None:
    at_s = [0.0]
    ask = AskCluster(write_scheduler_file(tmp_path, server.url), lambda: at_s[0])

    def count(workers: int) -> dict[str, int] | None:
        server.answers = {"/json/counts.json": (200, json.dumps({"workers": workers}))}
        return ask()

    assert count(2) == {"workers": 2}
    at_s[0] += NO_WORKERS_S
    assert count(0) == {"workers": 0}
    at_s[0] += 1
    assert count(0) is None
    assert count(1) == {"workers": 1}


def test_a_cluster_that_starts_or_stands_still_does_not_answer(mute: str, tmp_path: Path) -> None:
    ask = AskCluster(tmp_path / "scheduler.json")
    assert ask() is None
    write_scheduler_file(tmp_path, mute)
    assert ask() is None


def test_a_runner_whose_deployments_are_gone_is_not_well_and_one_whose_server_is_gone_is(
    server: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "runner"
    ask = AskRunner(Beats(file, most_s=60), Api(url=server.url), "process-recording/inbox")
    assert ask() is None, "it has not said that it is ready"
    Heart(file).go_on()
    assert ask() is not None
    assert server.asked[-1][1] == "/deployments/name/process-recording/inbox"
    server.answers = {"/deployments": (404, "Deployment not found")}
    assert ask() is None
    assert AskRunner(Beats(file, most_s=60), Api(url="http://127.0.0.1:1/api"), "process-recording/inbox")() is not None
