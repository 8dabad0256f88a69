"""A service of facehog in a scratch folder, on a free port of the loopback address, for the benchmarks of it."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployments.processes import end_processes, find_marked
from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.files import FileRecord
from facehog_core.schema import Fate

SETTLE_S = 0.5
PATIENCE_S = 600.0
CONFIG = """
[[inbox]]
path = "inbox"
settle_s = {settle_s}
crop = {crop}

[prefect]
port = 0

[sensor]
interval_s = 2
"""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that is up.

    Parameters
    ----------
    folder : Path
        Where all of it lies.
    """

    folder: Path

    @property
    def inbox(self) -> Path:
        """The folder in which recordings land."""
        return self.folder / "inbox"

    @property
    def store(self) -> Path:
        """The folder of stores."""
        return self.folder / "store"

    @property
    def mark(self) -> str:
        """What the environment of each of its processes holds."""
        return str(self.folder / ".facehog")

    def land(self, source: Path, name: str) -> Path:
        """Let a recording land under a name; its bytes differ from those of all others."""
        return self.stage(source, name).rename(self.inbox / name)

    def stage(self, source: Path, name: str) -> Path:
        """Make a recording that is to land; its bytes differ from those of all others."""
        made = self.folder / name
        with source.open("rb") as file, made.open("wb") as copy:
            shutil.copyfileobj(file, copy, 2**24)
            # A box that every reader of MP4 passes over.
            copy.write(struct.pack(">I4s", 8 + len(name), b"free") + name.encode())
        return made

    def files(self) -> dict[Path, FileRecord]:
        """Return the fates of all files."""
        try:
            with Catalogue(f"sqlite:///{self.folder / 'catalogue.db'}") as catalogue:
                return dict(catalogue.files())
        except CatalogueError:
            return {}

    def wait_until_settled(self, paths: list[Path], look_s: float = 0.1) -> None:
        """Wait until all recordings are finished; it is an error if one comes to another end."""
        wanted = set(paths)

        def is_done() -> bool:
            files = self.files()
            if bad := [file for path, file in files.items() if path in wanted and file.state in _BAD]:
                raise RuntimeError(f"{bad[0].path.name} is {bad[0].state}: {bad[0].reason}")
            return all(path in files and files[path].state is Fate.FINISHED for path in wanted)

        wait_for(is_done, "all recordings to be finished", look_s)

    def ask(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask Prefect's server."""
        api_url = json.loads((self.folder / ".facehog" / "service.json").read_text("utf-8"))["api_url"]
        found: list[dict[str, Any]] = httpx.post(f"{api_url}/{path}", json=body, timeout=60).raise_for_status().json()
        return found


_BAD = (Fate.FAILED, Fate.QUARANTINED, Fate.DUPLICATE)


def wait_for(look: Callable[[], Any], what: str, look_s: float = 0.05) -> Any:
    """Wait until something is so, and return what it is."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := look():
            return found
        time.sleep(look_s)
    raise TimeoutError(f"waited in vain for {what}")


@contextmanager
def run_service(crop: list[int] | None = None) -> Iterator[RunningService]:
    """Run a service for a while, and leave nothing of it."""
    with tempfile.TemporaryDirectory(prefix="facehog-bench-") as name:
        service = RunningService(Path(name))
        service.inbox.mkdir()
        text = CONFIG.format(settle_s=SETTLE_S, crop=crop or [53, 22, 916, 475])
        (service.folder / "facehog.toml").write_text(text, "utf-8")
        repository = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (repository, os.environ.get("PYTHONPATH"))))
        with (service.folder / "up.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", "up"],
                cwd=service.folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            announced = service.folder / ".facehog" / "service.json"
            wait_for(lambda: announced.exists() or process.poll() is not None, "the service")
            if process.poll() is not None:
                raise RuntimeError((service.folder / "up.log").read_text("utf-8"))
            yield service
        finally:
            process.terminate()
            process.wait(60)
            end_processes(find_marked(service.mark))
