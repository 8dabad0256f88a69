from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.effort import GONE_AFTER_SHARDS, Effort, Pace, Stopwatch, measure_pace


def effort(worker: int, began_at: float, decoding_s: float = 4.0, describing_s: float = 1.0) -> Effort:
    return Effort(
        worker=f"rig:{worker}:1", began_at=began_at, first_frame_s=0.1, decoding_s=decoding_s, describing_s=describing_s
    )


def test_the_stopwatch_tells_the_decoder_s_time_from_the_rest() -> None:
    def frames() -> object:
        for number in range(3):
            time.sleep(0.02)
            yield number

    stopwatch, seen = Stopwatch(), []
    for number in stopwatch.decoding(frames()):  # type: ignore[arg-type]
        seen.append(number)
        time.sleep(0.01)
    found = stopwatch.read()
    assert seen == [0, 1, 2]
    assert found.decoding_s >= 0.06
    assert found.describing_s >= 0.03
    assert 0.02 <= found.first_frame_s <= found.decoding_s
    assert found.ended_at == found.began_at + found.decoding_s + found.describing_s


def test_nothing_that_has_ended_has_no_pace() -> None:
    assert measure_pace([]) is None


@given(n_workers=st.integers(1, 9), n_shards=st.integers(1, 5), gap_s=st.floats(0, 9))
def test_workers_side_by_side_add_up_and_what_passes_between_shards_counts(
    n_workers: int, n_shards: int, gap_s: float
) -> None:
    shards = [(100, effort(k, n * (5 + gap_s))) for k in range(n_workers) for n in range(n_shards)]
    spent_s = 5 * n_shards + gap_s * (n_shards - 1)
    pace = measure_pace(shards)
    assert pace is not None
    assert pace.frames_per_s == pytest.approx(n_workers * 100 * n_shards / spent_s)
    assert pace.decoder_share == pytest.approx(4 * n_shards / spent_s)


def test_a_worker_that_died_does_not_count_for_what_is_to_come() -> None:
    lives = [(100, effort(1, 5.0 * number)) for number in range(20)]
    pace = measure_pace([*lives, (100, effort(2, 0.0))])
    assert pace is not None
    assert pace.frames_per_s == pytest.approx(20)
    late = replace(effort(2, 0.0), began_at=100 - 5 - GONE_AFTER_SHARDS * 5)
    pace = measure_pace([*lives, (100, late)])
    assert pace is not None
    assert pace.frames_per_s == pytest.approx(40)


@pytest.mark.parametrize(
    ("n_frames", "told"),
    [(0, "0 s left"), (990, "99 s left"), (1000, "2 min left"), (36_000, "1 h 0 min left"), (36_610, "1 h 2 min left")],
)
def test_what_is_left_is_told_as_people_do(n_frames: int, told: str) -> None:
    pace = Pace(frames_per_s=10, decoder_share=0.934)
    assert pace.tell_left(n_frames) == told
    assert str(pace) == "10 frames a second, 93 % of the decoder's limit"
