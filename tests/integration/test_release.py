"""What is told to Prefect, and written into the catalogue, of runs that a killed service had under way."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from catalogue_users import file_of, make_record, running
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL
from prefect.states import Running, Scheduled

from deployments import up
from deployments.api import Api
from deployments.backlog import Backfill, Backlog
from deployments.config import Config
from deployments.config_file import load_config
from deployments.health import STARTING, StoreDisk
from deployments.health_server import serve_health
from deployments.release import release_runs
from deployments.service_paths import ServicePaths
from deployments.status import find_health
from facehog_core import Catalogue
from facehog_core.locks import hold
from facehog_core.provenance import describe_host
from facehog_core.schema import Fate
from facehog_core.source import Signature

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)


@flow(name="process-recording")
def process_recording() -> None:
    """Stand in for the flow: its runs are never run here."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "facehog.toml"
    file.write_text("", "utf-8")
    return load_config(file)


def ask_for_run(state: type = Running) -> UUID:
    with get_client(sync_client=True) as client:
        return client.create_flow_run(process_recording, state=state()).id


def state_of(run_id: UUID) -> StateType:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
    assert state
    return state.type


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.usefixtures("prefect_server")
def test_what_nobody_works_on_is_given_back_and_runs_of_others_are_left_alone(config: Config, is_ours: bool) -> None:
    inbox = config.inbox[0].path
    dead, outside, held, waiting = inbox / "dead.mp4", inbox.parent / "outside.mp4", inbox / "held.mp4", inbox / "w.mp4"
    (archive := inbox.parent / "archive").mkdir()
    Backlog(config).add(Backfill(path=str(archive)))
    old = archive / "2019" / "old.mp4"
    runs = {path: ask_for_run() for path in (dead, old, outside, held)} | {waiting: ask_for_run(Scheduled)}
    of_others = ask_for_run()
    with Catalogue(config.catalogue, create=True) as catalogue:
        for path, run_id in runs.items():
            state = Fate.QUEUED if path == waiting else Fate.RUNNING
            catalogue.set_fate(path, state, "is being read", signature=LOOK, attempt=2, flow_run_id=str(run_id))
        api = Api(url=str(PREFECT_API_URL.value()))
        with hold(catalogue.location, str(held)):
            release_runs(api, config, is_ours=is_ours, timeout_s=60)
            release_runs(api, config, is_ours=is_ours, timeout_s=60)
        files = {path: catalogue.file(path) for path in runs}
    told = {path: (file.state, file.attempt) for path, file in files.items() if file}
    assert told == {
        dead: (Fate.WAITING, 0),
        old: (Fate.WAITING, 0),
        outside: (Fate.FAILED, 2),
        held: (Fate.RUNNING, 2),
        waiting: (Fate.QUEUED, 2),
    }
    states = {path: state_of(run_id) for path, run_id in runs.items()}
    assert states == {
        dead: StateType.CRASHED,
        old: StateType.CRASHED,
        outside: StateType.CRASHED,
        held: StateType.RUNNING,
        waiting: StateType.SCHEDULED,
    }
    # On a server of its own this service knows that nobody else has runs there.
    assert state_of(of_others) is (StateType.CRASHED if is_ours else StateType.RUNNING)


def test_the_recordings_are_given_back_also_where_no_server_answers(config: Config) -> None:
    path = config.inbox[0].path / "m12.mp4"
    with Catalogue(config.catalogue, create=True) as catalogue:
        catalogue.set_fate(path, Fate.RUNNING, "is being read", signature=LOOK)
        with pytest.raises(httpx.ConnectError):
            release_runs(Api(url="http://127.0.0.1:1/api"), config, is_ours=True, timeout_s=1)
        file = catalogue.file(path)
    assert file is not None
    assert file.state is Fate.WAITING


def test_recordings_of_other_machines_that_share_the_catalogue_are_left_to_them(
    tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]
) -> None:
    (tmp_path / "facehog.toml").write_text(f"catalogue = '{make_catalogue_url('postgresql', tmp_path)}'", "utf-8")
    config = load_config(tmp_path / "facehog.toml")
    paths = [config.inbox[0].path / "m12.mp4", Path("/rig3/inbox/m13.mp4"), tmp_path / "by hand.mp4"]
    with Catalogue(config.catalogue, create=True) as catalogue:
        for number, (path, host) in enumerate(zip(paths, ("rig2", "rig3", describe_host()["name"]), strict=True)):
            record = running(make_record(run_id=f"{number}f0c2a9b77d3-5e21c0aa", host={"name": host}))
            catalogue.record(replace(record, path=path))
        with pytest.raises(httpx.ConnectError):
            release_runs(Api(url="http://127.0.0.1:1/api"), config, is_ours=False, timeout_s=1)
        states = [file_of(catalogue, path).state for path in paths]
    assert states == [Fate.WAITING, Fate.RUNNING, Fate.FAILED]


def make_family(config: Config) -> up._Family:
    """Make a service with no processes, and with a Prefect server that does not answer."""
    paths = ServicePaths(state_dir=config.state_dir)
    paths.ready.mkdir(parents=True)
    server = up._Server(api=Api(url="http://127.0.0.1:1/api", auth_string=None), port=1)
    return up._Family(config=config, paths=paths, server=server, environment={}, services=[], disk=StoreDisk(config))


def test_until_all_is_ready_a_service_is_said_to_be_starting_by_itself_and_by_status(config: Config) -> None:
    family = make_family(config)
    with family.paths.alone(), serve_health(family.measure, 0) as url:
        told, status = httpx.get(url).json(), find_health(config)
        assert (told["is_up"], told["problems"][0]) == (status.is_up, status.problems[0]) == (False, STARTING)
        family.paths.addresses.write_text(json.dumps({"health_url": url}), "utf-8")
        ready = find_health(config)
        assert (ready.is_up, ready.problems) == (True, ["prefect-server: does not answer"])


def test_a_service_ends_though_somebody_keeps_the_catalogue_to_himself(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, family = config.inbox[0].path / "m12.mp4", make_family(config)
    monkeypatch.setattr(up, "RELEASE_S", 0.05)
    with Catalogue(config.catalogue, create=True) as catalogue:
        catalogue.set_fate(path, Fate.RUNNING, "is being read", signature=LOOK)
        with closing(sqlite3.connect(config.catalogue_file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            family.stop()
            assert file_of(catalogue, path).state is Fate.RUNNING
            other.execute("ROLLBACK")
        # Of a service that has ended nothing goes on; here it does, and is waited for.
        deadline_s = time.monotonic() + 60
        while not family.paths.released.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
