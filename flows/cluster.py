"""Where the chunks are computed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facehog_core.cores import count_cores
from facehog_core.errors import ServiceError

if TYPE_CHECKING:
    from flows.dask_runner import DaskRunner

LOOPBACK = "127.0.0.1"
# How long a run waits for a cluster that is being started, and between two looks for it, seconds.
SCHEDULER_TIMEOUT_S = 60.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A Dask cluster: one that runs already, or one that is made for a flow run.

    Parameters
    ----------
    address : str, optional
        Scheduler of a running cluster, such as ``tcp://127.0.0.1:8786``, or a scheduler file of Dask that
        names it: that is read when a run starts, so a run that was queued finds a cluster that was restarted.
    n_workers : int, optional
        Workers of a cluster that is made; one for each core if left out.
    processes : bool, optional
        Whether its workers are processes of their own, or threads of the flow's process. Threads serve as
        well (decoding and describing let go of Python's lock) and start at once, but a decoder that crashes
        takes the flow with it.
    """

    address: str | None = None
    n_workers: int | None = None
    processes: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the cluster as plain values, for Prefect's parameters."""
        return {"address": self.address, "n_workers": self.n_workers, "processes": self.processes}

    def make_runner(self) -> DaskRunner:
        """Make the task runner; entering it connects to the cluster, or starts it.

        Raises
        ------
        ServiceError
            If there is no scheduler file where one is named, also after a while.
        """
        # Here and not above: whoever reads the configuration must not load Prefect, which reads its own
        # settings when it is imported.
        from flows.dask_runner import DaskRunner

        if self.address:
            return DaskRunner(address=_find_scheduler(self.address))
        kwargs: dict[str, Any] = {
            "n_workers": self.n_workers or count_cores(),
            "threads_per_worker": 1,
            "processes": self.processes,
            "dashboard_address": f"{LOOPBACK}:0",
        }
        # In-process workers talk through memory and know no host.
        return DaskRunner(cluster_kwargs=kwargs | ({"host": LOOPBACK} if self.processes else {}))


def _find_scheduler(address: str) -> str:
    if "://" in address:
        return address
    file, deadline_s = Path(address), time.monotonic() + SCHEDULER_TIMEOUT_S
    # A cluster that starts, or starts again, writes its file when it is ready.
    while not file.exists() and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    try:
        return str(json.loads(file.read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError) as error:
        raise ServiceError(
            address, "this scheduler file of Dask cannot be read", "Start the cluster: `facehog up` has one."
        ) from error
