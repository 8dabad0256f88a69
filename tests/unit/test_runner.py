from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import states
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from deployments.beats import MOST_SILENT_S
from deployments.runner import IDLE_S, TAKE_S, FlowRunner

DEPLOYMENT, NIGHTLY = uuid4(), uuid4()
MOST = 3


@dataclass
class FakeServer:
    """Keeps the states of runs, as Prefect's server does."""

    states: dict[UUID, State[Any]] = field(default_factory=dict)
    nightly: set[UUID] = field(default_factory=set)
    is_down: bool = False

    def ask(self, state: State[Any] | None = None, *, is_nightly: bool = False) -> UUID:
        run_id = uuid4()
        self.states[run_id] = state or states.Scheduled()
        if is_nightly:
            self.nightly.add(run_id)
        return run_id

    def get_scheduled_flow_runs_for_deployments(
        self, deployments: list[UUID], _before: datetime, limit: int
    ) -> list[SimpleNamespace]:
        if self.is_down:
            raise httpx.ConnectError("down")
        return [run for run in self._of_type(StateType.SCHEDULED) if run.deployment_id in deployments][:limit]

    def read_flow_runs(self, flow_run_filter: FlowRunFilter) -> list[SimpleNamespace]:
        assert flow_run_filter.deployment_id
        assert flow_run_filter.deployment_id.any_ == [DEPLOYMENT, NIGHTLY]
        return self._of_type(StateType.CANCELLING)

    def read_flow_run(self, run_id: UUID) -> SimpleNamespace:
        if self.is_down:
            raise httpx.ConnectError("down")
        if run_id not in self.states:
            raise ObjectNotFound(httpx.HTTPError("404"))
        return SimpleNamespace(id=run_id, name="m12.mp4", state=self.states[run_id])

    def set_flow_run_state(self, run_id: UUID, state: State[Any], *, force: bool) -> None:
        assert force
        self.states[run_id] = state

    def _of_type(self, wanted: StateType) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(id=run_id, name="m12.mp4", deployment_id=NIGHTLY if run_id in self.nightly else DEPLOYMENT)
            for run_id, state in self.states.items()
            if state.type is wanted
        ]


@dataclass(eq=False)
class FakeHost:
    """Takes a run, and ends when it is told to."""

    on_end: Callable[[UUID, str | None], None]
    is_warm: bool = True
    flow_run_id: UUID | None = None
    flow_name: str = ""
    n_killed: int = 0
    is_stopped: bool = False
    is_suspended: bool = False

    @property
    def is_free(self) -> bool:
        return self.is_warm and self.flow_run_id is None

    def run(self, flow_name: str, flow_run_id: UUID) -> None:
        self.flow_name, self.flow_run_id = flow_name, flow_run_id

    def end(self, death: str | None = None) -> None:
        run_id, self.flow_run_id = self.flow_run_id, None
        assert run_id
        self.on_end(run_id, death)

    def stop(self) -> None:
        self.is_stopped = True

    def kill(self) -> None:
        self.n_killed += 1
        self.end("its process ended with status -9")


@dataclass
class Rig:
    """A runner, what it talks to, and the hosts that it has started."""

    server: FakeServer = field(default_factory=FakeServer)
    hosts: list[FakeHost] = field(default_factory=list)
    at_s: float = 0.0
    max_runs: int = MOST

    def __post_init__(self) -> None:
        served = {DEPLOYMENT: "process-recording", NIGHTLY: "verify-stores"}
        self.runner = FlowRunner(served, Path("asked"), self.max_runs, self._make, clock=lambda: self.at_s)  # type: ignore[arg-type]

    def _make(self, on_end: Callable[[UUID, str | None], None]) -> FakeHost:
        self.hosts.append(FakeHost(on_end))
        return self.hosts[-1]

    def look(self, n_times: int = 1) -> None:
        for _ in range(n_times):
            self.runner.look(self.server)  # type: ignore[arg-type]
            self.runner.cancel(self.server)  # type: ignore[arg-type]

    @property
    def running(self) -> set[UUID]:
        return {host.flow_run_id for host in self.hosts if host.flow_run_id}


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.look()
    return made


def test_one_host_waits_and_others_are_started_as_they_are_needed(rig: Rig) -> None:
    assert len(rig.hosts) == 1
    for n_running in range(1, 6):
        rig.server.ask()
        rig.look(2)
        assert len(rig.running) == min(n_running, MOST)
        assert len(rig.hosts) == min(n_running + 1, MOST)


def test_what_is_done_at_night_keeps_no_recording_waiting_and_is_no_second_place_for_them() -> None:
    rig = Rig(max_runs=1)
    rig.look()
    # Those of many nights are due when a service is up again.
    nights = [rig.server.ask(is_nightly=True) for _ in range(9)]
    rig.look(3)
    assert rig.running == {nights[0]}, "one at a time"
    recordings = [rig.server.ask() for _ in range(2)]
    rig.look(3)
    assert rig.running == {nights[0], recordings[0]}
    assert [host.flow_name for host in rig.hosts] == ["verify-stores", "process-recording"]
    for run_id in nights:
        del rig.server.states[run_id]
    rig.hosts[0].end()
    rig.look(3)
    assert rig.running == {recordings[0]}, "no more than max_runs of recordings"
    del rig.server.states[recordings[0]]
    rig.hosts[1].end()
    rig.look(3)
    assert rig.running == {recordings[1]}


