"""Stop a service from outside of it: it is asked by a file, and ended where it does not hear."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from facehog_core.errors import ServiceError

from .processes import end_processes, find_marked
from .service_paths import ServicePaths

# Between two looks for the file, seconds.
LOOK_S = 0.2
# A service ends within 15 s. One that takes longer does not hear, seconds.
PATIENCE_S = 20.0


@contextmanager
def listening_to_stop(paths: ServicePaths, stop: threading.Event) -> Iterator[None]:
    """Set `stop` as soon as somebody asks this service to end, within the context."""
    paths.stop.unlink(missing_ok=True)
    owner = {"pid": os.getpid(), "created_s": psutil.Process().create_time()}
    paths.owner.write_text(json.dumps(owner), "utf-8")
    over = threading.Event()

    def listen() -> None:
        while not over.wait(LOOK_S):
            if paths.stop.exists():
                stop.set()

    listener = threading.Thread(target=listen, name="listens to stop", daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        listener.join()
        paths.stop.unlink(missing_ok=True)
        paths.owner.unlink(missing_ok=True)


def stop_service(paths: ServicePaths) -> str:
    """Stop the service of a folder, or what a killed one has left.

    Parameters
    ----------
    paths : ServicePaths

    Returns
    -------
    str
        What was done, in words.

    Raises
    ------
    ServiceError
        If it cannot be stopped.
    """
    if paths.is_up:
        began_s = time.monotonic()
        paths.stop.touch()
        while paths.is_up and time.monotonic() - began_s < PATIENCE_S:
            time.sleep(LOOK_S)
        if not paths.is_up:
            return f"facehog has stopped, in {time.monotonic() - began_s:.0f} s"
        end_processes(_find_owner(paths), polite_s=0.0)
        end_processes(find_marked(paths.mark))
        if paths.is_up:
            raise ServiceError(paths.state_dir.parent, "facehog does not stop", "End its processes by hand.")
        return f"facehog did not hear for {PATIENCE_S:.0f} s, and was ended; it goes on from what is done when it is up"
    if left := find_marked(paths.mark):
        end_processes(left)
        return f"facehog was not up; ended {len(left)} processes that a killed one had left"
    return "facehog is not up"


def _find_owner(paths: ServicePaths) -> list[psutil.Process]:
    try:
        owner = json.loads(paths.owner.read_text("utf-8"))
        process = psutil.Process(owner["pid"])
    except (OSError, ValueError, psutil.NoSuchProcess):
        return []
    # Numbers of processes are given out again.
    return [process] if process.create_time() == owner["created_s"] else []
