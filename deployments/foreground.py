"""Process recordings in the foreground, with the same flow as the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, ServiceError
from facehog_core.path_text import as_text
from facehog_core.progress import Progress as RunProgress
from facehog_core.progress import measure_progress
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.source import name_results
from flows.process_recording import process_recording

from .backlog import is_watched
from .config import Config
from .display import aside
from .heartbeats import without_heartbeats

# Between two looks at a run's receipts, seconds.
LOOK_S = 0.3


def process_in_foreground(config: Config, path: Path, recipe: Recipe, *, force: bool = False) -> State[object]:
    """Run the flow in this process, and show how far it is.

    Parameters
    ----------
    config : Config
    path : Path
        The recording.
    recipe : Recipe
    force : bool, optional
        Whether all is done anew, as another attempt, where it has been done before.

    Returns
    -------
    State
        Of the flow run.

    Raises
    ------
    ServiceError
        If Prefect's server does not start or answer.
    """
    try:
        with _show_progress(config, path), without_heartbeats():
            state: State[object] = process_recording(
                path=as_text(path),
                store=config.store,
                catalogue=config.catalogue,
                recipe=recipe.as_dict(),
                cluster=config.cluster().as_dict(),
                identity=config.identify(path).as_dict(),
                force=force,
                attempt=_next_attempt(config, path) if force else 1,
                return_state=True,
            )
    except (RuntimeError, httpx.HTTPError, PrefectException) as error:
        raise ServiceError("Prefect", f"its server cannot be used: {error}", "See `facehog doctor`.") from error
    finally:
        _conclude(config, path)
    return state


def _next_attempt(config: Config, path: Path) -> int:
    with Catalogue(config.catalogue, create=True) as catalogue:
        file = catalogue.file(path)
    return file.attempt + 1 if file else 1


def _conclude(config: Config, path: Path) -> None:
    """Leave no file waiting or running for which nobody will do anything."""
    with Catalogue(config.catalogue, create=True) as catalogue:
        file = catalogue.file(path)
        if file is None or file.state.is_settled or is_watched(path, config):
            return
        reason = "was stopped" if file.state is Fate.RUNNING else file.reason
        advice = "`facehog process` goes on with what is not done yet"
        catalogue.set_fate(path, Fate.FAILED, f"{reason}; {advice}", only_from=file)


@contextmanager
def _show_progress(config: Config, path: Path) -> Iterator[None]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    began_at, stop = time.time(), threading.Event()
    with Progress(*columns, console=aside, transient=True) as progress:
        bar = progress.add_task(as_text(path.name), total=None, told="")
        watcher = threading.Thread(target=_follow, args=(config, path, began_at, progress, bar, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def _follow(
    config: Config, path: Path, began_at: float, progress: Progress, bar: TaskID, stop: threading.Event
) -> None:
    """Copy a run's progress, which stands on the disk, into a bar."""
    while not stop.wait(LOOK_S):
        found = read_progress(config, path, began_at)
        if found is not None:
            progress.update(bar, completed=found.n_done, total=found.n_frames, told=str(found))


def read_progress(config: Config, path: Path, since: float = 0.0) -> RunProgress | None:
    """Return how far the run of a recording is that began at a time, and how fast; None if it is not running."""
    try:
        with Catalogue(config.catalogue) as catalogue:
            file = catalogue.file(path)
    except CatalogueError:
        return None
    if file is None or file.run_id is None:
        return None
    return measure_progress(RunPaths(root=config.store, recording=name_results(path), run_id=file.run_id), since)
