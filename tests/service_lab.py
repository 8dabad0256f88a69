"""A lab whose service runs: real processes, real files, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
from recordings import run_ffmpeg

from deployments.processes import find_marked
from facehog_core import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.files import FileRecord
from facehog_core.run_paths import RunPaths

REPOSITORY = Path(__file__).resolve().parents[1]
MOUSE = REPOSITORY / "deployments" / "recordings" / "aind_bvt_clip.mp4"
N_MOUSE = 501  # frames
# Far longer than anything here takes: no verdict hangs on the machine's speed.
PATIENCE_S = 240.0

SETTLE_S = 1.0
CONFIG = f"""
[[inbox]]
path = "inbox"
settle_s = {SETTLE_S}

[prefect]
port = 0

# As many on any machine: a run is to take a while.
[dask]
n_workers = 2

[sensor]
interval_s = 1
"""

# The processes of a service, and what is in the command of each.
VICTIMS = {
    "cluster": "deployments.cluster",
    "prefect": "server",
    "sensor": "deployments.sensor",
    "flow": "deployments.flow_host",
    "runner": "deployments.runner",
    "worker": "multiprocessing.spawn",
}


class ServiceLab:
    """A folder with an inbox, and a service that may run for it; its catalogue is a file there, or on a server."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, catalogue_url: str | None = None
    ) -> None:
        self.folder = folder
        self.catalogue_url = catalogue_url or f"sqlite:///{self.catalogue}"
        self.environment = dict(environment or {})
        self.inbox = folder / "inbox"
        self.inbox.mkdir(exist_ok=True)
        (folder / "facehog.toml").write_text(f'catalogue = "{self.catalogue_url}"\n{CONFIG}', "utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def state_dir(self) -> Path:
        return self.folder / ".facehog"

    def start(self) -> None:
        before = self._announced_ns()
        with (self.folder / "up.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", "up"],
                cwd=self.folder,
                env={**os.environ, "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5", **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # One that was killed has left its own announcement behind.
        self.wait_for(lambda: self._announced_ns() not in (None, before), "the service to be up")

    def _announced_ns(self) -> int | None:
        addresses = self.state_dir / "service.json"
        return addresses.stat().st_mtime_ns if addresses.exists() else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def kill_everything(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()
        family = find_marked(str(self.state_dir))
        for process in family:
            # Some end by themselves as soon as their parent is gone.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family)

    @property
    def catalogue(self) -> Path:
        return self.folder / "catalogue.db"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def api_url(self) -> str:
        return str(json.loads((self.state_dir / "service.json").read_text("utf-8"))["api_url"])

    def ask(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        user, _, password = self.environment.get("FACEHOG_PREFECT__AUTH_STRING", "").partition(":")
        answer = httpx.post(f"{self.api_url}/{path}", json=body, timeout=30, auth=(user, password) if user else None)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def file(self, path: Path) -> FileRecord | None:
        try:
            with Catalogue(self.catalogue_url) as catalogue:
                return catalogue.file(path)
        except CatalogueError:
            return None

    def files(self) -> dict[Path, FileRecord]:
        try:
            with Catalogue(self.catalogue_url) as catalogue:
                return catalogue.files()
        except CatalogueError:
            return {}

    def wait_until_settled(self, *paths: Path, patience_s: float = PATIENCE_S) -> dict[Path, FileRecord]:
        def settled() -> dict[Path, FileRecord] | None:
            known = self.files()
            files = {path: file for path in paths if (file := known.get(path)) and file.state.is_settled}
            return files if len(files) == len(paths) else None

        what = f"the fates of {[path.name for path in paths]}"
        found: dict[Path, FileRecord] = self.wait_for(settled, what, patience_s)
        return found

    def wait_for(self, look: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, rest_s: float = 0.1) -> Any:
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            if found := look():
                return found
            assert self.process is None or self.process.poll() is None, self.logs()
            time.sleep(rest_s)
        raise AssertionError(f"waited in vain for {what}\n{self.logs()}")

    def logs(self) -> str:
        files = [self.folder / "up.log", *(self.state_dir / "logs").glob("*.log")]
        return "\n".join(f"== {file.name}\n{file.read_text('utf-8', 'replace')[-3000:]}" for file in files)

    def count_said(self, text: str) -> int:
        """Count the lines of all logs that say something."""
        files = [self.folder / "up.log", *(self.state_dir / "logs").glob("*.log*")]
        return sum(text in line for file in files for line in file.read_text("utf-8", "replace").splitlines())

    def find_processes(self, part: str) -> list[psutil.Process]:
        found = []
        for process in find_marked(str(self.state_dir)):
            with contextlib.suppress(psutil.Error):
                if any(part in word for word in process.cmdline()):
                    found.append(process)
        return found

    def store_of(self, path: Path, run_id: str) -> RunPaths:
        return RunPaths(root=self.store, recording=path.stem, run_id=run_id)


def write_mouse(path: Path, n_times: int = 1) -> Path:
    """Write the face of a real mouse, n times over; its bytes differ with its name."""
    looped = ("-stream_loop", str(n_times - 1), "-i", MOUSE, "-c", "copy", "-metadata", f"comment={path.name}")
    run_ffmpeg(*looped, path)
    return path
