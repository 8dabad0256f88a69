"""Which failures are worth another try."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from facehog_core.errors import ChangedError, ConfigError, RecordingRefusedError, StoreGoneError

# What trying again cannot mend: a file stays what it is, and a run that has ended does not come back.
FINAL = (RecordingRefusedError, ChangedError, ConfigError, StoreGoneError)


def can_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failure may pass by itself: a share that is gone for a while, a lost worker."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, FINAL)
