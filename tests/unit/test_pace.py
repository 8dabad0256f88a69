from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.pace import measure_pace
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate

START = datetime(2026, 1, 1, tzinfo=UTC)


def run(began_s: float, ended_s: float, size_bytes: int = 100, store_size_bytes: int | None = 50) -> RunRecord:
    return RunRecord(
        path=Path("/data/m12.mp4"),
        state=Fate.FINISHED,
        reason="is done",
        changed_at=START,
        size_bytes=size_bytes,
        started_at=START + timedelta(seconds=began_s),
        finished_at=START + timedelta(seconds=ended_s),
        store_size_bytes=store_size_bytes,
    )


def test_runs_side_by_side_count_once() -> None:
    pace = measure_pace([run(0, 10), run(5, 15), run(6, 8), run(100, 105)])
    assert pace is not None
    assert pace.n_runs == 4
    assert pace.bytes_per_s == pytest.approx(400 / 20)
    assert pace.store_per_byte == pytest.approx(0.5)


@pytest.mark.parametrize("records", [[], [run(0, 10, store_size_bytes=None)], [run(3, 3)]])
def test_nothing_is_said_before_a_run_is_finished(records: list[RunRecord]) -> None:
    assert measure_pace(records) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1))
def test_time_is_counted_in_which_at_least_one_ran(spans: list[tuple[int, int]]) -> None:
    pace = measure_pace([run(began, began + lasted) for began, lasted in spans])
    busy = {second for began, lasted in spans for second in range(began, began + lasted)}
    assert pace is not None
    assert pace.bytes_per_s == pytest.approx(100 * len(spans) / len(busy))