def test_each_run_is_given_to_one_host_also_while_the_server_takes_it_for_scheduled(rig: Rig) -> None:
    asked = {rig.server.ask() for _ in range(MOST)}
    rig.look(9)
    assert rig.running == asked
    assert len({host.flow_run_id for host in rig.hosts}) == MOST


def test_hosts_that_have_had_no_run_for_long_are_ended_but_the_one_that_waits_for_the_next(rig: Rig) -> None:
    for _ in range(MOST):
        rig.server.ask()
    rig.look(9)
    rig.server.states.clear()
    for host in rig.hosts:
        host.end()
    rig.look(2)
    rig.at_s = IDLE_S - 1
    rig.look()
    assert not any(host.is_stopped for host in rig.hosts)
    # What comes in between keeps all that it needs.
    run_id = rig.server.ask()
    rig.look()
    assert rig.running == {run_id}
    for _ in range(2 * MOST):
        rig.at_s += IDLE_S
        rig.look()
    assert sum(host.is_free and not host.is_stopped for host in rig.hosts) == 1
    assert rig.running == {run_id}


def test_a_host_that_is_not_warm_yet_is_given_nothing(rig: Rig) -> None:
    rig.hosts[0].is_warm = False
    run_id = rig.server.ask()
    rig.look()
    assert not rig.running
    rig.hosts[0].is_warm = True
    rig.look()
    assert rig.running == {run_id}


def test_a_run_whose_host_died_has_crashed_and_one_that_had_ended_has_not(rig: Rig) -> None:
    died, ended = rig.server.ask(), rig.server.ask()
    rig.look(3)
    rig.server.states[died], rig.server.states[ended] = states.Running(), states.Completed()
    rig.server.is_down = True
    for host in rig.hosts:
        if host.flow_run_id:
            host.end("its process ended with status -9")
    with pytest.raises(httpx.ConnectError):
        rig.look()
    # It is told when the server is back.
    rig.server.is_down = False
    rig.look()
    assert rig.server.states[died].type is StateType.CRASHED
    assert "status -9" in (rig.server.states[died].message or "")
    assert rig.server.states[ended].type is StateType.COMPLETED


def test_a_run_that_is_cancelled_in_the_ui_is_ended_and_others_go_on(rig: Rig) -> None:
    cancelled, other = rig.server.ask(), rig.server.ask()
    rig.look(3)
    rig.server.states[cancelled], rig.server.states[other] = states.Cancelling(), states.Running()
    rig.look(2)
    assert rig.server.states[cancelled].type is StateType.CANCELLED
    assert rig.server.states[other].type is StateType.RUNNING
    assert rig.running == {other}
    assert sum(host.n_killed for host in rig.hosts) == 1


def test_a_run_of_a_runner_that_was_killed_can_be_cancelled(rig: Rig) -> None:
    left = rig.server.ask(states.Cancelling())
    rig.look()
    assert rig.server.states[left].type is StateType.CANCELLED
    assert not any(host.n_killed for host in rig.hosts)


def test_a_run_that_its_host_sleeps_for_since_the_clock_was_set_back_gets_another_host(rig: Rig) -> None:
    # Prefect's engine waits for the time that a run was to begin at, be it days away.
    slept_for, begun, other = (rig.server.ask() for _ in range(3))
    rig.look(4)
    rig.server.states[begun] = rig.server.states[other] = states.Running()
    rig.runner.watch_early({slept_for, begun})
    rig.runner.end_sleepers(rig.server)  # type: ignore[arg-type]
    assert not any(host.n_killed for host in rig.hosts), "it may be about to begin"
    rig.at_s += TAKE_S
    rig.runner.end_sleepers(rig.server)  # type: ignore[arg-type]
    assert sum(host.n_killed for host in rig.hosts) == 1
    rig.look(3)
    assert rig.running == {slept_for, begun, other}
    assert rig.server.states[slept_for].type is StateType.SCHEDULED


def test_a_host_that_is_stopped_for_long_is_ended_and_one_that_goes_on_again_is_not(rig: Rig) -> None:
    first, second = rig.server.ask(), rig.server.ask()
    rig.look(3)
    by_run = {host.flow_run_id: host for host in rig.hosts}
    by_run[first].is_suspended = by_run[second].is_suspended = True
    rig.runner.end_suspended()
    rig.at_s += MOST_SILENT_S / 2
    by_run[second].is_suspended = False
    rig.runner.end_suspended()
    by_run[second].is_suspended = True
    rig.runner.end_suspended()
    rig.at_s += MOST_SILENT_S / 2
    rig.runner.end_suspended()
    assert [by_run[run_id].n_killed for run_id in (first, second)] == [1, 0]
