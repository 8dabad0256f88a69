"""`facehog up`: a Prefect server, a Dask cluster, the deployments' runner and the sensor, in this order."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from facehog_core.catalogue import Catalogue, FileRecord
from facehog_core.cores import count_cores
from facehog_core.disk import write_durably
from facehog_core.errors import ServiceError
from facehog_core.locks import is_held
from facehog_core.schema import Fate
from flows.cluster import LOOPBACK

from .config import Config
from .environment import MARK, describe_environment
from .processes import Service, end_processes, find_marked

log = logging.getLogger(__name__)

# Between two looks at the processes, seconds.
WATCH_S = 0.5
SERVER = "prefect-server"
# SIGHUP: the terminal was closed. SIGBREAK: Windows' Ctrl-Break.
STOPPING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
# Of the user's environment, what would give our own server another database than ours.
_NOT_OURS = ("PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE")
_FLOWS = ("process-recording", "reconcile-inboxes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePaths:
    """What a service keeps in its state folder.

    Parameters
    ----------
    state_dir : Path
        ``.facehog`` beside the configuration.
    """

    state_dir: Path

    @property
    def lock(self) -> Path:
        """Held while a service runs."""
        return self.state_dir / "up.lock"

    @property
    def addresses(self) -> Path:
        """JSON with ``api_url`` and ``ui_url`` of the running service."""
        return self.state_dir / "service.json"

    @property
    def logs(self) -> Path:
        """Folder of the processes' output."""
        return self.state_dir / "logs"

    @property
    def ready(self) -> Path:
        """Folder in which processes say that they are ready."""
        return self.state_dir / "ready"

    @property
    def scheduler(self) -> Path:
        """Dask's scheduler file."""
        return self.ready / "scheduler.json"

    @property
    def prefect(self) -> Path:
        """Folder of Prefect's database."""
        return self.state_dir / "prefect"


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
        for name in STOPPING:
            if number := getattr(signal, name, None):
                signal.signal(number, lambda *_: stop.set())
    paths = ServicePaths(state_dir=config.state_dir)
    with _alone(paths):
        _end_leftovers(paths)
        api_url = config.prefect.api_url or os.environ.get("PREFECT_API_URL")
        owns_server = api_url is None
        if api_url is None:
            port = config.prefect.port or find_free_port()
            _check_port(port)
            api_url = f"http://{LOOPBACK}:{port}/api"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        environment = {
            **describe_environment(paths.prefect, api_url),
            **(inherited if owns_server else os.environ),
            "PREFECT_API_URL": api_url,
            MARK: str(paths.state_dir),
        }
        services = _list_services(config, config_file, paths, api_url, owns_server=owns_server)
        try:
            for service in services:
                if stop.is_set():
                    return
                log.info("starts %s", service.name)
                service.start(environment, paths.logs)
                if not service.wait_until_ready(paths.logs, stop):
                    return
                if service.name == SERVER:
                    _release_runs(api_url, config)
            ui_url = api_url.removesuffix("/api")
            write_durably(paths.addresses, json.dumps({"api_url": api_url, "ui_url": ui_url}))
            log.info("is up: %s shows the runs. Ctrl-C stops it.", ui_url)
            for inbox in config.inbox:
                log.info("watches %s", inbox.path)
            while not stop.wait(WATCH_S):
                for service in services:
                    service.keep_alive(environment, paths.logs)
        finally:
            log.info("stops")
            paths.addresses.unlink(missing_ok=True)
            for service in reversed(services):
                service.stop()
            # Runs in progress have processes of their own. What they did is on the disk, and they go on with
            # it when the service is up again.
            end_processes(find_marked(str(paths.state_dir)))


