"""Start a service that goes on when its terminal is closed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from facehog_core.errors import ServiceError

from .logs import SAID
from .service_paths import ServicePaths

LOOK_S = 0.2


def start_detached(paths: ServicePaths, config_file: Path | None, tell: Callable[[str], None]) -> dict[str, str]:
    """Start `facehog up` in the background, and wait until it is up.

    Parameters
    ----------
    paths : ServicePaths
    config_file : Path or None
    tell : callable
        Called with each line that the service says until then.

    Returns
    -------
    dict
        Its addresses.

    Raises
    ------
    ServiceError
        If one runs already, or it does not start.
    """
    with paths.alone():
        # Of a service that was killed.
        paths.addresses.unlink(missing_ok=True)
        paths.logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deployments.cli", "up", *(["--config", str(config_file)] if config_file else [])]
    said = paths.logs / SAID
    said.write_bytes(b"")
    # To its end, also after it was rotated.
    with said.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=paths.state_dir.parent,
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    unfinished = b""
    with said.open("rb") as heard:
        while True:
            addresses, status = paths.read_addresses(), process.poll()
            *lines, unfinished = (unfinished + heard.read()).split(b"\n")
            for line in lines:
                tell(line.decode("utf-8", "replace").rstrip())
            if addresses:
                return addresses
            if status is not None:
                tell(unfinished.decode("utf-8", "replace"))
                raise ServiceError("facehog up", f"ended with status {status}, as it says above", f"See {paths.logs}.")
            time.sleep(LOOK_S)
