"""How long a recording rests whose run was given back for what is around it: longer each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from .provenance import now
from .schema import Fate
from .story import StoryEvent

# A cluster is started again within seconds; an outage of a night is not to be asked about every half minute.
FIRST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(minutes=15)
_UNDER_WAY = (Fate.QUEUED, Fate.RUNNING)
_AT_REST = (Fate.FINISHED, Fate.DUPLICATE, Fate.QUARANTINED, Fate.FAILED)


def rest_after(story: Sequence[StoryEvent]) -> timedelta:
    """Return how long a file rests whose last run has just been given back.

    Parameters
    ----------
    story : sequence of StoryEvent
        The file's, oldest first.
    """
    n_given_back = 0
    for later, earlier in pairwise(step.state for step in reversed(story)):
        if later in _AT_REST or (later is Fate.WAITING and earlier in _AT_REST):
            break
        n_given_back += later is Fate.WAITING and earlier in _UNDER_WAY
    # Beyond ten doublings it is the longest anyway.
    return min(FIRST_REST * (1 << min(max(0, n_given_back - 1), 10)), LONGEST_REST)


def is_rested(not_before: datetime | None) -> bool:
    """Say whether a file may be taken up again; no rest outlasts a clock that was set back.

    Parameters
    ----------
    not_before : datetime or None
        When it may be, as it was noted when the rest began.
    """
    return not_before is None or not timedelta(0) < not_before - now() <= LONGEST_REST