def _list_services(
    config: Config, config_file: Path | None, paths: ServicePaths, api_url: str, *, owns_server: bool
) -> list[Service]:
    python, given = [sys.executable, "-m"], ["--config", str(config_file)] if config_file else []
    services = []
    if owns_server:
        port = api_url.rsplit(":", 1)[1].removesuffix("/api")
        command = [*python, "prefect", "server", "start", "--host", LOOPBACK, "--port", port]
        services.append(Service(SERVER, command, lambda: _answers(api_url), start_timeout_s=180))
    scheduler = []
    if config.dask.scheduler is None:
        scheduler = ["--scheduler", str(paths.scheduler)]
        n_workers = count_cores() if config.dask.n_workers == "auto" else config.dask.n_workers
        command = [*python, "deployments.cluster", "--n-workers", str(n_workers)]
        command += ["--scheduler-file", str(paths.scheduler)]
        services.append(Service("dask-cluster", command, paths.scheduler.exists, paths.scheduler))
    for name in ("runner", "sensor") if config.prefect.runner else ("sensor",):
        ready = paths.ready / name
        command = [*python, f"deployments.{name}", *given, *scheduler, "--ready-file", str(ready)]
        services.append(Service(name, command, ready.exists, ready))
    return services


def is_up(state_dir: Path) -> bool:
    """Say whether a service runs for this folder: what it left behind does not mean that."""
    try:
        with FileLock(ServicePaths(state_dir=state_dir).lock, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def _alone(paths: ServicePaths) -> Iterator[None]:
    paths.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(paths.lock, timeout=1):
            yield
    except Timeout as error:
        raise ServiceError(
            paths.state_dir.parent,
            "facehog is up already for this folder",
            "Stop it first, or use another folder.",
        ) from error


def _end_leftovers(paths: ServicePaths) -> None:
    """End what a service that was killed has left running, and forget what it said of itself."""
    if leftovers := find_marked(str(paths.state_dir)):
        log.warning("ends %d processes of a service that was killed", len(leftovers))
        end_processes(leftovers)
    paths.addresses.unlink(missing_ok=True)
    shutil.rmtree(paths.ready, ignore_errors=True)
    paths.ready.mkdir(parents=True)
    paths.prefect.mkdir(exist_ok=True)


def find_free_port() -> int:
    """Return a port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free.
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ServiceError(
                f"port {port}",
                "another program listens there",
                "Set `port` under [prefect] to another one, to 0 for a free one, or `api_url` to that server.",
            ) from error


def _answers(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _release_runs(api_url: str, config: Config) -> None:
    """Release what a service that was stopped or killed had under way.

    Prefect believes for ever that such runs go on, and keeps their places for them. No process of them is
    left: they were ended with their service. It was not the recordings' fault, so their attempts start anew.
    """
    under_way = {
        "flows": {"name": {"any_": _FLOWS}},
        "flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}},
    }
    crashed = {"state": {"type": "CRASHED", "message": "facehog was stopped"}, "force": True}
    with Catalogue(config.catalogue, create=True) as catalogue:
        files = catalogue.files().values()
        # Of a foreground `facehog process`, which had its own server or this one's database.
        alive = {file.flow_run_id for file in files if is_held(catalogue.location, str(file.path))}
        with httpx.Client(base_url=f"{api_url}/", timeout=30) as client:
            for run in client.post("flow_runs/filter", json=under_way).raise_for_status().json():
                if run["id"] not in alive:
                    client.post(f"flow_runs/{run['id']}/set_state", json=crashed).raise_for_status()
        for file in files:
            if file.state is Fate.RUNNING and file.flow_run_id not in alive:
                _release_file(file, config, catalogue)


def _release_file(file: FileRecord, config: Config, catalogue: Catalogue) -> None:
    if config.find_inbox(file.path):
        reason = "facehog was stopped; goes on with what is not done yet"
        catalogue.set_fate(file.path, Fate.WAITING, reason, attempt=0, only_from=file)
    else:
        reason = "facehog was stopped, and no inbox holds the file; `facehog process` goes on with what is not done yet"
        catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
