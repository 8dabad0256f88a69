"""What is left out of a run's log: Prefect's traceback of a verdict, and nothing else."""

from __future__ import annotations

import logging

import pytest
from prefect.exceptions import FailedRun
from prefect.logging import get_logger

from flows.verdict import hide_tracebacks


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize(("error", "n_kept"), [(FailedRun("m12.mp4: is empty"), 0), (ValueError("a real one"), 1)])
def test_a_verdicts_traceback_is_left_out_and_others_are_not(
    error: Exception, n_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_tracebacks()
    hide_tracebacks()
    log, kept = get_logger("prefect.flow_runs"), Kept()
    # The handler that is there wants a flow run.
    monkeypatch.setattr(log, "handlers", [kept])
    log.error("m12.mp4: is quarantined")
    try:
        raise error
    except Exception:
        log.exception("Engine execution exited with unexpected exception")
    assert len(kept.records) == 1 + n_kept
