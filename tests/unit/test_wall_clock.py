from __future__ import annotations

import pytest

from deployments.wall_clock import LEAST_S, WallClock


@pytest.mark.parametrize(("step_s", "back_s"), [(3600.0, 0.0), (-LEAST_S / 2, 0.0), (0.0, 0.0), (-3600.0, 3600.0)])
def test_a_clock_that_was_set_back_is_noticed_once(step_s: float, back_s: float) -> None:
    wall, monotonic = [1_000_000.0], [5.0]
    clock = WallClock(lambda: wall[0], lambda: monotonic[0])
    wall[0], monotonic[0] = wall[0] + 0.5 + step_s, monotonic[0] + 0.5

    assert [clock.went_back_s(), clock.went_back_s()] == [pytest.approx(back_s), 0.0]


def test_a_clock_that_runs_is_not_taken_for_one_that_was_set() -> None:
    clock = WallClock()
    assert [clock.went_back_s() for _ in range(100)] == [0.0] * 100
