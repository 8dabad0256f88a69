from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.errors import DamagedError
from facehog_core.receipts import (
    ShardReceipt,
    check_damage,
    count_frames,
    join_spans,
    spans_of,
    tell_damage,
    tell_spans,
)


def receipt(
    start: int, stop: int, corrupt: list[tuple[int, int]], lost: list[tuple[int, int]] | None = None
) -> ShardReceipt:
    return ShardReceipt(start=start, stop=stop, digest="", files={}, corrupt=corrupt, lost=lost or [], grey=[])


@given(st.lists(st.booleans()), st.integers(0, 100))
def test_spans_name_the_frames_that_are_marked_and_no_others(marks: list[bool], first: int) -> None:
    spans = spans_of(np.flatnonzero(marks) + first)
    assert [number for start, stop in spans for number in range(start, stop)] == [
        first + place for place, mark in enumerate(marks) if mark
    ]
    assert join_spans(spans) == spans
    assert count_frames(spans) == sum(marks)


@given(st.lists(st.booleans(), min_size=1), st.data())
def test_spans_that_were_cut_at_a_border_are_joined_again(marks: list[bool], data: st.DataObject) -> None:
    border = data.draw(st.integers(0, len(marks)))
    numbers = np.flatnonzero(marks)
    parts = [*spans_of(numbers[numbers < border]), *spans_of(numbers[numbers >= border])]
    assert join_spans(parts) == spans_of(numbers)


def test_many_places_are_not_all_told() -> None:
    assert tell_spans([(3, 4), (7, 20)]) == "3, 7-19"
    assert tell_spans([(2 * i, 2 * i + 1) for i in range(14)]).endswith("16, 18 and 4 more places")


def test_damage_is_told_with_number_and_ranges_over_all_shards() -> None:
    receipts = [receipt(100, 200, [(100, 130)], [(100, 101)]), receipt(0, 100, [(90, 100)], [(95, 96)])]
    assert tell_damage(receipts) == "40 of 200 frames are corrupt (2 of them could not be decoded): frames 90-129"
    assert tell_damage([receipt(0, 100, [(5, 6)])]) == "1 of 100 frames is corrupt: frame 5"
    assert tell_damage([receipt(0, 100, [])]) is None


def test_more_damage_than_may_be_is_refused_also_before_all_is_described() -> None:
    receipts = [receipt(0, 100, [(90, 100)])]
    check_damage("m12.mp4", receipts, 200, 0.05)
    told = "10 of 200 frames are corrupt: frames 90-99; at most 4 % may be"
    with pytest.raises(DamagedError, match=f"m12.mp4: at least {told}"):
        check_damage("m12.mp4", receipts, 200, 0.04)
    with pytest.raises(DamagedError, match=f"m12.mp4: {told}"):
        check_damage("m12.mp4", [*receipts, receipt(100, 200, [])], 200, 0.04)
    check_damage("m12.mp4", [receipt(0, 100, [])], 100, 0)


@given(st.integers(1, 1000), st.data())
def test_as_much_damage_as_may_be_is_not_refused(n_frames: int, data: st.DataObject) -> None:
    n_corrupt = data.draw(st.integers(1, n_frames))
    receipts = [receipt(0, n_frames, [(0, n_corrupt)])]
    check_damage("m12.mp4", receipts, n_frames, n_corrupt / n_frames)
    with pytest.raises(DamagedError):
        check_damage("m12.mp4", receipts, n_frames, np.nextafter(n_corrupt / n_frames, 0))


def test_a_share_is_meant_as_it_is_written() -> None:
    for percent in range(1, 101):
        check_damage("m12.mp4", [receipt(0, 100, [(0, percent)])], 100, float(f"{percent / 100:.2f}"))
