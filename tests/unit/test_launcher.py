from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import states
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound

from facehog_core.files import FileRecord
from facehog_core.locks import hold
from facehog_core.path_text import from_text
from facehog_core.provenance import now
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Life, RunRequest
from facehog_core.schema import Fate
from facehog_core.source import Signature
from flows import launcher as launcher_module
from flows.cluster import Cluster
from flows.launcher import START_TIMEOUT, PrefectLauncher
from flows.names import address_inbox

PATH = Path("/data/inbox/m12.mp4")
DEPLOYMENT_ID = uuid4()
LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)


@dataclass
class FakeServer:
    """Knows the states of runs."""

    states: dict[UUID, State[Any]]
    asked: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)
    deployment_id: UUID = DEPLOYMENT_ID
    name: str = "process-recording/inbox"

    def __enter__(self) -> FakeServer:
        return self

    def read_flow_runs(self, flow_run_filter: FlowRunFilter, limit: int) -> list[SimpleNamespace]:
        assert flow_run_filter.state
        assert flow_run_filter.state.type
        wanted = flow_run_filter.state.type.any_ or []
        return [SimpleNamespace(id=run_id) for run_id, state in self.states.items() if state.type in wanted][:limit]

    def read_deployment_by_name(self, name: str) -> SimpleNamespace:
        assert name == self.name
        return SimpleNamespace(id=self.deployment_id)

    def create_flow_run_from_deployment(self, deployment_id: UUID, **given: Any) -> SimpleNamespace:
        if deployment_id != self.deployment_id:
            request = httpx.Request("POST", "http://server")
            raise httpx.HTTPStatusError("404", request=request, response=httpx.Response(404, request=request))
        self.asked.append((deployment_id, given))
        return SimpleNamespace(id="run-1")

    def read_flow_run(self, run_id: UUID) -> SimpleNamespace:
        if run_id not in self.states:
            raise ObjectNotFound(httpx.HTTPError("404"))
        return SimpleNamespace(id=run_id, state=self.states[run_id])

    def set_flow_run_state(self, run_id: UUID, state: State[Any], *, force: bool) -> None:
        self.states[run_id] = state


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer({})

    def connect(*, sync_client: bool) -> FakeServer:
        assert sync_client
        return fake

    monkeypatch.setattr(launcher_module, "get_client", connect)
    return fake


@pytest.fixture
def launcher(tmp_path: Path) -> PrefectLauncher:
    location = str(tmp_path / "catalogue.db")
    return PrefectLauncher(
        store=tmp_path / "store", catalogue=f"sqlite:///{location}", location=location, cluster=Cluster(n_workers=2)
    )


def file_of(run_id: UUID | None) -> FileRecord:
    return FileRecord(
        path=PATH,
        signature=LOOK,
        state=Fate.RUNNING,
        reason="runs",
        attempt=1,
        flow_run_id=str(run_id) if run_id else None,
        run_id=None,
    )


def aged(state: State[Any], age: timedelta) -> State[Any]:
    return state.model_copy(update={"timestamp": now() - age})


LONG_AGO, JUST_NOW = START_TIMEOUT + timedelta(minutes=1), START_TIMEOUT - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("make_state", "age", "life"),
    [
        (states.Scheduled, timedelta(0), Life.ALIVE),
        (states.Scheduled, LONG_AGO, Life.ALIVE),
        (states.Pending, JUST_NOW, Life.ALIVE),
        (states.Pending, LONG_AGO, Life.DEAD),
        (states.Running, JUST_NOW, Life.ALIVE),
        (states.Running, LONG_AGO, Life.DEAD),
        # The clock was set back since.
        (states.Running, -LONG_AGO, Life.DEAD),
        (states.Running, -JUST_NOW, Life.ALIVE),
        (states.Cancelling, LONG_AGO, Life.DEAD),
        (states.Cancelled, timedelta(0), Life.CANCELLED),
        (states.Failed, timedelta(0), Life.DEAD),
        (states.Crashed, timedelta(0), Life.DEAD),
        (states.Completed, timedelta(0), Life.DEAD),
    ],
)
def test_a_run_whose_file_nobody_holds_lives_as_its_state_and_age_say(
    launcher: PrefectLauncher, server: FakeServer, make_state: Callable[[], State[Any]], age: timedelta, life: Life
) -> None:
    run_id = uuid4()
    # Made here and not among the parameters: those grow older while other tests run.
    server.states[run_id] = aged(make_state(), age)

    assert launcher.life_of(file_of(run_id)) is life


