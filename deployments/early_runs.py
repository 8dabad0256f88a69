"""Runs that wait for a time which the system's clock, once it was set back, has still to reach again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from facehog_core.provenance import now

log = logging.getLogger(__name__)


def bring_forward(client: SyncPrefectClient, deployments: Iterable[UUID]) -> set[UUID]:
    """Let runs begin now that were to begin as soon as they were asked for, by a clock that was ahead.

    Parameters
    ----------
    client : SyncPrefectClient
    deployments : iterable of UUID
        Of which runs are asked for one by one, and not by a schedule. Who asks for a later time in Prefect's UI gets
        that: such a run has no key.

    Returns
    -------
    set of UUID
        The runs. Who has taken one of them already sleeps until the time that it had: Prefect's engine waits for it.
    """
    waiting = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=list(deployments)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(after_=now()),
    )
    # In the order in which they were asked for: each gets a later time than the one before.
    found = client.read_flow_runs(flow_run_filter=waiting, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC)
    early = [run for run in found if run.idempotency_key]
    for run in early:
        client.set_flow_run_state(run.id, Scheduled(scheduled_time=now()), force=True)
        log.warning("%s: run %s waited for a time that was now before the clock was set back", run.name, run.id)
    return {run.id for run in early}
