"""Runs that were asked for by a clock that was ahead, on a real server of Prefect's."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from deployments.early_runs import bring_forward
from facehog_core.provenance import now

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow(name="process-recording")
def process_recording() -> None:
    """Stand in for the flow: its runs are never run here."""


@flow
def nightly() -> None:
    """Stand in for a flow with a schedule."""


def test_what_was_asked_for_by_a_clock_that_was_ahead_begins_now_and_in_its_order() -> None:
    with get_client(sync_client=True) as client:
        tag = uuid4().hex
        inbox = client.create_deployment(client.create_flow(process_recording), f"inbox-{tag}")
        other = client.create_deployment(client.create_flow(nightly), f"nightly-{tag}")

        def ask(deployment: UUID, days: float, key: str | None) -> UUID:
            state = Scheduled(scheduled_time=now() + timedelta(days=days))
            run = client.create_flow_run_from_deployment(
                deployment, state=state, idempotency_key=key and f"{key}-{tag}"
            )
            return run.id

        def due() -> list[UUID]:
            found = client.get_scheduled_flow_runs_for_deployments([inbox, other], now(), 200)
            return [run.id for run in found]

        second, first = ask(inbox, 2, "second"), ask(inbox, 1, "first")
        ready = ask(inbox, -1, "ready")
        by_hand, by_schedule = ask(inbox, 1, None), ask(other, 1, "scheduled")
        assert due() == [ready]
        assert bring_forward(client, [inbox]) == {first, second}
        assert due() == [ready, first, second]
        assert bring_forward(client, [inbox]) == set()
        for run_id in (by_hand, by_schedule):
            expected = client.read_flow_run(run_id).next_scheduled_start_time
            assert expected is not None
            assert expected > now()
