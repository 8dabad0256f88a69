"""Ask Prefect for runs, and how they fare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import xxhash
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from facehog_core.catalogue import FileRecord
from facehog_core.locks import is_held
from facehog_core.provenance import now
from facehog_core.reconcile import Life, RunRequest
from flows.cluster import Cluster

DEPLOYMENT = "process-recording/inbox"
# From a runner's taking up a run to the flow's first line: imports of a busy machine. Later than that
# without a process that holds the file's lock, the run is dead, whatever Prefect believes.
START_TIMEOUT = timedelta(minutes=5)
_UNDER_WAY = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefectLauncher:
    """Launches runs of the deployment on the server that ``PREFECT_API_URL`` names.

    Parameters
    ----------
    store : Path
        Folder of all stores.
    catalogue : str
        URL of the catalogue.
    location : str
        File of the catalogue, beside which the locks lie.
    cluster : Cluster
        Where chunks are computed.
    bell : Path, optional
        A file that is touched when a run is asked for, so that who runs it need not be waited for.
    """

    store: Path
    catalogue: str
    location: str
    cluster: Cluster
    bell: Path | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the flow that are the same for all recordings."""
        return {"store": str(self.store), "catalogue": self.catalogue, "cluster": self.cluster.as_dict()}

    def request(self, request: RunRequest) -> str:
        """Ask for a run. Asking again with the same key names the same run."""
        run = run_deployment(
            DEPLOYMENT,
            parameters={
                **self.parameters(),
                "path": str(request.path),
                "recipe": request.recipe.as_dict(),
                "attempt": request.attempt,
            },
            flow_run_name=request.path.name,
            idempotency_key=xxhash.xxh3_128_hexdigest(request.key.encode()),
            timeout=0,
            as_subflow=False,
        )
        if self.bell:
            self.bell.touch()
        return str(run.id)

    def life_of(self, file: FileRecord) -> Life:
        """Say whether the run of a queued or running file goes on."""
        # A process that holds the file's lock is alive, also if another server than this one knows its run.
        if is_held(self.location, str(file.path)):
            return Life.ALIVE
        with get_client(sync_client=True) as client:
            run = _read_run(client, file.flow_run_id)
        if run is None or run.state is None or run.state.type in (StateType.FAILED, StateType.CRASHED):
            return Life.DEAD
        if run.state.type is StateType.CANCELLED:
            return Life.CANCELLED
        if run.state.type is StateType.COMPLETED:
            return Life.DEAD
        if run.state.type in _UNDER_WAY:
            return Life.DEAD if now() - run.state.timestamp > START_TIMEOUT else Life.ALIVE
        return Life.ALIVE


def _read_run(client: SyncPrefectClient, flow_run_id: str | None) -> FlowRun | None:
    if flow_run_id is None:
        return None
    try:
        return client.read_flow_run(UUID(flow_run_id))
    except ObjectNotFound:
        return None
