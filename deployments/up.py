"""`facehog up`: a Prefect server, a Dask cluster, the deployments' runner and the sensor.

All are started at the same time: each imports for seconds. Then runner and notifier wait for the server, and the sensor
for the runner, which registers what the sensor asks for.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from facehog_core.cores import count_cores
from facehog_core.disk import write_durably
from facehog_core.errors import CatalogueError, ServiceError
from facehog_core.locks import remove_idle
from facehog_core.patience import within
from flows.cluster import LOOPBACK
from flows.names import address_inbox, name_owner

from .api import Api, find_api_url, find_auth_string
from .beats import Beats
from .certificates import describe_encryption
from .config import Config
from .doors import address_here, address_outside, is_loopback, is_open, join
from .environment import AUTH_VARIABLE, MARK, SERVER_AUTH_VARIABLE, describe_environment
from .health import STARTING, Health, Part, StoreDisk, measure_health
from .health_server import serve_health
from .logs import OWN, Rotation, describe_logging, log_to_file
from .processes import Service, end_processes, find_marked, stop_services, wait_until_ready
from .pulse import Condition
from .questions import AskCluster, AskRunner, ask_server
from .release import release_runs
from .service_paths import ServicePaths
from .signals import ENDING, call_on_signals
from .stop import listening_to_stop
from .systemd import GOES_ON, READY, STOPPING, VARIABLES, notify
from .wall_clock import WallClock

log = logging.getLogger(__name__)

# Between two looks at the processes, seconds.
WATCH_S = 0.5
SERVER = "prefect-server"
CLUSTER = "dask-cluster"
# A process whose work has not come round for so long stands still, seconds: Prefect's server and the catalogue may each
# keep it waiting for a minute or two.
MOST_BEAT_S = 300.0
# How long the release of the runs may take when the service ends, seconds. The steps beside it take 12 at most.
RELEASE_S = 3.0
# Of the user's environment, what would give our own server another database than ours.
_OTHER_LOG = "DASK_LOGGING__DISTRIBUTED"
_NOT_OURS = ("PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE")


def run_service(config: Config, config_file: Path | None, stop: threading.Event | None = None) -> None:
    """Run the service until SIGTERM, SIGINT or `stop`.

    Parameters
    ----------
    config : Config
    config_file : Path or None
        Where it was read: the processes read it again.
    stop : threading.Event, optional
        Set by whoever runs the service in a thread. Without it signals are listened to.

    Raises
    ------
    ServiceError
        If a service runs already in this folder, a port is taken, or a process does not start.
    """
    if stop is None:
        stop = threading.Event()
        call_on_signals(stop.set, ENDING)
    paths = ServicePaths(state_dir=config.state_dir)
    with paths.alone(), _logging(paths), listening_to_stop(paths, stop):
        _end_leftovers(config, paths)
        server = _choose_server(config)
        family = _Family(
            config=config,
            paths=paths,
            server=server,
            environment=_make_environment(config, server, paths),
            services=_list_services(config, config_file, paths, server),
            disk=StoreDisk(config),
        )
        try:
            family.run(stop)
        finally:
            log.info("stops")
            notify(STOPPING)
            paths.addresses.unlink(missing_ok=True)
            family.stop()
            log.info("has stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """The Prefect server: one that runs already, or our own, which listens at a port."""

    api: Api
    port: int | None

    @property
    def is_ours(self) -> bool:
        return self.port is not None


def _choose_server(config: Config) -> _Server:
    auth_string = find_auth_string(config)
    if api_url := find_api_url(config):
        return _Server(api=Api(url=api_url, auth_string=auth_string), port=None)
    host = address_here(config.prefect.host)
    port = config.prefect.port or find_free_port()
    _check_port(config.prefect.host, port)
    return _Server(api=Api(url=f"http://{join(host, port)}/api", auth_string=auth_string), port=port)


def _make_environment(config: Config, server: _Server, paths: ServicePaths) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    inherited = {name: value for name, value in given.items() if not name.startswith(_NOT_OURS)}
    ours = describe_environment(paths.prefect, server.api.url, server.api.auth_string)
    return {
        **{name: value for name, value in ours.items() if name != _OTHER_LOG},
        **describe_logging(paths.state_dir),
        **(inherited | _lock_doors(config, server) if server.is_ours else given),
        **describe_dask_doors(config, paths.tls),
        "PREFECT_API_URL": server.api.url,
        MARK: paths.mark,
    }


def _lock_doors(config: Config, server: _Server) -> dict[str, str]:
    """Return variables by which our servers let nobody in who cannot show that he may."""
    ours: dict[str, str] = {}
    if server.api.auth_string:
        ours |= dict.fromkeys((AUTH_VARIABLE, SERVER_AUTH_VARIABLE), server.api.auth_string)
    if server.port and not is_loopback(config.prefect.host):
        outside = join(address_outside(config.prefect.host), server.port)
        ours["PREFECT_SERVER_UI_API_URL"] = f"http://{outside}/api"
        log.warning("others reach Prefect at http://%s with the password, which is not encrypted on its way", outside)
    return ours


def describe_dask_doors(config: Config, tls: Path) -> dict[str, str]:
    """Return variables by which Dask lets in none but those who have its key: it runs what it is told.

    Parameters
    ----------
    config : Config
    tls : Path
        Folder of certificate and key.
    """
    # Whoever has an account on this machine reaches loopback: a password is to keep those out.
    is_guarded = not is_loopback(config.dask.host) or find_auth_string(config) is not None
    if config.dask.scheduler is None and is_guarded:
        log.info("Dask listens at %s, for who has the certificate and the key in %s", config.dask.host, tls)
        return describe_encryption(tls)
    if is_open(config.dask.scheduler):
        log.warning("%s: everybody who reaches it can run anything: let it talk TLS alone", config.dask.scheduler)
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """The processes of a service."""

    config: Config
    paths: ServicePaths
    server: _Server
    environment: Mapping[str, str]
    services: list[Service]
    disk: StoreDisk

    def run(self, stop: threading.Event) -> None:
        """Start all, say so, and keep all alive until `stop` is set."""
        with ExitStack() as stack:
            health_url = stack.enter_context(serve_health(self.measure, self.config.health.port))
            if not self.server.is_ours:
                self._release()
            log.info("starts %s", ", ".join(service.name for service in self.services))
            for service in self.services:
                service.start(self.environment, self.paths.logs)
            if not wait_until_ready(self.services, self.paths.logs, stop, self._go_on):
                return
            api = self.server.api
            addresses = {"api_url": api.url, "ui_url": api.ui_url, "health_url": health_url}
            write_durably(self.paths.addresses, json.dumps(addresses))
            log.info("is up: %s shows the runs. Ctrl-C stops it.", api.ui_url)
            for inbox in self.config.inbox:
                log.info("watches %s", inbox.path)
            notify(READY)
            clock, rotation = WallClock(), Rotation(self.paths.logs)
            while not stop.wait(WATCH_S):
                notify(GOES_ON)
                if back_s := clock.went_back_s():
                    self._restart_cluster(back_s)
                for service in self.services:
                    service.keep_alive(self.environment, self.paths.logs)
                rotation.go_on()

    def _go_on(self, ready: Service) -> None:
        log.info("%s is ready", ready.name)
        if ready.name == SERVER:
            self._release()

    def _restart_cluster(self, back_s: float) -> None:
        # Dask's processes send each other messages at times by the system's clock, which are now that far away.
        for service in self.services:
            if service.name == CLUSTER:
                service.restart(f"may stand still, since the system's clock was set back by {back_s:.0f} s")

    def _release(self, timeout_s: float = 30.0) -> None:
        try:
            release_runs(self.server.api, self.config, is_ours=self.server.is_ours, timeout_s=timeout_s)
        except httpx.HTTPError as error:
            log.warning("Prefect still believes in runs that were stopped: %s: %s", type(error).__name__, error)
        self.paths.released.touch()

    def _release_before_the_end(self) -> None:
        """Release the runs, unless somebody has the catalogue locked: then the next start does it."""
        try:
            within(RELEASE_S, lambda: self._release(timeout_s=1.0))
        except (TimeoutError, CatalogueError) as error:
            log.warning("runs in progress are given back at the next start: %s", error)

    def stop(self) -> None:
        """End all, within 15 s: first who asks for runs and who runs them, then who computes, last who is told."""
        servers = [service for service in self.services if service.name == SERVER]
        clusters = [service for service in self.services if service.name == CLUSTER]
        stop_services(service for service in self.services if service not in (*servers, *clusters))
        stop_services(clusters)
        # Runs in progress had processes of their own. What they did is on the disk, and they go on with it when the
        # service is up again.
        if all(service.condition is Condition.WELL for service in servers):
            self._release_before_the_end()
        stop_services(servers)
        end_processes(find_marked(self.paths.mark))

    def measure(self) -> Health:
        """Say how the service is."""
        parts = [
            Part(
                name=service.name,
                condition=service.condition,
                n_restarts=service.n_restarts,
                pid=service.pid,
                facts=service.facts,
            )
            for service in self.services
        ]
        if SERVER not in {part.name for part in parts}:
            answer = ask_server(self.server.api)
            condition = Condition.SILENT if answer is None else Condition.WELL
            parts.insert(0, Part(name=SERVER, condition=condition, facts={"api_url": self.server.api.url}))
        is_up = bool(self.paths.read_addresses())
        return measure_health(self.config, parts, is_up=is_up, problems=[] if is_up else [STARTING], disk=self.disk)


def _list_services(config: Config, config_file: Path | None, paths: ServicePaths, server: _Server) -> list[Service]:
    python, given = [sys.executable, "-m"], ["--config", str(config_file)] if config_file else []
    services = []
    if server.is_ours:
        command = [*python, "deployments.prefect_server", "server", "start"]
        command += ["--host", config.prefect.host, "--port", str(server.port)]
        services.append(Service(SERVER, command, lambda: ask_server(server.api), start_timeout_s=180))
    scheduler = []
    if config.dask.scheduler is None:
        scheduler = ["--scheduler", str(paths.scheduler)]
        n_workers = count_cores() if config.dask.n_workers == "auto" else config.dask.n_workers
        command = [*python, "deployments.cluster", "--n-workers", str(n_workers)]
        command += ["--scheduler-file", str(paths.scheduler), "--host", config.dask.host]
        services.append(Service(CLUSTER, command, AskCluster(paths.scheduler), paths.scheduler))
    # On a server of others our deployments have names of their own.
    owner = None if server.is_ours else name_owner(paths.state_dir)
    owned = ["--owner", owner] if owner else []
    after = paths.released
    for name in ("runner", "sensor") if config.prefect.runner else ("sensor",):
        ready = paths.ready / name
        command = [*python, f"deployments.{name}", *given, *scheduler, *owned, *_describe_turn(ready, after)]
        beats = Beats(ready, MOST_BEAT_S + config.sensor.interval_s)
        ask = AskRunner(beats, server.api, address_inbox(owner)) if name == "runner" else beats.ask
        services.append(Service(name, command, ask, ready, after=after))
        after = ready
    if server.is_ours and config.notify.channels():
        ready, after = paths.ready / "notifier", paths.released
        command = [*python, "deployments.notifier", *given, *_describe_turn(ready, after)]
        services.append(Service("notifier", command, Beats(ready, MOST_BEAT_S).ask, ready, after=after))
    return services


def _describe_turn(ready: Path, after: Path) -> list[str]:
    return ["--ready-file", str(ready), "--after", str(after)]


@contextmanager
def _logging(paths: ServicePaths) -> Iterator[None]:
    handler = log_to_file(paths.logs / OWN)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _end_leftovers(config: Config, paths: ServicePaths) -> None:
    """End what a service that was killed has left running, and forget what it said of itself."""
    # First, since the rest takes a while: others would believe it.
    paths.addresses.unlink(missing_ok=True)
    if leftovers := find_marked(paths.mark):
        log.warning("ends %d processes of a service that was killed", len(leftovers))
        end_processes(leftovers)
    shutil.rmtree(paths.ready, ignore_errors=True)
    paths.ready.mkdir(parents=True)
    paths.prefect.mkdir(exist_ok=True)
    if config.catalogue_file:
        remove_idle(str(config.catalogue_file))


def find_free_port() -> int:
    """Return a port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port in TIME_WAIT is free.
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServiceError(
                f"port {port} of {host}",
                f"it cannot be had ({error.strerror})",
                "Set `port` under [prefect] to another one, to 0 for a free one, or `api_url` to the server there.",
            ) from error
