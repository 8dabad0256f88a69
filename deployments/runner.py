"""The deployments, and the process that runs what is asked of them."""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from facehog_core.catalogue import Catalogue
from facehog_core.provenance import now
from flows.launcher import PrefectLauncher
from flows.outage import is_outage
from flows.process_recording import process_recording
from flows.reconcile_inboxes import describe_inbox, reconcile_inboxes
from flows.verify_stores import verify_stores

from .beats import beat
from .config import Config
from .config_file import load_config
from .early_runs import bring_forward
from .hosts import Host
from .logs import start_log
from .signals import call_on_signals
from .wall_clock import WallClock

log = logging.getLogger(__name__)

# Between two questions to Prefect's server, when nobody has rung: runs of the UI and of schedules; seconds.
POLL_S = 2.0
# Between two looks at the bell, seconds.
BELL_S = 0.05
# At night, when a rig is idle; in the server's time zone (UTC).
NIGHTLY = "17 3 * * *"
VERIFICATION = "37 3 * * *"


def bell_beside(ready_file: Path) -> Path:
    """Return the file that a process of the service touches when it has asked for a run."""
    return ready_file.with_name("asked")


def make_launcher(config: Config, scheduler: str | None, bell: Path | None = None) -> PrefectLauncher:
    """Return the launcher of a configuration, with a cluster's address or scheduler file."""
    with Catalogue(config.catalogue, create=True) as records:
        location = records.location
    return PrefectLauncher(
        store=config.store,
        catalogue=config.catalogue,
        location=location,
        cluster=config.cluster(scheduler),
        bell=bell,
    )


def make_deployments(config: Config, scheduler: str | None) -> list[RunnerDeployment]:
    """Return the deployments; their parameters are set such that the UI asks for nothing but a path."""
    parameters = make_launcher(config, scheduler).parameters()
    inboxes = config.inboxes()
    return [
        process_recording.to_deployment(
            "inbox",
            description="A recording that landed in an inbox.",
            parameters={**parameters, "recipe": inboxes[0].recipe.as_dict()},
            # The flow checks its parameters itself, and the server takes 20 ms for each run to do so.
            enforce_parameter_schema=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        reconcile_inboxes.to_deployment(
            "nightly",
            description="Finds what the sensor missed.",
            cron=NIGHTLY,
            parameters={**parameters, "inboxes": [describe_inbox(inbox) for inbox in inboxes]},
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        verify_stores.to_deployment(
            "verify-stores",
            description="Proves that stores hold what was written, those first that were verified the longest ago.",
            cron=VERIFICATION,
            parameters={"catalogue": config.catalogue},
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    ]


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
        Runs at the same time.
    make_host : callable, optional
        Starts a host; `deployments.hosts.Host` if left out.
    on_look : callable, optional
        Called after each look at what is asked for.
    """

    def __init__(
        self,
        deployments: Mapping[UUID, str],
        bell: Path,
        max_runs: int,
        make_host: Callable[[Callable[[UUID, str | None], None]], Host] = Host,
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_look = on_look
        self._make_host = make_host
        self._deployments = deployments
        self._bell = bell
        self._max_runs = max_runs
        self._hosts: list[Host] = []
        self._deaths: SimpleQueue[tuple[UUID, str]] = SimpleQueue()
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Run what is asked for until `stop` is called."""
        cancel_at_s = time.monotonic()
        # While nobody looked the clock may have been set back.
        clock, went_back = WallClock(), True
        self._keep_one_free()
        try:
            with get_client(sync_client=True) as client:
                while not self._stopped.is_set():
                    # Before the look: whoever rings while it goes on asks for another one.
                    rung = _look_at(self._bell)
                    went_back |= clock.went_back_s() > 0
                    try:
                        if went_back:
                            bring_forward(client, self._asked_one_by_one)
                            went_back = False
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
        # Not `_wake`: a signal handler may interrupt whoever waits for that with its lock in hand.
        self._stopped.set()

    @property
    def _asked_one_by_one(self) -> list[UUID]:
        return [found for found, flow_name in self._deployments.items() if flow_name == process_recording.name]

    def _end(self, flow_run_id: UUID, death: str | None) -> None:
        if death:
            self._deaths.put((flow_run_id, death))
        self._wake.set()

    def _sleep(self, rung: int | None) -> None:
        """Wait for a run that ends, the bell, or a while."""
        until_s = time.monotonic() + POLL_S
        while not self._stopped.is_set() and time.monotonic() < until_s and _look_at(self._bell) == rung:
            if self._wake.wait(BELL_S):
                break
        self._wake.clear()

    def look(self, client: SyncPrefectClient) -> None:
        """Tell what has died, and give to free hosts what is due."""
        self._tell_deaths(client)
        if free := [host for host in self._hosts if host.is_free]:
            self._deal(client, free)
        self._keep_one_free()

    def _deal(self, client: SyncPrefectClient, free: list[Host]) -> None:
        under_way = {host.flow_run_id for host in self._hosts}
        # Those that were given to a host a moment ago may be scheduled still.
        limit = len(free) + len(under_way)
        due = client.get_scheduled_flow_runs_for_deployments(list(self._deployments), now(), limit)
        waiting = (found for found in due if found.id not in under_way and found.deployment_id)
        for host, found in zip(free, waiting, strict=False):
            log.info("%s: run %s begins", found.name, found.id)
            host.run(self._deployments[found.deployment_id], found.id)

    def _keep_one_free(self) -> None:
        """Start another host where all have a run: the next recording is to find one that is warm."""
        if len(self._hosts) < self._max_runs and all(host.flow_run_id for host in self._hosts):
            self._hosts.append(self._make_host(self._end))

    def _tell_deaths(self, client: SyncPrefectClient) -> None:
        """Say of runs whose process has died that they have crashed, unless they had come to an end."""
        while not self._deaths.empty():
            flow_run_id, death = self._deaths.get()
            try:
                self._conclude(client, flow_run_id, Crashed(message=f"The flow did not end: {death}."))
            except Exception:
                self._deaths.put((flow_run_id, death))
                raise

    def cancel(self, client: SyncPrefectClient) -> None:
        """End the runs that were cancelled in the UI."""
        hosts = {host.flow_run_id: host for host in self._hosts if host.flow_run_id}
        if not hosts:
            return
        cancelling = FlowRunFilter(
            id=FlowRunFilterId(any_=list(hosts)),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        )
        for found in client.read_flow_runs(flow_run_filter=cancelling):
            # First the state: it is final, and the process's death does not change it.
            self._conclude(client, found.id, Cancelled(message="cancelled by hand"))
            if hosts[found.id].flow_run_id == found.id:
                hosts[found.id].kill()

    def _conclude(self, client: SyncPrefectClient, flow_run_id: UUID, state: State[Any]) -> None:
        try:
            run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(flow_run_id, state, force=True)
            log.warning("%s: run %s: %s", run.name, flow_run_id, state.message)


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
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    start_log()
    config = load_config(given.config)
    deployments = {found.apply(): found.flow_name for found in make_deployments(config, given.scheduler)}
    bell, go_on = bell_beside(given.ready_file), partial(beat, given.ready_file)
    runner = FlowRunner(deployments, bell, config.prefect.max_runs, on_look=go_on)
    call_on_signals(runner.stop)
    beat(given.ready_file)
    runner.run()


if __name__ == "__main__":
    main()
