"""Ask Prefect for runs, and how they fare."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import xxhash
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Scheduled

from facehog_core.files import FileRecord
from facehog_core.locks import is_held
from facehog_core.path_text import as_text
from facehog_core.provenance import now
from facehog_core.reconcile import Life, RunRequest
from flows.cluster import Cluster
from flows.names import address_inbox

# From a runner's taking up a run to the flow's first line: imports of a busy machine. Later than that
# without a process that holds the file's lock, the run is dead, whatever Prefect believes.
START_TIMEOUT = timedelta(minutes=5)
# How long a list of the runs that wait is believed, seconds, and how many are on it: as many as Prefect gives at once.
WAITING_S = 1.0
MOST_WAITING = 200
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
    deployment : str, optional
        The deployment, by the name that Prefect finds it by.
    bell : Path, optional
        A file that is touched when a run is asked for, so that who runs it need not be waited for.
    """

    store: Path
    catalogue: str
    location: str
    cluster: Cluster
    deployment: str = address_inbox()
    bell: Path | None = None
    _connection: _Connection = field(default_factory=lambda: _Connection(), compare=False, repr=False)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the flow that are the same for all recordings."""
        return {"store": str(self.store), "catalogue": self.catalogue, "cluster": self.cluster.as_dict()}

    def request(self, request: RunRequest) -> str:
        """Ask for a run. Asking again with the same key names the same run."""
        client = self._connection.client
        parameters = {"path": as_text(request.path), "recipe": request.recipe.as_dict(), "attempt": request.attempt}
        try:
            run = client.create_flow_run_from_deployment(
                self._connection.find_deployment(self.deployment),
                parameters=self.parameters() | parameters,
                state=Scheduled(),
                name=as_text(request.path.name),
                idempotency_key=xxhash.xxh3_128_hexdigest(request.key.encode()),
            )
        except httpx.HTTPStatusError:
            # It may have been removed and registered anew, as another one.
            self._connection.forget_deployment()
            raise
        if self.bell:
            self.bell.touch()
        return str(run.id)

    def withdraw(self, file: FileRecord) -> None:
        """Take back the run of a file if it has not begun."""
        client = self._connection.client
        run = _read_run(client, UUID(file.flow_run_id) if file.flow_run_id else None)
        if run and run.state and run.state.is_scheduled():
            client.set_flow_run_state(run.id, Cancelled(message="taken back by facehog, which asks again"), force=True)

    def life_of(self, file: FileRecord) -> Life:
        """Say whether the run of a queued or running file goes on."""
        # A process that holds the file's lock is alive, also if another server than this one knows its run.
        if is_held(self.location, str(file.path)):
            return Life.ALIVE
        run_id = UUID(file.flow_run_id) if file.flow_run_id else None
        if run_id in self._connection.waiting():
            return Life.ALIVE
        run = _read_run(self._connection.client, run_id)
        if run is None or run.state is None or run.state.type in (StateType.FAILED, StateType.CRASHED):
            return Life.DEAD
        if run.state.type is StateType.CANCELLED:
            return Life.CANCELLED
        if run.state.type is StateType.COMPLETED:
            return Life.DEAD
        if run.state.type in _UNDER_WAY:
            # A time in the future is by a clock that was set back since: it says nothing of how long ago that was.
            return Life.DEAD if abs(now() - run.state.timestamp) > START_TIMEOUT else Life.ALIVE
        return Life.ALIVE


def _read_run(client: SyncPrefectClient, run_id: UUID | None) -> FlowRun | None:
    if run_id is None:
        return None
    try:
        return client.read_flow_run(run_id)
    except ObjectNotFound:
        return None


@dataclass(slots=True)
class _Connection:
    """One client for all questions, and what need not be asked for every file: to make a client takes 30 ms."""

    _client: SyncPrefectClient | None = None
    _deployment: UUID | None = None
    _waiting: frozenset[UUID] = frozenset()
    _waiting_until_s: float = 0.0

    @property
    def client(self) -> SyncPrefectClient:
        """The client, which stays open."""
        if self._client is None:
            self._client = get_client(sync_client=True).__enter__()
        return self._client

    def find_deployment(self, name: str) -> UUID:
        """Return a deployment's id: the service registers it before it asks for runs, and it stays what it is."""
        if self._deployment is None:
            self._deployment = self.client.read_deployment_by_name(name).id
        return self._deployment

    def forget_deployment(self) -> None:
        """Look for the deployment anew the next time."""
        self._deployment = None

    def waiting(self) -> frozenset[UUID]:
        """Return runs that wait for their turn: of hundreds that landed at once, most do."""
        if time.monotonic() >= self._waiting_until_s:
            scheduled = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            found = self.client.read_flow_runs(flow_run_filter=FlowRunFilter(state=scheduled), limit=MOST_WAITING)
            self._waiting = frozenset(run.id for run in found)
            self._waiting_until_s = time.monotonic() + WAITING_S
        return self._waiting
