"""Flows without Prefect's heartbeats: facehog's locks and its runner know who is alive.

The thread that sends them sleeps a second at a time, and a flow that has ended waits for it: half a second of nothing
for each recording.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings


def without_heartbeats() -> AbstractContextManager[object]:
    """Run flows without them; no variable of the environment says so."""
    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
