from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.selection import Selection

NUMBERS = st.none() | st.integers(0, 30)
SECONDS = st.none() | st.integers(-3, 30)


@given(st.integers(0, 20), NUMBERS, st.integers(1, 9), st.integers(1, 25))
def test_a_range_of_frames_is_pythons(start: int, stop: int | None, step: int, n_frames: int) -> None:
    if stop is not None and stop <= start:
        return
    found = Selection(start=start, stop=stop, step=step).resolve(np.full(n_frames, np.nan))

    assert found.dtype == np.int64
    assert found.tolist() == list(range(n_frames))[start:stop:step]


@given(SECONDS, SECONDS, st.integers(1, 4), st.lists(st.integers(0, 25), min_size=1, max_size=25))
def test_a_range_of_seconds_takes_the_frames_that_are_shown_in_it(
    start_s: int | None, stop_s: int | None, step: int, times: list[int]
) -> None:
    if start_s is not None and stop_s is not None and stop_s <= start_s:
        return
    times_s = np.array([math.nan if time == 13 else time for time in sorted(times)])
    found = Selection(start_s=start_s, stop_s=stop_s, step=step).resolve(times_s)

    def is_within(time_s: float) -> bool:
        return (start_s is None or time_s >= start_s) and (stop_s is None or time_s < stop_s)

    is_range = start_s is not None or stop_s is not None
    assert found.tolist() == [n for n, time_s in enumerate(times_s) if not is_range or is_within(time_s)][::step]


def test_frames_without_a_time_are_in_no_range_of_seconds() -> None:
    assert Selection(start_s=-9).resolve(np.array([0.0, np.nan, 2.0])).tolist() == [0, 2]
    assert Selection(start_s=0, stop_s=1).resolve(np.full(5, np.nan)).tolist() == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"frames": "100:200"}, Selection(start=100, stop=200)),
        ({"frames": "100:200:5"}, Selection(start=100, stop=200, step=5)),
        ({"frames": "100:"}, Selection(start=100)),
        ({"frames": ":200"}, Selection(stop=200)),
        ({"frames": "::5"}, Selection(step=5)),
        ({"frames": ":"}, Selection()),
        ({"seconds": "0.5:2"}, Selection(start_s=0.5, stop_s=2)),
        ({"seconds": "60::10"}, Selection(start_s=60, step=10)),
        ({}, Selection()),
    ],
)
def test_a_selection_is_read_from_the_command_line(given: dict[str, str], expected: Selection) -> None:
    found = Selection.parse(**given)

    assert found == expected
    assert Selection(**json.loads(json.dumps(found.as_dict()))) == expected
    assert found.is_whole == (expected == Selection())


@pytest.mark.parametrize("text", ["5", "a:b", "1:2:3:4", "1.5:2", "1:2:x"])
def test_what_is_no_range_of_frames_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=f"must be START:STOP or START:STOP:STEP, got '{text}'"):
        Selection.parse(frames=text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"start": -1}, "start must be a whole number of at least 0, got -1"),
        ({"start": 5, "stop": 5}, "stop must be a whole number of at least 6, got 5"),
        ({"step": 0}, "step must be a whole number of at least 1, got 0"),
        ({"step": True}, "step must be a whole number"),
        ({"start": 1.5}, "start must be a whole number"),
        ({"start_s": 2, "stop_s": 2}, "stop_s must be greater than start_s, got 2 to 2"),
        ({"start_s": math.nan}, "start_s must be a number of seconds, got nan"),
        ({"stop_s": "1"}, "stop_s must be a number of seconds, got '1'"),
        ({"start": 1, "stop_s": 9}, "choose one"),
    ],
)
def test_a_wrong_choice_of_frames_is_refused_in_words(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Selection(**values)


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (Selection(), "frames 0 to the end"),
        (Selection(start=5, stop=10, step=2), "frames 5 to 10, one in 2"),
        (Selection(start_s=0.5, stop_s=60), "seconds 0.5 to 60"),
        (Selection(stop_s=60), "seconds 0 to 60"),
    ],
)
def test_a_selection_says_what_it_is(selection: Selection, said: str) -> None:
    assert str(selection) == said
