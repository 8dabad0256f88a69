from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.rest import FIRST_REST, LONGEST_REST, rest_after
from facehog_core.schema import Fate
from facehog_core.story import StoryEvent

LETTERS = {"w": Fate.WAITING, "q": Fate.QUEUED, "r": Fate.RUNNING, "f": Fate.FINISHED, "x": Fate.QUARANTINED}


def story(letters: str) -> list[StoryEvent]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [StoryEvent(at=moment, state=LETTERS[letter], reason="") for letter in letters]


@pytest.mark.parametrize(
    ("told", "n_rests"),
    [
        ("wqrw", 1),
        ("wqrwqrw", 2),
        ("wqw", 1),
        # It waited for its turn in between.
        ("wqrwwqrwwqrw", 3),
        # What was before it came to an end does not count.
        ("wqrwqrwqrfwqrw", 1),
        ("wqrwqrxwqrw", 1),
        ("rw", 1),
    ],
)
def test_each_rest_is_twice_the_one_before(told: str, n_rests: int) -> None:
    assert rest_after(story(told)) == FIRST_REST * 2 ** (n_rests - 1)


@given(st.integers(0, 100))
def test_no_rest_is_longer_than_the_longest(n_times: int) -> None:
    rest = rest_after(story("wqr" * n_times + "w"))
    assert FIRST_REST <= rest <= LONGEST_REST
    assert rest == LONGEST_REST or n_times < 9


def test_the_first_rest_is_over_soon() -> None:
    assert rest_after([]) == timedelta(seconds=5)
