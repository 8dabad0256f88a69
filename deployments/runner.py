"""The deployments, and the process that runs what is asked of them."""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from facehog_core.provenance import now
from flows.names import FORMER, INBOX, TIDYING, VERIFICATION, name_deployment
from flows.outage import is_outage
from flows.process_recording import process_recording
from flows.tidy_stores import tidy_stores
from flows.verify_stores import verify_stores

from .beats import MOST_SILENT_S, Heart
from .config import Config
from .config_file import load_config
from .early_runs import bring_forward
from .hosts import Host
from .launching import bell_beside, make_launcher, wait_for
from .logs import start_log
from .signals import call_on_signals
from .wall_clock import WallClock

log = logging.getLogger(__name__)

# Between two questions to Prefect's server, when nobody has rung: runs of the UI and of schedules; seconds.
POLL_S = 2.0
# Between two looks at the bell, seconds.
BELL_S = 0.05
# A host beyond the one that waits for the next run is ended when it had none for so long, seconds.
IDLE_S = 600.0
# How long a host may take from a run's name to its first state, seconds. One that takes longer for a run whose time was
# set by a clock that was ahead sleeps until that time.
TAKE_S = 10.0
# Runs at the same time of what is done at night.
MOST_NIGHTLY = 1
# At night, when a rig is idle; in the server's time zone (UTC).
TIDY_AT = "17 3 * * *"
VERIFY_AT = "37 3 * * *"