def test_a_run_is_taken_back_only_if_it_has_not_begun(launcher: PrefectLauncher, server: FakeServer) -> None:
    waits, runs, unknown = uuid4(), uuid4(), uuid4()
    server.states |= {waits: states.Scheduled(), runs: states.Running()}
    for run_id in (waits, runs, unknown, None):
        launcher.withdraw(file_of(run_id))
    assert (server.states[waits].is_cancelled(), server.states[runs].is_running()) == (True, True)


def test_a_run_that_the_server_does_not_know_is_dead(launcher: PrefectLauncher, server: FakeServer) -> None:
    assert launcher.life_of(file_of(uuid4())) is Life.DEAD
    assert launcher.life_of(file_of(None)) is Life.DEAD


@pytest.mark.parametrize("state", [None, aged(states.Running(), LONG_AGO), states.Crashed()])
def test_a_run_whose_file_a_process_holds_is_alive_whatever_the_server_says(
    launcher: PrefectLauncher, server: FakeServer, state: State[Any] | None
) -> None:
    run_id = uuid4()
    if state:
        server.states[run_id] = state
    with hold(launcher.location, str(PATH)):
        assert launcher.life_of(file_of(run_id)) is Life.ALIVE


def test_asking_twice_asks_under_one_key_and_says_all_that_the_flow_needs(
    launcher: PrefectLauncher, server: FakeServer, tmp_path: Path
) -> None:
    launcher = replace(launcher, bell=tmp_path / "asked")
    request = RunRequest(path=PATH, signature=LOOK, recipe=Recipe(), attempt=2, after="run-0")

    assert [launcher.request(request) for _ in range(2)] == ["run-1", "run-1"]
    (first, first_given), (second, second_given) = server.asked
    assert first == second == DEPLOYMENT_ID
    assert first_given["idempotency_key"] == second_given["idempotency_key"]
    assert first_given["parameters"] == {
        "path": str(PATH),
        "store": str(launcher.store),
        "catalogue": launcher.catalogue,
        "cluster": launcher.cluster.as_dict(),
        "recipe": Recipe().as_dict(),
        "attempt": 2,
    }
    assert first_given["state"].type is states.Scheduled().type
    assert (tmp_path / "asked").exists(), "whoever runs it is told"


def test_a_name_that_is_no_valid_text_is_told_to_the_server_as_one(
    launcher: PrefectLauncher, server: FakeServer
) -> None:
    path = Path("/data/inbox/m\udcff.mp4")
    launcher.request(RunRequest(path=path, signature=LOOK, recipe=Recipe(), attempt=1, after=None))
    ((_, given),) = server.asked
    assert from_text(given["parameters"]["path"]) == str(path)
    json.dumps([given["name"], given["parameters"]], ensure_ascii=False).encode("utf-8")


def test_on_a_server_of_others_a_deployment_of_our_own_is_asked(launcher: PrefectLauncher, server: FakeServer) -> None:
    server.name = "process-recording/inbox-1f0c2a9b"
    request = RunRequest(path=PATH, signature=LOOK, recipe=Recipe(), attempt=1, after=None)
    assert replace(launcher, deployment=address_inbox("1f0c2a9b")).request(request) == "run-1"


def test_a_deployment_that_was_removed_and_registered_anew_is_found_again(
    launcher: PrefectLauncher, server: FakeServer
) -> None:
    request = RunRequest(path=PATH, signature=LOOK, recipe=Recipe(), attempt=1, after=None)
    launcher.request(request)
    server.deployment_id = uuid4()
    with pytest.raises(httpx.HTTPStatusError):
        launcher.request(request)
    assert launcher.request(request) == "run-1"
    assert [asked for asked, _ in server.asked] == [DEPLOYMENT_ID, server.deployment_id]
