"""What a service keeps in its state folder, and whether one runs there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from facehog_core.errors import ServiceError


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
        """JSON with ``api_url``, ``ui_url`` and ``health_url`` of the running service."""
        return self.state_dir / "service.json"

    @property
    def owner(self) -> Path:
        """JSON with ``pid`` and ``created_s`` of the `facehog up` that holds the lock."""
        return self.state_dir / "up.json"

    @property
    def stop(self) -> Path:
        """Made by whoever wants the service to stop: Windows has no signal for that."""
        return self.state_dir / "stop"

    @property
    def logs(self) -> Path:
        """Folder of the processes' output."""
        return self.state_dir / "logs"

    @property
    def ready(self) -> Path:
        """Folder in which processes say that they are ready, and that they go on."""
        return self.state_dir / "ready"

    @property
    def scheduler(self) -> Path:
        """Dask's scheduler file."""
        return self.ready / "scheduler.json"

    @property
    def released(self) -> Path:
        """Made when Prefect's server answers and believes in no run of earlier on: now runs may be asked for."""
        return self.ready / "released"

    @property
    def prefect(self) -> Path:
        """Folder of Prefect's database."""
        return self.state_dir / "prefect"

    @property
    def tls(self) -> Path:
        """Folder of the certificate and the key of Dask's cluster, if it does not stay on this machine."""
        return self.state_dir / "tls"

    @property
    def mark(self) -> str:
        """What the environment of each process of the service holds."""
        # However the folder is named by whoever looks for them.
        return str(self.state_dir.resolve())

    @property
    def is_up(self) -> bool:
        """Whether a service runs for this folder: what it left behind does not mean that."""
        if not self.lock.exists():
            return False
        try:
            with FileLock(self.lock, timeout=0):
                return False
        except Timeout:
            return True

    def read_addresses(self) -> dict[str, str]:
        """Return the addresses of the service that is up; empty if none is, or it is still starting."""
        if not self.is_up:
            return {}
        try:
            addresses: dict[str, str] = json.loads(self.addresses.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return addresses

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one service of this folder.

        Raises
        ------
        ServiceError
            If there is one.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.lock, timeout=1):
                yield
        except Timeout as error:
            raise ServiceError(
                self.state_dir.parent,
                "facehog is up already for this folder",
                "Stop it first, or use another folder.",
            ) from error
