"""`facehog demo`: two recordings land in an inbox, and nobody does anything about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from rich.markup import escape
from rich.progress import Progress

import facehog_core
from facehog_core.catalogue import COLUMNS, Catalogue
from facehog_core.errors import ConfigError, ServiceError
from facehog_core.progress import measure_progress
from facehog_core.provenance import RunRecord
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.source import name_results
from facehog_core.synthetic import write_mouse_face

from .config import Config
from .config_file import FILE_NAME, load_config
from .display import console, paint
from .listing import print_fitting_rows
from .processes import end_processes, find_marked
from .template import TEMPLATE

REAL = "aind_bvt_clip.mp4"
SYNTHETIC = "synthetic_mouse_face.mp4"
N_FRAMES = 1500
# As a camera's computer copies: in pieces, for a few seconds.
N_PIECES, PIECE_S = 12, 0.25
# For a machine that is busy with something else; the demo takes a quarter of this.
TIMEOUT_S = 300.0
LOOK_S = 0.3


def run_demo(folder: Path | None) -> int:
    """Run the demonstration.

    Parameters
    ----------
    folder : Path or None
        Where everything is kept; a new scratch folder if None.

    Returns
    -------
    int
        Exit status: 0 if both recordings were processed and verified.
    """
    folder = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="facehog-demo-"))
    _keep_apart(folder)
    config = _write_config(folder)
    began_s = time.monotonic()
    console.print(f"Everything is in {folder}")
    console.print("Starts what `facehog up` starts: Prefect server, Dask cluster, runner and sensor")
    rig = folder / "rig"
    rig.mkdir(exist_ok=True)
    with _service(folder) as wait_until_up:
        # Made while the service starts.
        recordings = [_copy_real(rig), write_mouse_face(rig / SYNTHETIC, n_frames=N_FRAMES)]
        console.print(f"Is up: {wait_until_up()} shows the runs")
        inbox = config.inbox[0].path
        console.print(f"Copies two recordings into {inbox}, slowly, as a camera's computer does")
        copies = [threading.Thread(target=_copy_slowly, args=(file, inbox)) for file in recordings]
        for copy in copies:
            copy.start()
        records = _wait_until_settled(config, [inbox / file.name for file in recordings])
        for copy in copies:
            copy.join()
        console.print()
        with Catalogue(config.catalogue) as catalogue:
            print_fitting_rows(COLUMNS, catalogue.rows())
        console.print("\nfacehog verify --all")
        verified = subprocess.run(_command(folder, "verify", "--all"), check=False).returncode == 0
        _show_how_to_open(records)
        console.print("Shuts down")
    console.print(f"Done in {time.monotonic() - began_s:.0f} s. The stores are in {config.store}")
    console.print(f"To go on: cd {folder}, then `facehog up`. Nothing else needs that folder; it may be removed.")
    return 0 if verified and all(record.state == Fate.FINISHED for record in records) else 1


def _keep_apart(folder: Path) -> None:
    """See that the demonstration touches no inbox, store or Prefect server of the lab."""
    if (folder / FILE_NAME).exists():
        raise ConfigError(folder, "there is a configuration already", "Give the demo a new folder.")
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "FACEHOG_"))]:
        del os.environ[name]


def _write_config(folder: Path) -> Config:
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    changes = {"port = 4200": "port = 0   ", "settle_s = 10": "settle_s = 2 ", "interval_s = 10": "interval_s = 1 "}
    text = TEMPLATE
    for before, after in changes.items():
        text = text.replace(before, after)
    file = folder / FILE_NAME
    file.write_text(text, "utf-8")
    return load_config(file)


def _command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "deployments.cli", *words, "--config", str(folder / FILE_NAME)]


@contextmanager
def _service(folder: Path) -> Iterator[Callable[[], str]]:
    """Run `facehog up`; the value waits until it is up and returns the address of the UI."""
    log = folder / "up.log"
    addresses = folder / ".facehog" / "service.json"
    with log.open("wb") as output:
        process = subprocess.Popen(_command(folder, "up"), stdout=output, stderr=subprocess.STDOUT)

    def wait_until_up() -> str:
        while not addresses.exists():
            if process.poll() is not None:
                raise ServiceError("facehog up", f"ended with status {process.returncode}", f"See {log}.")
            time.sleep(LOOK_S)
        return str(json.loads(addresses.read_text("utf-8"))["ui_url"])

    try:
        yield wait_until_up
    finally:
        process.terminate()
        process.wait()
        # Windows cannot ask a process to end, so `facehog up` could not end the others.
        end_processes(find_marked(str(addresses.parent)))


def _copy_real(rig: Path) -> Path:
    with as_file(files("deployments") / "recordings" / REAL) as source:
        target = rig / REAL
        target.write_bytes(source.read_bytes())
    return target


def _copy_slowly(source: Path, inbox: Path) -> None:
    content = source.read_bytes()
    size = -(-len(content) // N_PIECES)
    with (inbox / source.name).open("wb") as target:
        for start in range(0, len(content), size):
            target.write(content[start : start + size])
            target.flush()
            time.sleep(PIECE_S)


def _wait_until_settled(config: Config, paths: list[Path]) -> list[RunRecord]:
    """Show what the catalogue says of the files until nothing more happens to them."""
    deadline_s = time.monotonic() + TIMEOUT_S
    told: dict[Path, str] = {}
    with Progress(console=console) as progress, Catalogue(config.catalogue) as catalogue:
        bars = {path: progress.add_task(path.name, total=None) for path in paths}
        while time.monotonic() < deadline_s:
            records = {record.path: record for record in catalogue.records() if record.path in bars}
            for path, record in records.items():
                if told.get(path) != record.reason:
                    told[path] = record.reason
                    progress.console.print(f"  {path.name}: {paint(record.state)}, {escape(record.reason)}")
                progress.update(bars[path], **_measure(config, record))
            if len(records) == len(paths) and all(Fate(record.state).is_settled for record in records.values()):
                return list(records.values())
            time.sleep(LOOK_S)
    raise ServiceError("demo", f"the recordings were not finished after {TIMEOUT_S:.0f} s", "See the logs.")


def _measure(config: Config, record: RunRecord) -> dict[str, int]:
    if record.n_frames is not None:
        return {"completed": record.n_frames, "total": record.n_frames}
    if record.run_id is None:
        return {}
    found = measure_progress(RunPaths(root=config.store, recording=name_results(record.path), run_id=record.run_id))
    return {"completed": found.n_done, "total": found.n_frames} if found else {}


def _show_how_to_open(records: list[RunRecord]) -> None:
    finished = [record for record in records if record.store]
    for record in finished:
        console.print(f"{record.path.name}: {record.store}")
    if finished:
        session = facehog_core.open_session(str(finished[0].store))
        console.print("\nIn Python:")
        console.print("  import facehog_core", style="bold")
        console.print(f"  session = facehog_core.open_session({str(finished[0].store)!r})", style="bold")
        console.print("  session.descriptors.values", style="bold")
        console.print(f"  -> {session.descriptors.dtype}, {dict(session.descriptors.sizes)}\n")
