"""How the processes of the service ask for runs, and wait for each other."""

from __future__ import annotations

import time
from pathlib import Path

from facehog_core.catalogue import Catalogue
from flows.launcher import PrefectLauncher
from flows.names import address_inbox

from .config import Config

# Between two looks for what is waited for, seconds.
LOOK_S = 0.05


def wait_for(file: Path | None) -> None:
    """Wait until a file is there, by which a process says that it is ready whom this one needs.

    Both are started at the same time, so that this one has done its imports by then. A signal ends it.
    """
    while file is not None and not file.exists():
        time.sleep(LOOK_S)


def bell_beside(ready_file: Path) -> Path:
    """Return the file that a process of the service touches when it has asked for a run."""
    return ready_file.with_name("asked")


def make_launcher(
    config: Config, scheduler: str | None, owner: str | None = None, bell: Path | None = None
) -> PrefectLauncher:
    """Return the launcher of a configuration, with a cluster's address or scheduler file.

    `owner` is whose deployments are asked, on a server of others: `flows.names.name_owner`.
    """
    with Catalogue(config.catalogue, create=True) as records:
        location = records.location
    return PrefectLauncher(
        store=config.store,
        catalogue=config.catalogue,
        location=location,
        cluster=config.cluster(scheduler),
        deployment=address_inbox(owner),
        bell=bell,
    )