def make_deployments(config: Config, scheduler: str | None, owner: str | None = None) -> list[RunnerDeployment]:
    """Return the deployments; their parameters are set such that the UI asks for nothing but a path."""
    parameters = make_launcher(config, scheduler).parameters()
    return [
        process_recording.to_deployment(
            name_deployment(INBOX, owner),
            description="A recording that landed in an inbox.",
            parameters={**parameters, "recipe": config.inboxes()[0].recipe.as_dict()},
            # The flow checks its parameters itself, and the server takes 20 ms for each run to do so.
            enforce_parameter_schema=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        tidy_stores.to_deployment(
            name_deployment(TIDYING, owner),
            description="Removes what is half done and nobody goes on with.",
            cron=TIDY_AT,
            parameters={
                "store": parameters["store"],
                "catalogue": config.catalogue,
                "keep_partial_days": config.keep_partial_days,
            },
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        verify_stores.to_deployment(
            name_deployment(VERIFICATION, owner),
            description="Proves that stores hold what was written, those first that were verified the longest ago.",
            cron=VERIFY_AT,
            parameters={"store": parameters["store"], "catalogue": config.catalogue},
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    ]


def remove_former(client: SyncPrefectClient, owner: str | None = None) -> None:
    """Remove the deployments that earlier versions of this facehog made, and there are no more; no one else's."""
    for flow_name, name in FORMER:
        with suppress(ObjectNotFound):
            found = client.read_deployment_by_name(f"{flow_name}/{name_deployment(name, owner)}")
            client.delete_deployment(found.id)
            log.info("%s/%s is removed: it is no deployment of this version", flow_name, found.name)


class FlowRunner:
    """Runs what is scheduled of deployments, each run in a flow host that waits for it.

    Prefect's own runner starts a process for each run, which takes as long as hundreds of frames.

    Parameters
    ----------
    deployments : mapping of UUID to str
        The deployments that are served, and the names of their flows.
    bell : Path
        Touched by whoever asks for a run, so that it begins at once.
    max_runs : int
        Recordings that are processed at the same time. What is done at night has a place of its own beside them: it may
        take hours.
    make_host : callable, optional
        Starts a host; `deployments.hosts.Host` if left out.
    on_look : callable, optional
        Called after each look at what is asked for.
    clock : callable, optional
        Returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        deployments: Mapping[UUID, str],
        bell: Path,
        max_runs: int,
        make_host: Callable[[Callable[[UUID, str | None], None]], Host] = Host,
        on_look: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_look = on_look
        self._make_host = make_host
        self._deployments = deployments
        self._bell = bell
        self._max_runs = max_runs
        self._hosts: list[Host] = []
        self._deaths: SimpleQueue[tuple[UUID, str]] = SimpleQueue()
        self._wake = threading.Event()
        self._stopped = False
        self._clock = clock
        self._crowded_at_s: float | None = None
        self._early: dict[UUID, float] = {}
        self._woken: set[UUID] = set()
        self._suspended: dict[Host, float] = {}

    def run(self) -> None:
        """Run what is asked for until `stop` is called."""
        cancel_at_s = time.monotonic()
        # While nobody looked the clock may have been set back.
        clock, went_back = WallClock(), True
        self._keep_one_free()
        try:
            with get_client(sync_client=True) as client:
                while not self._stopped:
                    # Before the look: whoever rings while it goes on asks for another one.
                    rung = _look_at(self._bell)
                    went_back |= clock.went_back_s() > 0
                    try:
                        if went_back:
                            self.watch_early(bring_forward(client, self._asked_one_by_one))
                            went_back = False
                        self.end_sleepers(client)
                        self.end_suspended()
                        self.look(client)
                        # Not each time that a run ends: where many have landed, that is several times a second.
                        if time.monotonic() >= cancel_at_s:
                            self.cancel(client)
                            cancel_at_s = time.monotonic() + POLL_S
                    except Exception as error:
                        if not is_outage(error):
                            raise
                        log.warning("Prefect's server does not answer: %s: %s", type(error).__name__, error)
                    self._on_look()
                    self._sleep(rung)
        finally:
            for host in self._hosts:
                host.stop()

    def stop(self) -> None:
        """Make `run` return; runs in progress are ended, and go on when they are asked for again."""
        self._stopped = True
        self._wake.set()

    @property
    def _asked_one_by_one(self) -> list[UUID]:
        return [found for found, flow_name in self._deployments.items() if _is_of_recording(flow_name)]

    def _end(self, flow_run_id: UUID, death: str | None) -> None:
        if death:
            self._deaths.put((flow_run_id, death))
        self._wake.set()

    def _sleep(self, rung: int | None) -> None:
        """Wait for a run that ends, the bell, or a while."""
        until_s = time.monotonic() + POLL_S
        while time.monotonic() < until_s and _look_at(self._bell) == rung:
            if self._wake.wait(BELL_S):
                break
        self._wake.clear()

    def look(self, client: SyncPrefectClient) -> None:
        """Tell what has died, and give to free hosts what is due."""
        self._tell_deaths(client)
        if free := [host for host in self._hosts if host.is_free]:
            self._deal(client, free)
        self._keep_one_free()
        self._let_one_go()

    def _deal(self, client: SyncPrefectClient, free: list[Host]) -> None:
        for is_of_recording, n_places in ((True, self._max_runs), (False, MOST_NIGHTLY)):
            under_way = [host.flow_run_id for host in self._at(is_of_recording)]
            hosts = free[: max(0, n_places - len(under_way))]
            if not hosts:
                continue
            asked = [found for found, name in self._deployments.items() if _is_of_recording(name) == is_of_recording]
            # Those that were given to a host a moment ago may be scheduled still.
            due = client.get_scheduled_flow_runs_for_deployments(asked, now(), len(hosts) + len(under_way))
            waiting = (found for found in due if found.id not in under_way and found.deployment_id)
            for host, found in zip(hosts, waiting, strict=False):
                log.info("%s: run %s begins", found.name, found.id)
                host.run(self._deployments[found.deployment_id], found.id)
                free.remove(host)

    def _at(self, is_of_recording: bool) -> list[Host]:
        """Return the hosts that are at a recording, or at what is done at night."""
        busy = [host for host in self._hosts if host.flow_run_id]
        return [host for host in busy if _is_of_recording(host.flow_name) == is_of_recording]

    def _keep_one_free(self) -> None:
        """Start another host where all have a run: the next recording is to find one that is warm."""
        if len(self._hosts) < self._max_runs + len(self._at(False)) and all(host.flow_run_id for host in self._hosts):
            self._hosts.append(self._make_host(self._end))

    def _let_one_go(self) -> None:
        """End a host if more than one has had no run for long: each keeps the memory of all that it has imported."""
        free = [host for host in self._hosts if host.is_free]
        if len(free) < 2:
            self._crowded_at_s = None
        elif self._crowded_at_s is None:
            self._crowded_at_s = self._clock()
        elif self._clock() - self._crowded_at_s >= IDLE_S:
            self._hosts.remove(free[-1])
            free[-1].stop()
            self._crowded_at_s = None

    def _tell_deaths(self, client: SyncPrefectClient) -> None:
        """Say of runs whose process has died that they have crashed, unless they had come to an end."""
        while not self._deaths.empty():
            flow_run_id, death = self._deaths.get()
            try:
                if not self._waits_again(client, flow_run_id):
                    self._conclude(client, flow_run_id, Crashed(message=f"The flow did not end: {death}."))
            except Exception:
                self._deaths.put((flow_run_id, death))
                raise

    def _waits_again(self, client: SyncPrefectClient, flow_run_id: UUID) -> bool:
        """Say whether a run whose host was ended was only slept for, and so is scheduled still, or has another host."""
        if flow_run_id not in self._woken:
            return False
        waits = _waits(client, flow_run_id)
        self._woken.remove(flow_run_id)
        return waits or any(host.flow_run_id == flow_run_id for host in self._hosts)

    def cancel(self, client: SyncPrefectClient) -> None:
        """End the runs that were cancelled in the UI."""
        hosts = {host.flow_run_id: host for host in self._hosts if host.flow_run_id}
        cancelling = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=list(self._deployments)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        )
        for found in client.read_flow_runs(flow_run_filter=cancelling):
            # First the state: it is final, and the process's death does not change it. A host of a runner that was
            # killed sees it, and ends by itself.
            self._conclude(client, found.id, Cancelled(message="cancelled by hand"))
            if (host := hosts.get(found.id)) and host.flow_run_id == found.id:
                host.kill()

    def watch_early(self, early: Collection[UUID]) -> None:
        """Keep in mind which runs were to begin later than now, for `end_sleepers`."""
        at_s = self._clock()
        self._early |= dict.fromkeys(early, at_s)

    def end_sleepers(self, client: SyncPrefectClient) -> None:
        """End the hosts that took runs just before the clock was set back, and sleep until the time of these is there.

        Others take these runs.
        """
        for flow_run_id, since_s in list(self._early.items()):
            if self._clock() - since_s < TAKE_S:
                continue
            del self._early[flow_run_id]
            for host in self._hosts:
                if host.flow_run_id == flow_run_id and _waits(client, flow_run_id):
                    self._woken.add(flow_run_id)
                    host.kill()

    def end_suspended(self) -> None:
        """End the hosts that are stopped for long: each would keep its recording, and its place, for ever."""
        at_s = self._clock()
        stopped = [host for host in self._hosts if host.is_suspended]
        self._suspended = {host: self._suspended.get(host, at_s) for host in stopped}
        for host, since_s in list(self._suspended.items()):
            if at_s - since_s >= MOST_SILENT_S:
                log.warning("a flow host is stopped for %.0f s, and is ended", at_s - since_s)
                del self._suspended[host]
                host.kill()

    def _conclude(self, client: SyncPrefectClient, flow_run_id: UUID, state: State[Any]) -> None:
        try:
            run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(flow_run_id, state, force=True)
            log.warning("%s: run %s: %s", run.name, flow_run_id, state.message)


def _waits(client: SyncPrefectClient, flow_run_id: UUID) -> bool:
    try:
        state = client.read_flow_run(flow_run_id).state
    except ObjectNotFound:
        return False
    return state is not None and state.is_scheduled()


def _is_of_recording(flow_name: str) -> bool:
    return flow_name == process_recording.name


def _look_at(bell: Path) -> int | None:
    try:
        return bell.stat().st_mtime_ns
    except OSError:
        return None


def main() -> None:
    """Register the deployments, and run what is asked of them until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--scheduler")
    parser.add_argument("--owner")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--after", type=Path)
    given = parser.parse_args()
    start_log()
    config = load_config(given.config)
    wait_for(given.after)
    deployments = {found.apply(): found.flow_name for found in make_deployments(config, given.scheduler, given.owner)}
    with get_client(sync_client=True) as client:
        remove_former(client, given.owner)
    bell, heart = bell_beside(given.ready_file), Heart(given.ready_file)
    runner = FlowRunner(deployments, bell, config.prefect.max_runs, on_look=heart.go_on)
    call_on_signals(runner.stop)
    heart.go_on()
    runner.run()


if __name__ == "__main__":
    main()
